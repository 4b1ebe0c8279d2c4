// Answers that are (parts of) files: Range, 206 and 416, the same for objects and modules.
#pragma once

#include "http/server.h"
#include "storage/local_store.h"

namespace evp::api {

/// The file as the request's Range field asks (RFC 9110, 14). `fields` go into each answer.
http::server_response file_answer(const http::server_request& r, std::shared_ptr<io::unique_fd> fd, std::uint64_t size,
                                  http::headers fields);

}  // namespace evp::api
