// The device daemon's parts, joined.
#include "runtime/runtime.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>

#include <cerrno>

namespace evp::runtime {

namespace {
http::client_options connections_for(const upload::limits& l) {
  http::client_options o;
  // Every transfer may go to the same storage, and module downloads must not wait for them.
  o.connections_per_host = int(l.transfers) + 4;
  o.idle_connections = int(l.transfers) + 4;
  return o;
}
}  // namespace

daemon::daemon(io::executor ex, runtime_options options)
    : ex_(ex),
      options_(std::move(options)),
      http_(ex, connections_for(options_.uploads.limits)),
      certificates_(options_.data_directory / "certificates"),
      twins_(options_.data_directory / "twins"),
      hub_(ex, clock_, options_.broker, options_.hub, twins_, disk_),
      files_(io::fs::absolute(options_.data_directory), options_.modules.separate_users),
      status_(ex, [this] { return status(); }),
      background_(ex) {}

daemon::~daemon() = default;

result<void> daemon::start() {
  CHECK(io::make_directories(options_.data_directory));
  CHECK(lock_data_directory());
  CHECK(certificates_.open());
  // After open(): the engine begins with the certificates that are there.
  options_.uploads.folder = io::fs::absolute(options_.data_directory) / "queue";
  uploader_ =
      std::make_unique<upload::uploader>(ex_, clock_, http_, certificates_, hub_, files_, disk_, options_.uploads);
  CHECK(uploader_->start());
  began_ = clock_.steady();
  const auto socket = options_.uploads.folder.parent_path() / "status.sock";
  if (auto shown = status_.start(socket.string()); !shown)
    spdlog::warn("evpctl runtime status will not work: {}", shown.error().message());
  options_.modules.data = io::fs::absolute(options_.data_directory);
  options_.modules.ca_pem = options_.uploads.default_ca_pem;
  options_.modules.via = options_.uploads.via;
  TRY(modules_, supervisor::create(ex_, options_.modules, http_, *uploader_));
  modules_->connect(&hub_);

  hub_events events;
  events.connected = [this] { uploader_->hub_connected(); };
  events.disconnected = [this] { uploader_->hub_disconnected(); };
  events.answer = [this](std::string_view id, result<wire::hub_response> answer) {
    uploader_->hub_answered(id, std::move(answer));
  };
  hub_.start(*modules_, std::move(events));
  if (options_.identity) {
    identity_.emplace(http_, clock_, *options_.identity);
    background_.spawn(identity_->renew_forever());
  }
  return {};
}

io::task<void> daemon::stop(milliseconds grace) {
  if (!modules_) co_return;
  co_await background_.stop();
  co_await status_.stop();
  co_await modules_->stop();
  co_await uploader_->stop();
  co_await hub_.stop(grace);
  disk_.join();
}

std::string daemon::status() const {
  wire::runtime_status s;
  s.version = EVP_VERSION;
  s.connected = hub_.connected();
  s.up = std::chrono::duration_cast<milliseconds>(clock_.steady() - began_);
  uploader_->fill(s);
  return wire::encode(s);
}

result<void> daemon::lock_data_directory() {
  const auto path = options_.data_directory / "lock";
  lock_ = io::unique_fd(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_) return fail(errno_error(errno, "open " + path.string()));
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return fail(errno_error(errno, "lock " + path.string()));
  return fail(errc::failed_precondition, "another evp-runtime uses " + options_.data_directory.string() +
                                             ": stop it, or give this one a data directory of its own");
}

}  // namespace evp::runtime
