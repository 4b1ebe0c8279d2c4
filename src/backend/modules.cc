#include "backend/modules.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/encoding.h"
#include "base/names.h"
#include "sql/changes_store.h"
#include "sql/deployments_store.h"
#include "sql/modules_store.h"

namespace evp::backend {
namespace {

constexpr std::string_view upload_prefix = ".upload-";

tl::unexpected<error> no_module() { return fail(errc::not_found, "there is no module of that id"); }

result<void> write_all(int fd, const std::string& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const auto n = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error(errno, "write the module's file"));
    done += std::size_t(n);
  }
  return {};
}

result<void> make_durable(int fd, const io::fs::path& from, const io::fs::path& to) {
  if (::fsync(fd) != 0) return fail(errno_error(errno, "write the module's file"));
  if (::rename(from.c_str(), to.c_str()) != 0) return fail(errno_error(errno, "rename the module's file"));
  return io::sync_directory(to.parent_path());
}

}  // namespace

module_upload::module_upload(modules& owner, std::string id, io::fs::path path, io::unique_fd fd, origin by)
    : owner_(owner), by_(std::move(by)), id_(std::move(id)), path_(std::move(path)), fd_(std::move(fd)) {
  ++owner_.uploads_;
}

module_upload::~module_upload() {
  --owner_.uploads_;
  if (!finished_) ::unlink(path_.c_str());
}

io::task<result<void>> module_upload::write(std::string bytes) {
  if (bytes.size() > modules::max_module_bytes - size_)
    co_return fail(errc::too_large, fmt::format("a module file must have at most {} bytes", modules::max_module_bytes));
  size_ += bytes.size();
  hash_.update(bytes);
  auto work = [fd = fd_.get(), b = std::move(bytes)] { return write_all(fd, b); };
  auto outcome = co_await io::run_on(owner_.c_.disk, std::move(work));
  co_return outcome;
}

io::task<result<module_view>> module_upload::finish() {
  if (size_ == 0) co_return fail(errc::invalid_argument, "the module file is empty");
  module_view made{id_, size_, to_hex(hash_.finish()), owner_.c_.clock.now()};
  const auto known = [this, &made]() -> std::optional<result<module_view>> {
    const auto found = owner_.all_.find(id_);
    if (found == owner_.all_.end()) return std::nullopt;
    if (found->second.sha256 == made.sha256) return found->second;
    return result<module_view>(
        fail(errc::already_exists, "id",
             "there is a module of that id with other bytes: devices never load an id anew, so give each "
             "version an id of its own"));
  };
  if (auto already = known()) co_return std::move(*already);

  auto work = [fd = fd_.get(), from = path_, to = owner_.path_of(made)] { return make_durable(fd, from, to); };
  CO_CHECK(co_await io::run_on(owner_.c_.disk, std::move(work)));
  finished_ = true;
  if (auto already = known()) co_return std::move(*already);
  sql::module_row row{made.id, std::int64_t(made.size_bytes), made.sha256, made.created_at.time_since_epoch().count()};
  auto note = done_now(owner_.c_.clock, by_, action::module_upload, kind::module_file, id_, "sha256=" + made.sha256);
  std::function<result<void>(sql::connection&)> insert = [row, note](sql::connection& c) {
    sql::note_change(c, "module", row.id);
    return noted(c, note, sql::insert_module(c, row));
  };
  const auto stored = co_await owner_.c_.db.run<void>(std::move(insert));
  if (!stored) {
    if (auto already = known()) co_return std::move(*already);
    co_return fail(stored.error());
  }
  owner_.all_[id_] = made;
  co_return made;
}

modules::modules(context c) : c_(std::move(c)) {}

io::task<result<void>> modules::load() {
  CO_CHECK(io::make_directories(c_.folder));
  CO_CHECK(co_await refresh());
  if (c_.db.is_shared()) co_return result<void>();  // the folder may be another's too, who is writing to it now
  std::error_code ec;
  for (const auto& f : io::fs::directory_iterator(c_.folder, ec)) {
    std::error_code ignored;
    if (f.path().filename().string().starts_with(upload_prefix)) io::fs::remove(f.path(), ignored);
  }
  co_return result<void>();
}

