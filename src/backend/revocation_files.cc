#include "backend/revocation_files.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

namespace evp::backend {
namespace {

constexpr std::size_t max_issuers_bytes = 1 << 20;

/// Differs when the file was written, replaced or made readable; empty: it is not there.
std::string marks_of(const io::fs::path& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0) return {};
  return fmt::format("{} {} {} {}.{}", s.st_dev, s.st_ino, s.st_size, s.st_ctim.tv_sec, s.st_ctim.tv_nsec);
}

struct read_list {
  std::string marks;
  result<revocation_list> list;
};

read_list read_now(const io::fs::path& path, const std::string& issuers) {
  read_list out{marks_of(path), fail(errc::internal, "not read")};
  const auto bytes = io::read_file(path, revocation_list::max_bytes);
  if (bytes)
    out.list = revocation_list::parse(*bytes, issuers);
  else
    out.list = fail(bytes.error());
  return out;
}

}  // namespace

revocation_files::revocation_files(io::executor ex, revocations& to, io::pool& disk, const io::clock& clock,
                                   revocation_files_options options)
    : to_(to), disk_(disk), clock_(clock), options_(std::move(options)), tasks_(ex) {
  for (const auto& path : options_.lists) files_.emplace_back().path = path;
}

io::task<result<void>> revocation_files::start() {
  CO_TRY(issuers_, io::read_file(options_.issuers, max_issuers_bytes));
  for (auto& f : files_) {
    auto done = co_await read(f);
    if (!done) co_return fail(std::move(std::move(done).error()).during("the revocation list " + f.path.string()));
  }
  co_await look();  // tells of those that are overdue
  tasks_.spawn(look_forever());
  co_return result<void>();
}

io::task<result<void>> revocation_files::read(file& f) {
  auto work = [path = f.path, issuers = issuers_] { return read_now(path, issuers); };
  auto found = co_await io::run_on(disk_, std::move(work));
  f.seen = std::move(found.marks);
  if (!found.list) co_return fail(found.list.error());
  auto& list = *found.list;
  if (f.this_update && list.this_update < *f.this_update)
    co_return fail(errc::failed_precondition,
                   fmt::format("it was made at {}, before the one that is in force ({}): an old copy",
                               format_rfc3339(list.this_update), format_rfc3339(*f.this_update)));
  const auto entries = list.ids.size();
  auto ids = std::move(list.ids);
  CO_CHECK(co_await to_.set_list(f.path.string(), std::move(ids)));
  f.entries = entries;
  f.this_update = list.this_update;
  f.next_update = list.next_update;
  f.told_overdue = false;
  spdlog::info("revocation list {}: {} certificates of {}", f.path.string(), entries, list.issuer);
  co_return result<void>();
}

io::task<void> revocation_files::look() {
  for (auto& f : files_) {
    auto look_at = [path = f.path] { return marks_of(path); };
    const auto marks = co_await io::run_on(disk_, std::move(look_at));
    if (marks != f.seen || marks.empty()) {
      const auto done = co_await read(f);
      const auto problem = done ? std::string() : done.error().message();
      if (!done && problem != f.problem)
        spdlog::error("revocation list {}: what the file has cannot be used, the {} entries of before stay: {}",
                      f.path.string(), f.entries, problem);
      f.problem = problem;
    }
    if (is_overdue(f) && !std::exchange(f.told_overdue, true))
      spdlog::error("revocation list {}: the next was due at {}: what was revoked since is not known, and let in",
                    f.path.string(), format_rfc3339(*f.next_update));
  }
}

io::task<void> revocation_files::look_forever() {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  for (bool on = true; on;) {
    on = co_await io::sleep_for(look_every);
    if (on) co_await look();
  }
}

std::vector<revocation_files::state> revocation_files::states() const {
  std::vector<state> out;
  for (const auto& f : files_) out.push_back({f.problem.empty() && !is_overdue(f), f.entries});
  return out;
}

}  // namespace evp::backend
