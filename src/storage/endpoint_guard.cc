#include "storage/endpoint_guard.h"

#include <fmt/format.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace evp::storage {
namespace {

constexpr std::size_t addresses_max = 64;  // a name with more is refused rather than judged for ever

class system_resolver final : public resolver {
 public:
  io::task<result<std::vector<ip_address>>> resolve(std::string host) override {
    boost::system::error_code ec;
    io::asio::ip::tcp::resolver names(co_await io::asio::this_coro::executor);
    auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
    auto found = co_await names.async_resolve(host, "", token);
    if (ec == io::asio::error::host_not_found) co_return fail(errc::not_found, "no such host");
    if (ec) co_return fail(errc::unavailable, ec.message());
    std::vector<ip_address> addresses;
    for (const auto& entry : found) {
      auto a = ip_address::parse(entry.endpoint().address().to_string());
      if (!a) co_return fail(errc::unavailable, "the resolver gave an address with a zone");
      addresses.push_back(*a);
    }
    co_return addresses;
  }
};

}  // namespace

std::unique_ptr<resolver> make_system_resolver() { return std::make_unique<system_resolver>(); }

result<std::vector<ip_network>> endpoint_guard::parse_networks(const std::vector<std::string>& cidrs) {
  std::vector<ip_network> networks;
  for (const auto& text : cidrs) {
    auto n = ip_network::parse(text);
    if (!n) return fail(std::move(n.error()).during(text).at("allowedEndpointNetworks"));
    networks.push_back(*n);
  }
  return networks;
}

result<void> endpoint_guard::judge(const std::string& host, const ip_address& a) const {
  for (const auto& n : allowed_)
    if (n.contains(a)) return {};
  const auto why = why_not_public(a);
  if (!why) return {};
  const auto text = a.to_string();
  const auto what = text == host || "[" + text + "]" == host ? text : fmt::format("{} leads to {}, which", host, text);
  return fail(errc::permission_denied,
              fmt::format("{} is {}: if it is meant, the operator must list its network in allowedEndpointNetworks",
                          what, *why));
}

io::task<result<ip_address>> endpoint_guard::address_for(std::string url) {
  CO_TRY(const auto e, parse_url(url));
  const auto bare = e.host.starts_with('[') ? e.host.substr(1, e.host.size() - 2) : e.host;
  if (const auto literal = ip_address::parse(bare)) {
    CO_CHECK(judge(e.host, *literal));
    co_return *literal;
  }
  auto found = co_await names_.resolve(e.host);
  if (!found)
    co_return fail(errc::unavailable,
                   fmt::format("the host {} cannot be resolved: {}", e.host, found.error().message()));
  if (found->empty() || found->size() > addresses_max)
    co_return fail(errc::unavailable, fmt::format("the host {} has no address, or too many", e.host));
  for (const auto& a : *found) CO_CHECK(judge(e.host, a));
  co_return found->front();
}

io::task<result<std::string>> endpoint_guard::check_endpoint(std::string url) {
  const auto address = co_await address_for(std::move(url));
  if (address) co_return std::string();
  if (address.error().code() == errc::unavailable) co_return "For now, " + address.error().message() + ".";
  co_return fail(errc::invalid_argument, "endpoint", address.error().message());
}

io::task<result<http::response>> guarded_transport::send(http::request r) {
  std::string url = r.url.reveal();
  CO_TRY(const auto address, co_await guard_.address_for(std::move(url)));
  r.pinned_address = address.to_string();
  auto answer = co_await inner_.send(std::move(r));
  co_return answer;
}

}  // namespace evp::storage
