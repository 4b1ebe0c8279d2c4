#include "mqtt/handle.h"

#include <fcntl.h>

#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <system_error>
#include <thread>

namespace evp::mqtt {
namespace {

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

void initialise_library() {
  static const int once = [] {
    struct sigaction present {};
    if (sigaction(SIGPIPE, nullptr, &present) == 0 && present.sa_handler == SIG_DFL) std::signal(SIGPIPE, SIG_IGN);
    return mosquitto_lib_init();
  }();
  (void)once;
}

void note_error(struct mosquitto*, void* context, int level, const char* text) {
  if (level == MOSQ_LOG_ERR) static_cast<handle*>(context)->last_error = text;
}

// libmosquitto could have the engine itself, but makes it the default for every signature of the process, uploads too;
// and with MOSQ_OPT_SSL_CTX_WITH_DEFAULTS 2.0.11 refuses every broker.
result<void> use_own_tls(handle& h, const options& o) {
  if (!h.own_tls) {
    h.own_tls = make_tls_context(o.host);
    if (!h.own_tls) return fail(errc::unavailable, "no memory for a TLS context");
    mosquitto_void_option(h.mosq, MOSQ_OPT_SSL_CTX, h.own_tls.get());
    mosquitto_int_option(h.mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
  }
  return load_into(h.own_tls.get(), *o.tls);
}

// Runs on the attempt's thread.
attempt_outcome connect_blocking(handle& h, const options& o) {
  h.last_error.clear();
  mosquitto_log_callback_set(h.mosq, note_error);
  if (o.tls && o.tls->key) {
    if (auto done = use_own_tls(h, o); !done) {
      h.last_error = done.error().message();
      return {MOSQ_ERR_TLS, 0};
    }
  } else if (o.tls && !h.tls_ready) {
    const auto& t = *o.tls;
    const char* system_folder = t.ca_file.empty() ? "/etc/ssl/certs" : nullptr;
    const int rc = mosquitto_tls_set(h.mosq, or_null(t.ca_file), system_folder, or_null(t.cert_file),
                                     or_null(t.key_file), nullptr);
    if (rc != MOSQ_ERR_SUCCESS) {
      h.last_error = "the CA, certificate or key file is missing or unreadable";
      return {MOSQ_ERR_TLS, 0};
    }
    h.tls_ready = true;
  }
  errno = 0;
  const auto keepalive = static_cast<int>(o.keepalive.count());
  const int rc = h.opened ? mosquitto_reconnect(h.mosq) : mosquitto_connect(h.mosq, o.host.c_str(), o.port, keepalive);
  const int saved_errno = errno;
  if (rc != MOSQ_ERR_INVAL) h.opened = true;
  const int fd = mosquitto_socket(h.mosq);
  if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return {rc, saved_errno};
}

}  // namespace

handle::handle(const options& o) {
  initialise_library();
  mosq = mosquitto_new(o.client_id.empty() ? nullptr : o.client_id.c_str(), true, this);
  if (!mosq) return;
  mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION, o.version5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
  mosquitto_int_option(mosq, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_max_inflight_messages_set(mosq, static_cast<unsigned>(o.max_in_flight));
  if (!o.username.empty())
    mosquitto_username_pw_set(mosq, o.username.c_str(), o.password.empty() ? nullptr : o.password.reveal().c_str());
}

handle::~handle() { mosquitto_destroy(mosq); }

struct attempt::shared {
  std::mutex mutex;
  io::executor ex;  // keeps the io_context running; empty once abandoned
};

std::shared_ptr<attempt> attempt::start(io::executor ex, std::shared_ptr<handle> h, options o,
                                        std::function<void(attempt_outcome)> done) {
  auto self = std::make_shared<attempt>();
  self->shared_ = std::make_shared<shared>();
  self->shared_->ex = io::asio::prefer(ex, io::asio::execution::outstanding_work.tracked);
  o.password = secret();  // the handle has it already
  auto work = [s = self->shared_, h, o = std::move(o), done]() mutable {
    const auto outcome = connect_blocking(*h, o);
    h.reset();
    const std::lock_guard lock(s->mutex);
    if (!s->ex) return;
    io::asio::post(s->ex, [done = std::move(done), outcome] { done(outcome); });
    s->ex = {};
  };
  try {
    std::thread(std::move(work)).detach();
  } catch (const std::system_error& no_thread) {
    self->shared_->ex = {};
    const attempt_outcome outcome{MOSQ_ERR_ERRNO, no_thread.code().value()};
    io::asio::post(ex, [done, outcome] { done(outcome); });
  }
  return self;
}

void attempt::abandon() {
  const std::lock_guard lock(shared_->mutex);
  shared_->ex = {};
}

}  // namespace evp::mqtt
