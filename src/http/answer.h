// The bytes of an answer's head, and the answers that the server gives itself.
#pragma once

#include "http/server.h"

namespace evp::http {

/// Status line, the answer's fields, Date, Content-Length (a stream: Transfer-Encoding) and Connection, and the empty
/// line (RFC 9112, 4). A field that could split the answer (a line break) or that is the server's to set
/// (Content-Length, Connection, Transfer-Encoding) is left out.
std::string head_of(const server_response& answer, bool keep_alive, timestamp now);

/// Nothing for a stream.
std::optional<std::uint64_t> length_of(const server_response& answer);
/// 1xx, 204 and 304 have none (RFC 9110, 6.4.1).
bool may_have_body(int status);

/// The default form of an error: its message as text.
server_response plain_error(int status, const error& e);

}  // namespace evp::http
