// Devices of the suite: they execute a grant as it stands and know nothing of storages.
#pragma once

#include <memory>

#include "http/client.h"
#include "storage/driver.h"

namespace evp {

/// Sends one request and gives its answer.
class device {
 public:
  virtual ~device() = default;
  /// method, url and fields may differ from the grant's: that is how the suite attacks.
  virtual io::task<result<http::response>> send(std::string method, std::string url, http::headers fields,
                                                std::string body) = 0;
};

/// Our runtime's way: http::client, Host with the port.
std::unique_ptr<device> make_runtime_device(http::transport& transport, std::string ca_pem);

/// The public agent's way (docs/protocol.md): its field order, Host without the port, a request head of at most 2,176
/// bytes, Connection: close. Blocks; http and IPv4 only, as that agent.
std::unique_ptr<device> make_agent_device();

/// For the LOCAL store: what the backend's HTTP route does with a request, without a network between.
std::unique_ptr<device> make_local_device(secret key, std::filesystem::path root, const io::clock& clock);

}  // namespace evp
