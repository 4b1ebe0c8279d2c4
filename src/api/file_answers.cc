// Answers that are (parts of) files.
#include "api/file_answers.h"

#include <fmt/format.h>

#include "api/errors.h"

namespace evp::api {

http::server_response file_answer(const http::server_request& r, std::shared_ptr<io::unique_fd> fd, std::uint64_t size,
                                  http::headers fields) {
  auto range = storage::parse_byte_range(http::find(r.fields, "Range"), size);
  if (!range) {
    auto out = error_answer(416, range.error());
    out.fields.push_back({"Content-Range", fmt::format("bytes */{}", size)});
    return out;
  }
  http::server_response out;
  out.fields = std::move(fields);
  out.fields.push_back({"Accept-Ranges", "bytes"});
  http::file_body body{.fd = std::move(fd), .offset = 0, .length = size};
  if (*range) {
    body.offset = (*range)->offset;
    body.length = (*range)->length;
    out.status = 206;
    out.fields.push_back(
        {"Content-Range", fmt::format("bytes {}-{}/{}", body.offset, body.offset + body.length - 1, size)});
  }
  out.body = std::move(body);
  return out;
}

}  // namespace evp::api
