// A storage for measuring.
#include "storage_double.h"

#include <sys/mman.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace evp::bench {

namespace {
/// The value of a query's parameter, as it stands there; empty where it is not.
std::string parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.starts_with(name) && pair.size() > name.size() && pair[name.size()] == '=')
      return std::string(pair.substr(name.size() + 1));
  }
  return {};
}
}  // namespace

storage_double::storage_double(std::optional<http::tls_files> tls)
    : zeros_(std::make_shared<io::unique_fd>(::memfd_create("evp-bench", MFD_CLOEXEC))) {
  if (::ftruncate(zeros_->get(), off_t{1} << 40) != 0) std::abort();
  http::router routes;
  http::route_options streamed;
  streamed.max_body = std::uint64_t{1} << 40;
  streamed.streams = true;
  routes.add(
      "PUT", "/{name...}", [this](http::server_request& r) { return put(r); }, streamed);
  const auto look = [this](http::server_request& r) { return head(r); };
  routes.add("HEAD", "/{name...}", look);
  routes.add("POST", "/{name...}", [this](http::server_request& r) { return post(r); });
  routes.add("GET", "/{name...}", look);
  http::server_options o;
  const bool is_tls = tls.has_value();
  o.tls = std::move(tls);
  server_ = std::make_unique<http::server>(ctx_.get_executor(), std::move(routes), o);
  if (auto started = server_->start(); !started) {
    std::fprintf(stderr, "evp-bench-upload: %s\n", started.error().message().c_str());
    std::exit(1);
  }
  url_ = std::string(is_tls ? "https" : "http") + "://127.0.0.1:" + std::to_string(server_->port());
  thread_ = std::thread([this] { ctx_.run(); });
}

storage_double::~storage_double() {
  auto ending = [](http::server& s) -> io::task<void> { co_await s.stop(milliseconds(100)); };
  boost::asio::co_spawn(ctx_, ending(*server_), boost::asio::detached);
  thread_.join();
}

double storage_double::taken_at(std::string_view end_of_name) const {
  const std::lock_guard lock(mutex_);
  double last = 0;
  for (const auto& [path, at] : taken_)
    if (path.ends_with(end_of_name)) last = std::max(last, at);
  return last;
}

io::task<http::server_response> storage_double::put(http::server_request& r) {
  std::vector<char> buffer(256 * 1024);
  std::uint64_t size = 0;
  http::server_response answer;
  for (;;) {
    auto part = co_await r.stream->read(buffer);
    if (!part) {
      answer.status = 400;
      co_return answer;
    }
    if (*part == 0) break;
    size += *part;
  }
  if (const auto number = parameter(r.query, "partNumber"); !number.empty())
    uploads_[r.path][unsigned(std::stoul(number))] = size;
  else
    sizes_[r.path] = size;
  {
    const std::lock_guard lock(mutex_);
    taken_[r.path] = std::chrono::duration<double, std::milli>(steady_time::clock::now().time_since_epoch()).count();
  }
  answer.fields.push_back({"ETag", "\"" + std::to_string(size) + "\""});
  co_return answer;
}

io::task<http::server_response> storage_double::post(http::server_request& r) {
  http::server_response answer;
  if (parameter(r.query, "uploadId").empty()) {
    uploads_[r.path].clear();
    answer.body =
        std::string("<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>");
    co_return answer;
  }
  std::uint64_t size = 0;
  for (const auto& [number, bytes] : uploads_[r.path]) size += bytes;
  uploads_.erase(r.path);
  sizes_[r.path] = size;
  answer.body = std::string("<CompleteMultipartUploadResult/>");
  co_return answer;
}

std::string storage_double::part_list(const std::map<unsigned, std::uint64_t>& parts, unsigned after) {
  std::string out;
  unsigned rows = 0;
  auto at = parts.upper_bound(after);
  for (; at != parts.end() && rows < 1000; ++at, ++rows) {
    const auto size = std::to_string(at->second);
    out += "<Part><PartNumber>" + std::to_string(at->first) + "</PartNumber><ETag>\"" + size + "\"</ETag><Size>" +
           size + "</Size></Part>";
  }
  return "<ListPartsResult><IsTruncated>" + std::string(at == parts.end() ? "false" : "true") + "</IsTruncated>" + out +
         "</ListPartsResult>";
}

io::task<http::server_response> storage_double::head(http::server_request& r) {
  http::server_response answer;
  const auto found = sizes_.find(r.path);
  if (r.method == "GET") {
    if (r.path == "/hang") co_await io::sleep_for(std::chrono::hours(1));
    const auto marker = parameter(r.query, "part-number-marker");
    if (!parameter(r.query, "uploadId").empty())
      answer.body = part_list(uploads_[r.path], marker.empty() ? 0 : unsigned(std::stoul(marker)));
    co_return answer;  // else the listing of a bucket: it is there
  }
  if (found == sizes_.end()) {
    answer.status = 404;
  } else {
    answer.body = http::file_body{zeros_, 0, found->second};
  }
  co_return answer;
}

}  // namespace evp::bench
