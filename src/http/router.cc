// The table of routes: which handler a method and a path lead to. No I/O here.
#include <arpa/inet.h>

#include <set>

#include "base/encoding.h"
#include "http/server.h"

namespace evp::http {
namespace {

std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> out;
  if (path.starts_with('/')) path.remove_prefix(1);
  while (true) {
    const auto slash = path.find('/');
    out.push_back(path.substr(0, slash));
    if (slash == path.npos) return out;
    path.remove_prefix(slash + 1);
  }
}

enum class kind { literal, parameter, rest };

kind kind_of(std::string_view segment) {
  if (!segment.starts_with('{') || !segment.ends_with('}')) return kind::literal;
  return segment.ends_with("...}") ? kind::rest : kind::parameter;
}

std::string name_of(std::string_view segment) {
  return std::string(segment.substr(1, segment.size() - (kind_of(segment) == kind::rest ? 5 : 2)));
}

using parameter_map = std::map<std::string, std::string, std::less<>>;

/// The pattern's kinds in order, which compare as "more specific first"; nothing if the path does not match.
std::optional<std::vector<kind>> match(std::string_view pattern, const std::vector<std::string>& path,
                                       parameter_map& out) {
  const auto parts = segments_of(pattern);
  std::vector<kind> kinds;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    kinds.push_back(kind_of(parts[i]));
    if (i >= path.size()) return {};
    if (kinds.back() == kind::literal && parts[i] != path[i]) return {};
    if (kinds.back() == kind::parameter) {
      if (path[i].empty()) return {};
      out[name_of(parts[i])] = path[i];
    }
    if (kinds.back() == kind::rest) {
      auto rest = path[i];
      for (auto k = i + 1; k < path.size(); ++k) rest.append("/").append(path[k]);
      if (rest.empty()) return {};
      out[name_of(parts[i])] = std::move(rest);
      return kinds;
    }
  }
  if (path.size() != parts.size()) return {};
  return kinds;
}

}  // namespace

void router::add(std::string method, std::string pattern, handler h, route_options options) {
  routes_.push_back({std::move(method), std::move(pattern), std::move(h), options});
}
void router::set_gate(gate g) { gate_ = std::move(g); }
void router::set_error_writer(error_writer w) { error_writer_ = std::move(w); }
void router::set_observer(observer o) { observer_ = std::move(o); }

std::vector<std::pair<std::string, std::string>> router::table() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& r : routes_) out.emplace_back(r.method, r.pattern);
  return out;
}

router::lookup router::find(std::string_view method, std::string_view path) const {
  lookup out;
  std::vector<std::string> decoded;
  for (const auto segment : segments_of(path)) {
    auto text = percent_decode(segment);
    if (!text || has_control_characters(*text)) {
      out.malformed = true;
      return out;
    }
    decoded.push_back(std::move(*text));
  }

  std::set<std::string> methods;
  std::pair<std::vector<kind>, bool> best;  // the kinds, then whether only GET stands in for HEAD
  for (const auto& r : routes_) {
    parameter_map parameters;
    auto kinds = match(r.pattern, decoded, parameters);
    if (!kinds) continue;
    methods.insert(r.method);
    if (r.method == "GET") methods.insert("HEAD");
    const bool stands_in = method == "HEAD" && r.method == "GET";
    if (r.method != method && !stands_in) continue;
    std::pair candidate(std::move(*kinds), stands_in);
    if (out.found != nullptr && !(candidate < best)) continue;
    best = std::move(candidate);
    out.found = &r;
    out.parameters = std::move(parameters);
  }
  for (const auto& m : methods) out.allowed += (out.allowed.empty() ? "" : ", ") + m;
  return out;
}

bool is_loopback_address(std::string_view address) {
  const std::string text(address);
  in_addr v4;
  in6_addr v6;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return text == "localhost";
}

}  // namespace evp::http
