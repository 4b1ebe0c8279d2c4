// The one HTTP server: accepts connections, gives each a coroutine, stops them in order.
#include "http/server_connection.h"

namespace evp::http {
namespace {

/// DER; empty: the client has shown none.
std::string peer_certificate(const SSL* connection) {
  const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get1_peer_certificate(connection), X509_free);
  unsigned char* der = nullptr;
  const int size = shown ? i2d_X509(shown.get(), &der) : 0;
  std::string out(reinterpret_cast<const char*>(der), size > 0 ? std::size_t(size) : 0);
  OPENSSL_free(der);
  return out;
}

/// Asks for a certificate, and takes any: the handshake proves that the client has its key, and who it is is for the
/// route to find out. The issuer's name keeps browsers from asking their users for other certificates.
bool ask_for_certificate(SSL_CTX* context, const std::string& issuer) {
  const std::unique_ptr<X509_NAME, decltype(&X509_NAME_free)> name(X509_NAME_new(), X509_NAME_free);
  const auto* text = reinterpret_cast<const unsigned char*>(issuer.data());
  if (!name || X509_NAME_add_entry_by_txt(name.get(), "CN", MBSTRING_UTF8, text, int(issuer.size()), -1, 0) != 1)
    return false;
  const std::unique_ptr<X509, decltype(&X509_free)> bearer(X509_new(), X509_free);  // OpenSSL takes names from one
  if (!bearer || X509_set_subject_name(bearer.get(), name.get()) != 1) return false;
  constexpr unsigned char sessions_of[] = "evp-backend";  // resumed ones keep the certificate
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
  return SSL_CTX_add_client_CA(context, bearer.get()) == 1 &&
         SSL_CTX_set_session_id_context(context, sessions_of, sizeof sessions_of - 1) == 1;
}

}  // namespace

io::task<void> server::state::serve(std::shared_ptr<state> s, tcp::socket socket) {
  error_code ec;
  socket.set_option(tcp::no_delay(true), ec);
  const auto peer = socket.remote_endpoint(ec);
  const auto address = ec ? std::string() : peer.address().to_string();
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  beast::tcp_stream plain(std::move(socket));
  const auto mine = s->live.add(
      address, [&plain] { plain.close(); }, s->clock.steady());
  try {
    if (s->tls) {
      beast::ssl_stream<beast::tcp_stream&> stream(plain, *s->tls);
      plain.expires_after(std::min(handshake_time, s->options.idle_timeout));
      co_await stream.async_handshake(asio::ssl::stream_base::server, token);
      if (ec) {
        s->live.counts.handshake += !mine->closed;
      } else {
        connection<beast::ssl_stream<beast::tcp_stream&>> c(*s, stream, mine, address,
                                                            peer_certificate(stream.native_handle()));
        co_await c.run();
      }
    } else {
      connection<beast::tcp_stream> c(*s, plain, mine, address, "");
      co_await c.run();
    }
  } catch (const boost::system::system_error&) {
    // stop() has cancelled us at a co_await; the socket closes with this frame
  }
  s->live.remove(mine);
  s->changed.cancel();
}

/// Makes room, and tells of it once in a while.
void server::state::displace() {
  all_taken = !live.displace();
  const auto now = clock.steady();
  if (warned != steady_time() && now - warned < warn_every) return;
  warned = now;
  spdlog::warn("http: all {} connections are taken: {}", options.max_connections,
               all_taken ? "newcomers wait" : "those that wait longest for their clients give way to newcomers");
}

io::task<void> server::state::accept_all(std::shared_ptr<state> s) {
  error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  while (!s->stopping) {
    if (s->live.size() >= s->options.max_connections) {  // the rest waits in the listen queue
      co_await s->acceptor.async_wait(tcp::acceptor::wait_read, token);
      if (s->stopping || ec == asio::error::operation_aborted) co_return;
      if (s->live.size() < s->options.max_connections) continue;
      s->displace();
      co_await s->changed.async_wait(token);
      s->all_taken = false;
      continue;
    }
    tcp::socket socket = co_await s->acceptor.async_accept(token);
    if (s->stopping || ec == asio::error::operation_aborted) co_return;
    if (ec) {
      const bool waited = co_await io::sleep_for(accept_pause);
      if (!waited) co_return;
      continue;
    }
    s->tasks.spawn(serve(s, std::move(socket)));
  }
}

