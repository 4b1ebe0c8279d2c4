// Keeps users' endpoints from leading the backend into its own network (server-side request forgery).
//
// Every request of a driver passes the guard: the host is resolved, all its addresses are judged, and the request is
// pinned to one that was judged, so that a name which changes its address in between (DNS rebinding) gains nothing.
// Redirects are not followed by http::client, so none needs judging.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/client.h"
#include "storage/address.h"
#include "storage/endpoint.h"

namespace evp::storage {

/// Turns host names into addresses. A seam: tests answer what they like.
class resolver {
 public:
  virtual ~resolver() = default;
  /// All addresses of the host, in the order to try them. Errors: not_found (no such host), unavailable.
  virtual io::task<result<std::vector<ip_address>>> resolve(std::string host) = 0;
};

/// The system's resolver (getaddrinfo, on Asio's own thread). Any executor.
std::unique_ptr<resolver> make_system_resolver();

/// Judges endpoints. Confined to one executor.
class endpoint_guard {
 public:
  /// `allowed` names networks that are fine although they are not public: the operator's allowedEndpointNetworks.
  endpoint_guard(resolver& names, std::vector<ip_network> allowed) : names_(names), allowed_(std::move(allowed)) {}

  /// Reads the operator's list. Errors: invalid_argument at "allowedEndpointNetworks", naming the entry.
  static result<std::vector<ip_network>> parse_networks(const std::vector<std::string>& cidrs);

  /// The address to connect to for that URL. Errors: invalid_argument (URL), permission_denied (an address of the host
  /// is not public and not allowed; says which and why), unavailable (the host cannot be resolved).
  io::task<result<ip_address>> address_for(std::string url);

  /// For a new or changed service: refuses what address_for refuses for good. A host that does not resolve now is
  /// accepted, since every request is judged again; the answer is then a warning sentence, else empty.
  /// Errors: invalid_argument at "endpoint".
  io::task<result<std::string>> check_endpoint(std::string url);

 private:
  result<void> judge(const std::string& host, const ip_address& a) const;

  resolver& names_;
  std::vector<ip_network> allowed_;
};

/// Lets through only what the guard lets through, pinned to the judged address. The inner transport and the guard
/// outlive it.
class guarded_transport final : public http::transport {
 public:
  guarded_transport(http::transport& inner, endpoint_guard& guard) : inner_(inner), guard_(guard) {}
  /// Errors: those of endpoint_guard::address_for and of the inner transport.
  io::task<result<http::response>> send(http::request r) override;

 private:
  http::transport& inner_;
  endpoint_guard& guard_;
};

}  // namespace evp::storage
