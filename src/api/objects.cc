// /objects/{name...}: the built-in object store behind signed URLs.
#include <memory>
#include <vector>

#include "api/errors.h"
#include "api/file_answers.h"
#include "api/rest.h"
#include "storage/local_store.h"

namespace evp::api {
namespace {

constexpr std::size_t piece_bytes = 256 * 1024;

// Last-Modified: IMF-fixdate of RFC 9110, 5.6.7.
std::string http_date(timestamp t) {
  const auto when = std::chrono::system_clock::to_time_t(t);
  std::tm parts{};
  ::gmtime_r(&when, &parts);
  char text[40];
  const auto n = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return std::string(text, n);
}

result<storage::local_access> permitted(const rest_context& c, const http::server_request& r) {
  return storage::verify_local_url(c.backend->local_signing_key(), r.method, r.path, r.query, c.clock.now());
}

storage::put_conditions conditions(const http::server_request& r) {
  storage::put_conditions out;
  out.create_only = http::find(r.fields, "If-None-Match") == "*";
  out.content_md5 = http::find(r.fields, "Content-MD5");
  out.content_length = r.content_length;
  return out;
}

http::server_response refusal(const error& e) {
  if (e.code() == errc::already_exists) return error_answer(412, e);  // RFC 9110, 13.1.2
  if (e.code() == errc::data_corrupt) return error_answer(400, e);
  return error_answer(e);
}

io::task<result<storage::object_info>> store(rest_context& c, http::server_request& r, storage::local_access access) {
  auto folder = std::make_shared<storage::local_store>(c.backend->local_root(), access.container);
  auto wanted = conditions(r);
  CO_CHECK(storage::demand(access, wanted));
  auto begin = [folder, access, wanted]() -> result<std::shared_ptr<storage::local_upload>> {
    CHECK(folder->prepare());
    TRY(auto upload, access.parts_id.empty() ? folder->begin(access.object, wanted)
                                             : folder->begin_part(access.parts_id, access.part, wanted));
    return std::make_shared<storage::local_upload>(std::move(upload));
  };
  CO_TRY(auto upload, co_await io::run_on(c.disk, std::move(begin)));

  auto buffer = std::make_shared<std::vector<char>>(piece_bytes);
  for (;;) {
    CO_TRY(const auto n, co_await r.stream->read(*buffer));
    if (n == 0) break;
    auto write = [upload, buffer, n]() -> result<void> { return upload->write({buffer->data(), n}); };
    CO_CHECK(co_await io::run_on(c.disk, std::move(write)));
  }
  auto commit = [upload] { return upload->commit(); };
  CO_TRY(auto info, co_await io::run_on(c.disk, std::move(commit)));
  co_return info;
}

io::task<result<http::server_response>> put(rest_context& c, http::server_request& r) {
  CO_TRY(auto access, permitted(c, r));
  auto stored = co_await store(c, r, std::move(access));
  if (!stored) co_return refusal(stored.error());
  http::server_response out;
  out.status = 201;
  out.fields = {{"ETag", stored->etag}};
  co_return out;
}

io::task<result<http::server_response>> get(rest_context& c, http::server_request& r) {
  CO_TRY(auto access, permitted(c, r));
  const storage::local_store folder(c.backend->local_root(), access.container);
  auto open = [folder, object = access.object] { return folder.open(object); };
  CO_TRY(auto opened, co_await io::run_on(c.disk, std::move(open)));
  http::headers fields{{"Content-Type", "application/octet-stream"}, {"Cache-Control", "no-store"}};
  fields.push_back({"ETag", opened.info.etag});
  fields.push_back({"Last-Modified", http_date(opened.last_modified)});
  co_return file_answer(r, std::move(opened.fd), opened.info.size, std::move(fields));
}

}  // namespace

void add_object_routes(http::router& to, rest_context& context) {
  add_route(to, context, level::open, "PUT", "/objects/{name...}", put,
            {.max_body = storage::local_max_object_bytes, .streams = true});
  add_route(to, context, level::open, "GET", "/objects/{name...}", get);
  add_route(to, context, level::open, "HEAD", "/objects/{name...}", get);
}

}  // namespace evp::api
