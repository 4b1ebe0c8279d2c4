// /modules/{id}?exp&sig: where devices fetch module files, by a short-lived signed URL.
#include <fcntl.h>

#include "api/errors.h"
#include "api/file_answers.h"
#include "api/rest.h"

namespace evp::api {
namespace {

result<std::shared_ptr<io::unique_fd>> open_file(const io::fs::path& path) {
  io::unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return fail(errno_error(errno, "the module's file"));
  return std::make_shared<io::unique_fd>(std::move(fd));
}

io::task<result<http::server_response>> download(rest_context& c, http::server_request& r) {
  CO_TRY(auto query, read_query(r, {"exp", "sig"}));
  CO_TRY(auto file, c.backend->modules.verify(parameter(r, "id"), query["exp"], query["sig"]));
  auto open = [path = file.path] { return open_file(path); };
  CO_TRY(auto fd, co_await io::run_on(c.disk, std::move(open)));
  http::headers fields{{"Content-Type", "application/octet-stream"}, {"Cache-Control", "no-store"}};
  fields.push_back({"ETag", "\"" + file.module.sha256 + "\""});
  co_return file_answer(r, std::move(fd), file.module.size_bytes, std::move(fields));
}

}  // namespace

void add_module_download_routes(http::router& to, rest_context& context) {
  add_route(to, context, level::open, "GET", "/modules/{id}", download);
  add_route(to, context, level::open, "HEAD", "/modules/{id}", download);
}

}  // namespace evp::api
