/* A reader of one JSON member: no allocation, every step bounded by the text's end. */
#include "json_field.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct reader {
  const char *at, *end;
};

static void skip_space(struct reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) r->at++;
}

static int take(struct reader *r, char c) {
  skip_space(r);
  if (r->at >= r->end || *r->at != c) return 0;
  r->at++;
  return 1;
}

/* Reads a string after its first quote. Returns 0 if it is none or does not fit; out NULL passes it over. */
static int read_string(struct reader *r, char *out, size_t out_size) {
  size_t n = 0;
  while (r->at < r->end && *r->at != '"') {
    char c = *r->at++;
    if ((unsigned char)c < 0x20) return 0;
    if (c == '\\') {
      if (r->at >= r->end) return 0;
      const char *from = "\"\\/bfnrt", *to = "\"\\/\b\f\n\r\t";
      const char e = *r->at++;
      const char *known = strchr(from, e);
      if (e == 'u') {
        char hex[5] = {0};
        int i;
        for (i = 0; i < 4; i++) {
          if (r->at >= r->end || !isxdigit((unsigned char)*r->at)) return 0;
          hex[i] = *r->at++;
        }
        const long value = strtol(hex, NULL, 16);
        if (out && (value == 0 || value > 0x7e)) return 0;
        c = (char)value;
      } else if (e != '\0' && known) {
        c = to[known - from];
      } else {
        return 0;
      }
    }
    if (out) {
      if (n + 1 >= out_size) return 0;
      out[n++] = c;
    }
  }
  if (out) out[n] = '\0';
  return take(r, '"');
}

static int read_word(struct reader *r, const char *word) {
  const size_t n = strlen(word);
  if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) return 0;
  r->at += n;
  return 1;
}

static int read_number(struct reader *r, double *number) {
  char digits[32];
  size_t n = 0;
  while (r->at < r->end && n + 1 < sizeof digits && *r->at && strchr("+-.eE0123456789", *r->at)) digits[n++] = *r->at++;
  digits[n] = '\0';
  char *rest;
  const double value = strtod(digits, &rest);
  if (n == 0 || *rest != '\0') return 0;
  if (number) *number = value;
  return 1;
}

static enum json_kind read_value(struct reader *r, char *out, size_t out_size, double *number, int depth) {
  skip_space(r);
  if (r->at >= r->end || depth > 16) return JSON_BAD;
  switch (*r->at) {
    case '"':
      r->at++;
      return read_string(r, out, out_size) ? JSON_STRING : JSON_BAD;
    case 'n':
      return read_word(r, "null") ? JSON_NULL : JSON_BAD;
    case 't':
      if (number) *number = 1;
      return read_word(r, "true") ? JSON_BOOL : JSON_BAD;
    case 'f':
      if (number) *number = 0;
      return read_word(r, "false") ? JSON_BOOL : JSON_BAD;
    case '{':
    case '[': {
      const char close = *r->at++ == '{' ? '}' : ']';
      if (take(r, close)) return JSON_ABSENT;
      do {
        if (close == '}' && (!take(r, '"') || !read_string(r, NULL, 0) || !take(r, ':'))) return JSON_BAD;
        if (read_value(r, NULL, 0, NULL, depth + 1) == JSON_BAD) return JSON_BAD;
      } while (take(r, ','));
      return take(r, close) ? JSON_ABSENT : JSON_BAD;
    }
    default:
      return read_number(r, number) ? JSON_NUMBER : JSON_BAD;
  }
}

enum json_kind json_field(const char *text, size_t size, const char *key, char *out, size_t out_size, double *number) {
  struct reader r = {text, text + size};
  enum json_kind found = JSON_ABSENT;
  if (!take(&r, '{')) return JSON_BAD;
  if (!take(&r, '}')) {
    do {
      char name[64];
      const char *before;
      if (!take(&r, '"')) return JSON_BAD;
      before = r.at;
      int named = read_string(&r, name, sizeof name);
      if (!named) {
        r.at = before;
        if (!read_string(&r, NULL, 0)) return JSON_BAD;
      }
      if (!take(&r, ':')) return JSON_BAD;
      const int mine = named && strcmp(name, key) == 0;
      const enum json_kind kind = read_value(&r, mine ? out : NULL, out_size, mine ? number : NULL, 0);
      if (kind == JSON_BAD) return JSON_BAD;
      if (mine) found = kind == JSON_ABSENT ? JSON_BAD : kind;
    } while (take(&r, ','));
    if (!take(&r, '}')) return JSON_BAD;
  }
  skip_space(&r);
  return r.at == r.end ? found : JSON_BAD;
}
