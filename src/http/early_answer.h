// Saves the final answer of a server that refused an upload and closed before it had read the body.
#pragma once

#include <curl/curl.h>

#include <optional>

#include "http/client.h"

namespace evp::http {

/// A server that answers 413 and closes makes the kernel reset the connection; the next write fails although the answer
/// already lies in our receive queue, and libcurl reports only the failed write. Called while the connection still
/// exists: if the peer has hung up, reads what it left behind, through TLS where there is TLS. Nothing if the
/// connection is alive or no complete head is there. RFC 9112, 9.5: a client should watch for such an answer.
std::optional<response> read_early_answer(CURL* easy, std::size_t max_head_bytes, std::uint64_t max_body_bytes);

/// Reads head and whatever there is of the body. 1xx answers are skipped. Nothing if no final head is complete or the
/// answer is malformed.
std::optional<response> parse_answer(std::string_view bytes, std::uint64_t max_body_bytes);

}  // namespace evp::http
