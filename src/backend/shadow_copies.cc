#include "backend/shadow_copies.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "backend/unix_ms.h"
#include "base/names.h"

namespace evp::backend {
namespace {

constexpr milliseconds look_every{1'000};  // without news
constexpr milliseconds gather_for{200};    // after news

bool is_success(const http::response& r, const std::vector<int>& expect) {
  if (expect.empty()) return r.status >= 200 && r.status <= 299;
  return std::find(expect.begin(), expect.end(), r.status) != expect.end();
}

tl::unexpected<error> refused(std::string_view doing, int status) {
  return fail(errc::unavailable,
              "the storage would not " + std::string(doing) + ": HTTP status " + std::to_string(status));
}

}  // namespace

/// The uploads of one read, which several workers copy.
struct shadow_copies::batch {
  batch(const io::executor& ex, provider_changes::shadowed c) : change(std::move(c)), over(ex, steady_time::max()) {}
  provider_changes::shadowed change;
  std::vector<upload_event> events;
  std::size_t next = 0, workers = 0;
  io::asio::steady_timer over;  ///< ends when no worker is left
};

io::task<result<std::uint64_t>> shadow_copies::fetch(std::shared_ptr<live_service> from, std::string object, int fd) {
  storage::sign_spec spec;
  spec.op = storage::operation::get;
  spec.object = std::move(object);
  spec.lifetime = from->view.expiration;
  CO_TRY(auto made, co_await from->driver->sign(std::move(spec)));
  http::request r;
  r.method = std::move(made.method);
  r.url = std::move(made.url);
  r.fields = std::move(made.fields);
  r.ca_pem = from->view.certificate;
  r.response_fd = fd;
  r.max_response_bytes = context_.limits.max_bytes;
  r.total_timeout = context_.limits.copy_within;
  CO_TRY(const auto answer, co_await context_.transport.send(std::move(r)));
  if (answer.status != 200) co_return refused("give the object", answer.status);
  co_return answer.bytes_received;
}

io::task<result<void>> shadow_copies::store(std::shared_ptr<live_service> to, upload u, int fd, std::uint64_t size) {
  storage::sign_spec spec;
  spec.object = u.object;
  spec.lifetime = to->view.expiration;
  spec.fields = to->view.headers;
  if (to->view.enforced.has(storage::bound::size)) spec.size = size;
  if (to->view.verify == verification::put_checksum) spec.sha256 = u.sha256;
  CO_TRY(auto made, co_await to->driver->sign(std::move(spec)));
  http::request r;
  r.method = std::move(made.method);
  r.url = std::move(made.url);
  r.fields = std::move(made.fields);
  r.body = http::file_range{fd, 0, size};
  r.body_prefix = std::move(made.body_prefix);
  r.body_suffix = std::move(made.body_suffix);
  r.ca_pem = to->view.certificate;
  r.max_send_rate = context_.limits.bytes_per_second;
  r.total_timeout = context_.limits.copy_within;
  CO_TRY(const auto answer, co_await context_.transport.send(std::move(r)));
  if (!is_success(answer, made.expect)) co_return refused("take the object", answer.status);
  if (to->view.verify != verification::head) co_return result<void>();
  CO_TRY(const auto seen, co_await to->driver->stat(u.object));
  if (seen.size != size) co_return fail(errc::data_corrupt, "the copy has another size than the object");
  co_return result<void>();
}

io::task<result<void>> shadow_copies::copy(std::shared_ptr<live_service> from, std::shared_ptr<live_service> to,
                                           upload u) {
  const io::unique_fd fd(::open(context_.folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd) co_return fail(errno_error(errno, "a file for a copy"));
  std::string object = u.object;
  CO_TRY(const auto size, co_await fetch(std::move(from), std::move(object), fd.get()));
  auto stored = co_await store(std::move(to), std::move(u), fd.get(), size);
  co_return stored;
}

io::task<result<void>> shadow_copies::count(std::string change_id, sql::shadow_outcome how) {
  std::function<result<void>(sql::connection&)> write = [change_id, how,
                                                         now = to_ms(context_.clock.now())](sql::connection& c) {
    sql::count_shadow(c, change_id, how, now);
    return result<void>();
  };
  auto done = co_await context_.db.run<void>(std::move(write));
  co_return done;
}

io::task<void> shadow_copies::work(std::shared_ptr<batch> b) {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  const std::string tenant(tenant_of(b->change.source_name));
  while (b->next < b->events.size()) {
    const bool over = co_await io::is_cancelled();
    if (over) break;
    const auto event = b->events[b->next++];
    const auto& u = event.what;
    if (u.change_id != b->change.change_id || !u.asked_service.empty() || u.is_get) continue;
    const auto from = context_.known.find_revision(u.service_id, u.service_revision);
    const auto to = context_.known.find(std::string(local_name(b->change.target_name)), tenant);
    const bool is_late = context_.clock.now() - u.updated_at > context_.limits.max_lag;
    auto how = sql::shadow_outcome::skipped;
    if (from && to && !is_late && u.size_bytes.value_or(0) <= context_.limits.max_bytes) {
      auto copying = copy(from, *to, u);
      const auto done = co_await std::move(copying);
      if (!done && done.error().code() == errc::cancelled) break;
      how = done ? sql::shadow_outcome::copied : sql::shadow_outcome::not_copied;
      if (!done)
        spdlog::warn("upload {} could not be copied to {}: {}", u.grant_id, (*to)->view.name, done.error().message());
    }
    const auto counted = co_await count(b->change.change_id, how);
    if (!counted) spdlog::error("a copy cannot be counted: {}", counted.error().message());
  }
  if (--b->workers == 0) b->over.cancel();
}

io::task<result<std::size_t>> shadow_copies::copy_some(provider_changes::shadowed change) {
  std::string reader = "shadow " + change.change_id;
  CO_TRY(const auto position, co_await context_.uploads.reader(reader));
  upload_filter filter;
  filter.all_tenants = true;
  filter.service = change.source_name;
  filter.state = upload_state::verified;
  CO_TRY(auto found, co_await context_.uploads.events(filter, position));
  if (found.position == position) co_return 0;

  const auto ex = co_await io::asio::this_coro::executor;
  const auto b = std::make_shared<batch>(ex, std::move(change));
  b->events = std::move(found.events);
  const auto looked_at = std::size_t(found.position - position);
  b->workers = std::min(context_.limits.parallel, b->events.size());
  const auto workers = b->workers;
  for (std::size_t i = 0; i < workers; ++i) running_.spawn(work(b));
  boost::system::error_code ec;
  auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
  if (b->workers > 0) co_await b->over.async_wait(token);
  if (b->workers > 0 || b->next < b->events.size()) co_return fail(errc::cancelled, "cancelled");
  CO_CHECK(co_await context_.uploads.move_reader(reader, found.position));
  co_return looked_at;
}

io::task<result<std::size_t>> shadow_copies::copy_some() {
  std::size_t looked_at = 0;
  const auto all = context_.changes.all_shadowed();
  for (const auto& change : all) {
    CO_TRY(const auto number, co_await copy_some(change));
    looked_at += number;
  }
  co_return looked_at;
}

io::task<void> shadow_copies::run_forever() {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  auto& changed = context_.uploads.changed();
  for (bool failed = false;;) {
    const auto seen = changed.count();
    const bool over = co_await io::is_cancelled();
    if (over || changed.closed()) co_return;
    if (!context_.leads()) {
      co_await changed.wait(seen, look_every);
      const bool waited = co_await io::sleep_for(gather_for);
      if (!waited) co_return;
      continue;
    }
    const auto done = co_await copy_some();
    if (!done && done.error().code() == errc::cancelled) co_return;
    if (!done && !failed) spdlog::error("uploads cannot be copied: {}", done.error().message());
    failed = !done;
    if (done && *done == 0) co_await changed.wait(seen, look_every);
    const bool slept = co_await io::sleep_for(failed ? look_every : gather_for);
    if (!slept) co_return;
  }
}

}  // namespace evp::backend