io::task<result<void>> modules::refresh() {
  std::function<result<std::vector<sql::module_row>>(sql::connection&)> read = sql::list_modules;
  CO_TRY(const auto rows, co_await c_.db.run<std::vector<sql::module_row>>(std::move(read)));
  decltype(all_) all;
  for (const auto& r : rows)
    all[r.id] = {r.id, std::uint64_t(r.size_bytes), r.sha256, timestamp(milliseconds(r.created_at))};
  all_ = std::move(all);
  co_return result<void>();
}

result<std::unique_ptr<module_upload>> modules::begin(std::string id, origin by) {
  if (auto ok = check_scoped_name(id, "a module's id"); !ok) return fail(std::move(std::move(ok).error()).at("id"));
  if (all_.size() >= max_modules)
    return fail(errc::too_large, "this backend's number of modules is reached: remove some");
  if (uploads_ >= max_uploads)
    return fail(error(errc::rate_limited, "too many module uploads at once").after(milliseconds(5000)));
  auto path = c_.folder / (std::string(upload_prefix) + random_id());
  io::unique_fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail(errno_error(errno, "make the module's file"));
  return std::unique_ptr<module_upload>(
      new module_upload(*this, std::move(id), std::move(path), std::move(fd), std::move(by)));
}

std::vector<module_view> modules::list(std::string_view tenant) const {
  std::vector<module_view> out;
  for (const auto& [id, m] : all_)
    if (tenant_of(id) == tenant) out.push_back(m);
  return out;
}

result<module_view> modules::get(std::string_view id) const {
  const auto found = all_.find(id);
  if (found == all_.end()) return no_module();
  return found->second;
}

io::task<result<void>> modules::remove(std::string id, origin by) {
  const auto found = all_.find(id);
  if (found == all_.end()) co_return no_module();
  const auto gone = found->second;
  std::function<result<void>(sql::connection&)> drop = [id, note = done_now(c_.clock, by, action::module_remove,
                                                                            kind::module_file,
                                                                            id)](sql::connection& c) -> result<void> {
    TRY(auto users, sql::devices_using_module(c, id, 3));
    for (auto& u : users) u = local_name(u);  // of the module's tenant, all of them
    if (!users.empty())
      return fail(errc::failed_precondition,
                  fmt::format("the module is deployed on {}{}: change those deployments first", fmt::join(users, ", "),
                              users.size() == 3 ? " and perhaps more" : ""));
    sql::note_change(c, "module", id);
    return noted(c, note, sql::remove_module(c, id)).map([](bool) {});
  };
  CO_CHECK(co_await c_.db.run<void>(std::move(drop)));
  all_.erase(id);
  const bool shared =
      std::any_of(all_.begin(), all_.end(), [&](const auto& m) { return m.second.sha256 == gone.sha256; });
  if (!shared) {
    std::error_code ignored;
    io::fs::remove(path_of(gone), ignored);
  }
  co_return result<void>();
}

std::string modules::signature(std::string_view id, std::string_view exp) const {
  return to_base64url(hmac_sha256(c_.signing_key.reveal(), fmt::format("module\n{}\n{}", id, exp)));
}

result<secret> modules::signed_url(std::string_view id) const {
  if (!all_.contains(id)) return no_module();
  const auto exp =
      fmt::format("{}", std::chrono::floor<seconds>(c_.clock.now() + url_lifetime).time_since_epoch().count());
  return secret(fmt::format("{}/modules/{}?exp={}&sig={}", c_.base_url, percent_encode(id), exp, signature(id, exp)));
}

result<module_file> modules::verify(std::string_view id, std::string_view exp, std::string_view sig) const {
  if (!equal_in_constant_time(signature(id, exp), sig))
    return fail(errc::permission_denied, "the signature of this URL is not right");
  std::int64_t until = 0;
  const auto read = std::from_chars(exp.data(), exp.data() + exp.size(), until);
  if (read.ec != std::errc() || timestamp(seconds(until)) <= c_.clock.now())
    return fail(errc::permission_denied, "this URL has expired: ask for the deployment again");
  TRY(auto m, get(id));
  return module_file{path_of(m), std::move(m)};
}

}  // namespace evp::backend
