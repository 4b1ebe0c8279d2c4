// For tests: a transport behind which the test itself is the issuer. Requests are kept as they came.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <map>

#include "base/encoding.h"
#include "http/client.h"
#include "http/test_run.h"

namespace evp::auth {

class test_transport final : public http::transport {
 public:
  using script = std::function<result<http::response>(const http::request&)>;
  explicit test_transport(script s = {}) : answer(std::move(s)) {}

  script answer;
  std::deque<http::request> seen;

  io::task<result<http::response>> send(http::request r) override {
    seen.push_back(r);
    auto out = answer(r);
    co_return out;
  }
  const http::request& last() const { return seen.back(); }
};

inline http::response answered(int status, std::string body = {}, http::headers fields = {}) {
  http::response r;
  r.status = status;
  r.body = std::move(body);
  r.fields = std::move(fields);
  return r;
}

inline std::string body_of(const http::request& r) {
  const auto* text = std::get_if<std::string>(&r.body);
  return text ? *text : std::string();
}

/// The decoded fields of a form; '+' is no space here, since Ceph RGW does not read it so.
inline std::map<std::string, std::string> form_of(const http::request& r) {
  std::map<std::string, std::string> out;
  std::string body = body_of(r);
  for (std::size_t at = 0; at <= body.size() && !body.empty();) {
    const auto end = std::min(body.find('&', at), body.size());
    const auto pair = body.substr(at, end - at);
    const auto equals = pair.find('=');
    out[percent_decode(pair.substr(0, equals)).value()] = percent_decode(pair.substr(equals + 1)).value();
    at = end + 1;
  }
  return out;
}

/// Runs one fetch to its end.
template <class T>
auto fetched(T& source) {
  io::asio::io_context ctx;
  return http::run(ctx, source.fetch());
}

}  // namespace evp::auth
