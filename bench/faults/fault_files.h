/* The files of evp-faults: size and bytes follow from a seed and the file's number, for whoever makes or checks one. */
#ifndef EVP_FAULT_FILES_H
#define EVP_FAULT_FILES_H

#include <stddef.h>
#include <stdint.h>

/* SplitMix64: https://prng.di.unimi.it/splitmix64.c */
static inline uint64_t fault_mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* 1 byte to 40 KB; now and then 66 MiB, which goes in parts. */
static inline uint64_t fault_file_size(uint64_t seed, uint64_t number) {
  return number % 2500 == 100 ? (uint64_t)66 << 20 : 1 + fault_mix(seed ^ fault_mix(number)) % 40000;
}

/* `count` bytes from `offset` on, which is a multiple of 8. */
static inline void fault_file_bytes(uint64_t seed, uint64_t number, uint64_t offset, unsigned char *to, size_t count) {
  const uint64_t base = fault_mix(seed + (number << 32));
  size_t i;
  uint64_t word = 0;
  for (i = 0; i < count; ++i) {
    if (i % 8 == 0) word = fault_mix(base + offset + i);
    to[i] = (unsigned char)(word >> 8 * (i % 8));
  }
}

#endif
