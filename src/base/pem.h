// PEM texts in and out of OpenSSL, for the files of this folder that handle keys and certificates.
#pragma once

#include <openssl/bio.h>

#include <memory>
#include <string>
#include <string_view>

namespace evp::pem {

struct free_bio {
  void operator()(BIO* b) const { BIO_free_all(b); }
};
using bio = std::unique_ptr<BIO, free_bio>;

/// Over the caller's text, which outlives it.
inline bio reader_of(std::string_view text) { return bio(BIO_new_mem_buf(text.data(), int(text.size()))); }
/// Null only without memory.
inline bio writer() { return bio(BIO_new(BIO_s_mem())); }
/// What was written.
inline std::string text_of(const bio& b) {
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(b.get(), &bytes);
  return {bytes, std::size_t(size)};
}

/// Asked for by OpenSSL when a key is encrypted: there is no password, and nobody at a terminal.
inline int no_password(char*, int, int, void*) { return -1; }

}  // namespace evp::pem
