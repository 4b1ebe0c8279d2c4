// What every test of the suite works with: a configured driver on its real server, and a device.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/crypto.h"
#include "servers.h"
#include "storages.h"

namespace evp {

using storage::operation;

/// Leads what is meant for a machine's metadata server to its double.
class double_of_metadata final : public http::transport {
 public:
  explicit double_of_metadata(http::transport& inner) : inner_(inner) {}
  io::task<result<http::response>> send(http::request r) override {
    const auto& url = r.url.reveal();
    r.url = secret(servers::value("GCP_IDENTITY_HTTP") + url.substr(url.find('/', url.find("://") + 3)));
    auto answer = co_await inner_.send(std::move(r));
    co_return answer;
  }

 private:
  http::transport& inner_;
};

/// A configured driver, the executor it runs on, and a device.
struct conformance : testing::TestWithParam<storage_setup> {
  io::asio::io_context context;
  std::unique_ptr<http::client> client = std::make_unique<http::client>(context.get_executor());
  io::manual_clock clock{io::system_clock().now()};
  const secret local_key{"conformance"};
  double_of_metadata metadata{*client};
  std::unique_ptr<storage::driver> driver;
  std::unique_ptr<device> actor;

  void SetUp() override {
    driver = make({});
    const auto& p = GetParam();
    if (p.type == "LOCAL")
      actor = make_local_device(local_key, root(), device_clock);
    else
      actor = p.agent ? make_agent_device() : make_runtime_device(*client, p.ca_pem());
    ASSERT_TRUE(run(driver->prepare()));
  }

  void TearDown() override { return_to_now(); }

  /// What `make` gives, and then an hour passes: on the backend's clock, or on that of the storage until
  /// return_to_now().
  template <class F>
  auto made_an_hour_ago(F make) {
    const bool own = GetParam().own_clock;
    (void)make();  // a credential that is needed is fetched at the issuer's time
    if (!own) clock.advance(-std::chrono::hours(1));
    auto made = make();
    if (own) move_storages_clock("3600");
    if (!own) clock.advance(std::chrono::hours(1));
    return made;
  }
  void return_to_now() {
    if (moved_) move_storages_clock("0");
  }

  /// One for each setup, since some share a server.
  std::string container() const {
    auto name = "evp-" + GetParam().name;
    for (char& c : name) c = c == '_' ? '-' : char(std::tolower(c));
    return name;
  }
  static std::filesystem::path root() { return servers::folder() / "local"; }

  std::unique_ptr<storage::driver> make(const std::map<std::string, std::string>& instead) {
    storage::option_values values;
    auto options = GetParam().options();
    options["container"] = container();
    for (const auto& [name, value] : instead) options[name] = value;
    for (const auto& [name, value] : options) values.set(name, secret(value), true);
    storage::driver_context c{*client, clock, GetParam().ca_pem(), root(), "http://127.0.0.1:8080", local_key};
    c.metadata = &metadata;
    c.token_folders = auth::token_folders({servers::folder() / "doubles", servers::value("RGW_TOKENS")});
    auto made = (*storage::find_driver_type(GetParam().type))->make(values, c);
    if (!made) throw std::runtime_error(made.error().message());
    return std::move(made->instance);
  }

  template <class T>
  T run(io::task<T> t) {
    std::optional<T> out;
    io::asio::co_spawn(context, std::move(t), [&](std::exception_ptr e, T v) {
      if (e) std::rethrow_exception(e);
      out.emplace(std::move(v));
    });
    context.restart();
    while (!out) context.run_one();
    return std::move(*out);
  }

  result<storage::signed_request> grant(operation op, const std::string& object, milliseconds lifetime = seconds(120)) {
    storage::sign_spec s;
    s.op = op;
    s.object = object;
    s.lifetime = lifetime;
    s.portless_host = GetParam().agent;
    if (op == operation::put) s.fields = GetParam().service_fields;
    return run(driver->sign(s));
  }

  /// The status that the storage answers; 0 for no answer.
  int status(const std::string& method, const std::string& url, const http::headers& fields,
             const std::string& body = "body") {
    auto answer = run(actor->send(method, url, fields, body));
    EXPECT_TRUE(answer) << answer.error().message();
    return answer ? answer->status : 0;
  }
  int execute(const storage::signed_request& g, const std::string& body = "body") {
    return status(g.method, g.url.reveal(), g.fields, g.body_prefix.reveal() + body + g.body_suffix.reveal());
  }

  bool exists(const std::string& object) {
    const auto info = run(driver->stat(object));
    EXPECT_TRUE(info || info.error().code() == errc::not_found) << info.error().message();
    return info.has_value();
  }
  bool enforces(storage::bound b) const { return driver->caps().enforces.has(b); }
  static bool is_refusal(int status) { return status >= 400 && status < 500; }

  /// The text with another character in its signature, which stays well-formed.
  static std::string forged(std::string text) {
    // BOS's signature is the end of its last parameter, Kodo's follows the access key in its token.
    for (const auto& [mark, offset] :
         {std::pair("ignature=", 9), std::pair("sig=", 4), std::pair("md5=", 4), std::pair("authorization=", -1),
          std::pair("token=", 0), std::pair("\"token\"", 0), std::pair("/p/", 3), std::pair("upload_id=", 10)}) {
      auto at = text.find(mark);
      if (at == text.npos) continue;
      at = offset < 0 ? text.size() - 1 : offset > 0 ? at + std::size_t(offset) : text.find(':', at) + 1;
      text[at] = text[at] == 'a' ? 'b' : 'a';
      return text;
    }
    ADD_FAILURE() << "no signature found";
    return text;
  }
  static std::string forged(const secret& url) { return forged(url.reveal()); }
  /// The grant with another character in what proves it: its signature, or the Authorization that it carries instead.
  static storage::signed_request forged(storage::signed_request g) {
    for (auto& f : g.fields) {
      if (f.name != "Authorization") continue;
      f.value[10] = f.value[10] == 'a' ? 'b' : 'a';
      return g;
    }
    auto& holder = g.body_prefix.empty() ? g.url : g.body_prefix;
    holder = secret(forged(holder));
    return g;
  }
  /// The grant with another word in place of one in its URL, its fields or the text around the bytes.
  static storage::signed_request renamed(storage::signed_request g, std::string_view from, std::string_view to) {
    bool found = false;
    for (auto* part : {&g.url, &g.body_prefix}) {
      auto text = part->reveal();
      const auto at = text.find(from);
      if (at == text.npos) continue;
      *part = secret(text.replace(at, from.size(), to));
      found = true;
    }
    for (auto& f : g.fields) {
      const auto at = f.value.find(from);
      if (at == f.value.npos) continue;
      f.value.replace(at, from.size(), to);
      found = true;
    }
    EXPECT_TRUE(found);
    return g;
  }

  io::system_clock device_clock;

 private:
  void move_storages_clock(const std::string& seconds_ahead) {
    http::request r;
    r.method = "POST";
    r.url = secret(GetParam().options().at("endpoint") + "/double/clock");
    r.body = seconds_ahead;
    const auto answer = run(client->send(std::move(r)));
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->status, 204);
    moved_ = seconds_ahead != "0";
  }
  bool moved_ = false;
};

inline std::string name_of(const testing::TestParamInfo<storage_setup>& info) { return info.param.name; }

}  // namespace evp
