// What all drivers demand of requests, and how they read a storage's refusal: one place where a status becomes an
// error.
#pragma once

#include "storage/driver.h"
#include "storage/endpoint.h"

namespace evp::storage {

/// Checks a service's extra fields: names are tokens, values have no control characters, and none is one that the HTTP
/// stack sets (Host, Content-Length, Connection ...). Errors: invalid_argument at "headers".
result<void> check_fields(const http::headers& fields);

/// False for the fields that HTTP stacks and proxies change on the way (User-Agent, Accept, Via ...): those are sent,
/// but cannot be signed.
bool arrives_unchanged(std::string_view field);

/// Printable ASCII without white space, and not empty: what keys and tokens look like.
bool is_word(std::string_view text);

/// Checks 1 s <= lifetime <= max. Errors: invalid_argument at "expirationDuration".
result<void> check_lifetime(milliseconds lifetime, milliseconds max);

/// Checks that the spec asks for no bound that the driver does not enforce. Errors: unsupported, naming the bound.
result<void> check_bounds(const sign_spec& spec, bounds enforced);

/// Checks that the request fits into the 2,176 bytes in which the public agent builds its head (docs/protocol.md).
/// Errors: invalid_argument, saying what to shorten.
result<void> check_small_head(const signed_request& r);

/// Adds Content-Type to the fields that a device must send; the service's own, where it is the same, stays. Nothing for
/// an empty type. Errors: invalid_argument at "headers" (the service's differs).
result<void> bind_content_type(http::headers& fields, const std::string& type);

/// Now plus the lifetime, in whole seconds as vendors count them, never later than asked for.
timestamp expiry_of(timestamp now, milliseconds lifetime);

/// The life of a grant that a credential signs which dies at `dies`: never longer than that. A credential with less
/// than grant_least left (or less than what is wanted, if that is shorter) signs nothing. Errors: unavailable.
result<milliseconds> lifetime_within(milliseconds wanted, timestamp dies, timestamp now);
inline constexpr milliseconds grant_least{30'000};

/// What a retired driver answers to sign.
error retired_error();

/// 3 to 63 characters a-z 0-9 - beginning and ending with a letter or digit, no "--"; with `dots` also '.'.
/// Errors: invalid_argument at the field.
result<void> check_container_name(std::string_view name, std::string_view field, bool dots);

/// A sentence for the user where grants would travel in the clear beyond this machine; else empty.
std::string plain_http_warning(const endpoint& e);

/// The error of an answer that is no success: `doing` names the step ("store the object"), `vendor_code` the
/// storage's own name for it, or empty. Never holds URLs or bodies.
error error_of_answer(const http::response& answer, std::string_view doing, std::string_view vendor_code);

/// The text between <Code> and </Code> in an S3 error document; empty where there is none.
std::string s3_error_code(std::string_view body);

/// The text of the first "name":"..." in a JSON document, if it has no escapes; else empty. For short answers of
/// vendors.
std::string json_text_in(std::string_view body, std::string_view name);
/// "Code" or "code" of a JSON error document.
std::string json_error_code(std::string_view body);

/// A storage's refusal is read up to here, even where the object itself must be smaller.
inline constexpr std::uint64_t refusal_max_bytes = 64 << 10;
/// A commit of parts copies nothing, but a large one takes minutes.
inline constexpr milliseconds commit_limit{600'000};

/// The bytes of an object. Errors: too_large.
result<std::string> within(std::string bytes, std::uint64_t max_bytes);

/// The object's size and ETag from the fields of an answer to HEAD. Errors: data_corrupt (no usable Content-Length).
result<object_info> info_of_head(const http::response& answer);

}  // namespace evp::storage
