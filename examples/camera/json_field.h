/* Reads members of a small JSON object, as modules get them in configuration and commands. */
#ifndef JSON_FIELD_H
#define JSON_FIELD_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the member holds. JSON_ABSENT: no such member; JSON_BAD: the text is no JSON object, or the value no scalar. */
enum json_kind { JSON_ABSENT, JSON_NULL, JSON_STRING, JSON_NUMBER, JSON_BOOL, JSON_BAD };

/*
 * Looks for the member `key` of the object in text[0..size). A string is put, without its escapes, into `out`, of
 * which `out_size` bytes may be used with the final zero; one that does not fit, or holds \u escapes beyond ASCII, is
 * JSON_BAD. A number goes into *number, true as 1 and false as 0.
 * Nested values are passed over, at most 16 levels deep.
 */
enum json_kind json_field(const char *text, size_t size, const char *key, char *out, size_t out_size, double *number);

#ifdef __cplusplus
}
#endif

#endif