result<void> server::state::load_tls() {
  if (!options.tls) return {};
  tls.emplace(asio::ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(tls->native_handle(), TLS1_2_VERSION);
  error_code ec;
  tls->use_certificate_chain_file(options.tls->certificate_chain.string(), ec);
  if (ec)
    return fail(errc::invalid_argument, "certificate_chain",
                "no PEM certificate can be read from " + options.tls->certificate_chain.string());
  tls->use_private_key_file(options.tls->private_key.string(), asio::ssl::context::pem, ec);
  if (ec)
    return fail(errc::invalid_argument, "private_key",
                "no PEM private key that fits the certificate can be read from " + options.tls->private_key.string());
  const auto& issuer = options.tls->client_issuer;
  if (!issuer.empty() && !ask_for_certificate(tls->native_handle(), issuer))
    return fail(errc::invalid_argument, "client_issuer", "\"" + issuer + "\" is no common name of an issuer");
  return {};
}

result<void> server::state::bind() {
  error_code ec;
  const auto address = asio::ip::make_address(options.address == "localhost" ? "127.0.0.1" : options.address, ec);
  if (ec) return fail(errc::invalid_argument, "address", "'" + options.address + "' is no IP address to listen on");
  const tcp::endpoint at(address, options.port);
  const auto where = "listen on " + options.address + " port " + std::to_string(options.port);
  acceptor.open(at.protocol(), ec);
  if (ec) return fail(errno_error(ec.value(), where));
  acceptor.set_option(asio::socket_base::reuse_address(true), ec);
  acceptor.bind(at, ec);
  if (ec == asio::error::address_in_use)
    return fail(errc::unavailable, "port",
                where + ": another program uses this port: stop it ('ss -ltnp' names it) or choose another port");
  if (ec == asio::error::access_denied)
    return fail(errc::permission_denied, "port",
                where + ": not allowed: choose a port above 1023 or grant CAP_NET_BIND_SERVICE");
  if (ec) return fail(errno_error(ec.value(), where));
  acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec == asio::error::address_in_use)
    return fail(errc::unavailable, "port",
                where + ": another program uses this port: stop it ('ss -ltnp' names it) or choose another port");
  if (ec) return fail(errno_error(ec.value(), where));
  port = acceptor.local_endpoint(ec).port();
  return {};
}

server::server(io::executor ex, router routes, server_options options)
    : state_(std::make_shared<state>(std::move(ex), std::move(routes), std::move(options))) {}

server::~server() {
  state_->stopping = true;
  error_code ec;
  state_->acceptor.close(ec);
  state_->changed.cancel();
  state_->live.close_all();
}

result<void> server::start() {
  CHECK(state_->load_tls());
  auto bound = state_->bind();
  if (!bound) {
    error_code ec;
    state_->acceptor.close(ec);
    return bound;
  }
  state_->tasks.spawn(state::accept_all(state_));
  return {};
}

std::uint16_t server::port() const noexcept { return state_->port; }

connection_counts server::count() const {
  auto out = state_->live.counts;
  out.open = state_->live.size();
  return out;
}

io::task<void> server::stop(milliseconds grace) {
  const auto s = state_;
  s->stopping = true;
  error_code ec;
  s->acceptor.close(ec);
  s->changed.cancel();
  s->live.close_idle();

  asio::steady_timer over(s->ex, grace);
  const auto expired = std::make_shared<bool>(false);
  over.async_wait([s, expired](error_code e) {
    if (e) return;
    *expired = true;
    s->changed.cancel();
  });
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  while (s->live.size() > 0 && !*expired) co_await s->changed.async_wait(token);
  over.cancel();
  s->live.close_all();
  co_await s->tasks.stop();
}

}  // namespace evp::http
