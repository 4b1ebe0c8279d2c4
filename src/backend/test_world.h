// For tests: a whole backend over a real SQLite file, with a storage, a gateway and a clock that the test steers.
#pragma once

#include <deque>

#include "backend/backend.h"
#include "backend/blocking.h"
#include "sql/test_database.h"

namespace evp::backend {

/// What the driver type FAKE talks to.
struct fake_storage {
  std::map<std::string, std::string> objects;
  std::optional<error> failure;  ///< of every call that would need the network
  std::optional<error> sign_failure;
  milliseconds delay{0};
  int prepared = 0, stats = 0;
  bool lies_about_size = false;
  std::optional<std::string> committed_meanwhile;
  std::optional<timestamp> modified_at;  ///< of every object
  std::optional<auth::credential_health> health;
  int retired = 0;
  std::vector<storage::sign_spec> signs;
  std::uint64_t max_put_bytes = 1000;
  bool takes_parts = false, parts_in_order = false;
  std::function<void()> on_sign_part = [] {};
  std::optional<storage::signed_request> grant;  ///< what every signature is like, where not a plain PUT
  storage::bounds enforces, by_form;
  bool can_stat = true;
  std::map<std::string, std::map<unsigned, std::uint64_t>> parts;  ///< sizes that arrived, by upload and number
  milliseconds commit_delay{0};
  int commits = 0;
  static inline fake_storage* current = nullptr;
};

class fake_driver final : public storage::driver {
 public:
  fake_driver(fake_storage& s, const io::clock& clock, std::string endpoint)
      : s_(s), clock_(clock), endpoint_(std::move(endpoint)) {}
  storage::capabilities caps() const noexcept override {
    storage::capabilities c{true, milliseconds(3'600'000), s_.max_put_bytes};
    if (s_.takes_parts) c.parts.emplace();
    if (s_.takes_parts) c.parts->in_order = s_.parts_in_order;
    c.enforces = s_.enforces;
    c.by_form = s_.by_form;
    c.can_stat = s_.can_stat;
    return c;
  }
  io::task<result<storage::signed_request>> sign(storage::sign_spec spec) override {
    if (s_.sign_failure) co_return fail(*s_.sign_failure);
    s_.signs.push_back(spec);
    auto out = s_.grant.value_or(storage::signed_request{});
    if (out.method.empty()) out.method = spec.op == storage::operation::get ? "GET" : "PUT";
    out.url = secret(endpoint_ + "/" + spec.object + "?sig=" + std::to_string(s_.signs.size()));
    out.fields = spec.fields;
    out.expect = {201};
    out.expires_at = clock_.now() + spec.lifetime;
    co_return out;
  }
  io::task<result<void>> prepare() override {
    ++s_.prepared;
    return answer();
  }
  io::task<result<void>> put(std::string object, std::string bytes) override {
    CO_CHECK(co_await answer());
    s_.objects[object] = bytes;
    co_return result<void>();
  }
  io::task<result<storage::object_info>> stat(std::string object) override {
    ++s_.stats;
    CO_CHECK(co_await answer());
    const auto found = s_.objects.find(object);
    if (found == s_.objects.end()) co_return fail(errc::not_found, "no such object");
    storage::object_info info{found->second.size() + (s_.lies_about_size ? 1 : 0), ""};
    info.modified_at = s_.modified_at;
    co_return info;
  }
  io::task<result<std::string>> get(std::string object, std::uint64_t) override {
    CO_CHECK(co_await answer());
    co_return s_.objects[object];
  }
  io::task<result<void>> remove(std::string object) override {
    CO_CHECK(co_await answer());
    s_.objects.erase(object);
    co_return result<void>();
  }
  io::task<result<std::string>> begin_parts(storage::sign_spec) override {
    CO_CHECK(co_await answer());
    const auto id = "up-" + std::to_string(s_.parts.size() + 1);
    s_.parts[id];
    co_return id;
  }
  io::task<result<storage::signed_request>> sign_part(storage::sign_spec spec, std::string id,
                                                      storage::part_place part) override {
    s_.on_sign_part();
    storage::signed_request out;
    out.method = "PUT";
    out.url = secret(endpoint_ + "/" + spec.object + "?up=" + id + "&n=" + std::to_string(part.number));
    out.expires_at = clock_.now() + spec.lifetime;
    co_return out;
  }
  io::task<result<std::vector<storage::stored_part>>> list_parts(std::string, std::string id) override {
    CO_CHECK(co_await answer());
    const auto found = s_.parts.find(id);
    if (found == s_.parts.end()) co_return fail(errc::not_found, "no such upload");
    std::vector<storage::stored_part> out;
    for (const auto& [number, size] : found->second) out.push_back({number, size, "e"});
    co_return out;
  }
  io::task<result<void>> commit_parts(storage::sign_spec spec, std::string id,
                                      std::vector<storage::stored_part> parts) override {
    ++s_.commits;
    if (s_.committed_meanwhile) {  // by a request whose sender is no more
      s_.objects[spec.object] = *s_.committed_meanwhile;
      s_.parts.erase(id);
      co_return fail(errc::not_found, "NoSuchUpload");
    }
    const bool slept = co_await io::sleep_for(s_.commit_delay);
    if (!slept) co_return fail(errc::cancelled, "cancelled");
    std::uint64_t size = 0;
    for (const auto& p : parts) size += p.size;
    s_.objects[spec.object] = std::string(size, 'x');
    s_.parts.erase(id);
    co_return result<void>();
  }
  io::task<result<void>> abort_parts(std::string, std::string id) override {
    s_.parts.erase(id);
    co_return result<void>();
  }

  std::optional<auth::credential_health> health() const override { return s_.health; }
  void retire() override { ++s_.retired; }

 private:
  io::task<result<void>> answer() {
    if (s_.delay.count() > 0) {
      const bool slept = co_await io::sleep_for(s_.delay);
      if (!slept) co_return fail(errc::cancelled, "cancelled");
    }
    if (s_.failure) co_return fail(*s_.failure);
    co_return result<void>();
  }
  fake_storage& s_;
  const io::clock& clock_;
  std::string endpoint_;
};

inline constexpr storage::option_spec fake_options[] = {
    {"endpoint", storage::option_spec::kind::url, true, "where the storage is"},
    {"key", storage::option_spec::kind::secret, true, "the account's key"},
    {"tokenUrl", storage::option_spec::kind::url, false, "where credentials come from"},
    {"pathStyle", storage::option_spec::kind::boolean, false, "buckets in the path"}};

inline result<storage::made_driver> make_fake(const storage::option_values& o, const storage::driver_context& c) {
  if (o.text("key") == "bad") return fail(errc::invalid_argument, "key", "key must be base64");
  storage::made_driver out;
  out.endpoint = o.text("endpoint");
  if (o.has("tokenUrl")) out.others.push_back({"tokenUrl", o.text("tokenUrl")});
  out.instance = std::make_unique<fake_driver>(*fake_storage::current, c.clock, out.endpoint);
  return out;
}
inline constexpr storage::driver_type fake_types[] = {{"FAKE", fake_options, make_fake}};

class fake_network final : public http::transport {
 public:
  std::deque<http::request> sent;
  std::function<io::task<result<http::response>>(const http::request&)> answer;  ///< empty: there is no network

  io::task<result<http::response>> send(http::request r) override {
    sent.push_back(std::move(r));
    if (!answer) co_return fail(errc::unavailable, "no network in this test");
    auto outcome = co_await answer(sent.back());
    co_return outcome;
  }
};

class fake_gateway final : public device_gateway {
 public:
  std::vector<std::string> calls;
  std::vector<wire::shared_attributes> pushes;
  std::vector<wire::command_request> commands;
  std::optional<error> failure;
  std::function<void(const std::string&, const wire::command_request&)> on_command;

  io::task<result<void>> set_device(device_credentials d) override {
    return say("set " + d.id + (d.blocked ? " blocked" : ""));
  }
  io::task<result<void>> remove_device(std::string id) override { return say("remove " + id); }
  io::task<result<void>> kick(std::string id) override { return say("kick " + id); }
  std::set<std::string> revoked;
  io::task<result<void>> revoke(std::vector<std::string> ids, std::vector<std::string> restored) override {
    revoked.insert(ids.begin(), ids.end());
    for (const auto& id : restored) revoked.erase(id);
    return say("revoke " + std::to_string(ids.size()) + " " + std::to_string(restored.size()));
  }
  io::task<result<void>> push(std::string id, wire::dialect, wire::shared_attributes patch) override {
    pushes.push_back(std::move(patch));
    return say("push " + id);
  }
  io::task<result<void>> send_command(std::string id, wire::dialect, wire::command_request c) override {
    commands.push_back(c);
    if (on_command) on_command(id, c);
    return say("command " + id);
  }

 private:
  io::task<result<void>> say(std::string what) {
    calls.push_back(std::move(what));
    if (failure) co_return fail(*failure);
    co_return result<void>();
  }
};

class world : public testing::Test {
 protected:
  world() {
    fake_storage::current = &cloud_;
    open();
  }
  ~world() override { close(); }

  void open() {
    backend_options o;
    o.data_dir = folder_.path();
    o.public_base_url = "http://127.0.0.1:8080/";
    o.check_endpoint = [this](std::string url) -> io::task<result<std::string>> {
      checked_.push_back(url);
      if (url.find("169.254") != url.npos)
        co_return fail(errc::permission_denied, "a link-local address is not allowed");
      co_return std::string();
    };
    o.limits = limits_;
    o.database_url = database_url_;
    o.driver_types = types_;
    o.metadata = metadata_;
    o.device_authority = has_authority_;
    o.write_hook = [](const hook_message& m) {
      return m.hook + " " + m.id + " " + std::string(to_string(m.event.what.state));
    };
    o.ledger_retention = retention_;
    auto opened = backend::open(ctx_.get_executor(), network_, clock_, std::move(o));
    if (!opened) throw std::runtime_error(opened.error().message());
    b_ = std::move(*opened);
    b_->set_gateway(&gateway_);
    const auto started = run(b_->start());
    if (!started) throw std::runtime_error(started.error().message());
  }
  void close() {
    if (!b_) return;
    run(stop());
    b_.reset();
  }
  void reopen() {
    close();
    open();
  }

  template <class T>
  T run(io::task<T> t) {
    return sql::run(ctx_, std::move(t));
  }
  io::task<bool> stop() {
    co_await b_->stop();
    co_return true;
  }

  static service_input input(std::optional<std::string> name = {}) {
    service_input in;
    in.type = "FAKE";
    in.name = std::move(name);
    in.options = {{"endpoint", secret("https://storage.example")}, {"key", secret("the-secret-key")}};
    return in;
  }
  void add_default_service() { ASSERT_TRUE(run(b_->services.create(input()))); }
  void add_device(const std::string& id = "cam-1") { ASSERT_TRUE(run(b_->devices.create(id))); }
  /// As a grant would write it, lives two minutes; its service is made where it lacks.
  upload new_upload(const std::string& service = "default") {
    if (!b_->devices.exists("cam-1")) add_device();
    auto there = b_->services.get(service);
    if (!there) there = run(b_->services.create(input(service))).value().service;
    upload u;
    u.grant_id = b_->ledger.new_id();
    u.device = "cam-1";
    u.service_id = there->id;
    u.service_name = service;
    u.service_revision = there->revision;
    u.issued_at = u.updated_at = clock_.now();
    u.expires_at = clock_.now() + seconds(120);
    return u;
  }
  static wire::storage_token_request ask(std::string reqid, std::string name = "a.jpg", bool ours = true) {
    wire::storage_token_request r;
    r.reqid = std::move(reqid);
    r.filename = std::move(name);
    r.instance = "up";
    if (ours) r.accept = {"certificate/1", "report/1"};
    return r;
  }

  sql::temporary_folder folder_;
  io::asio::io_context ctx_;
  fake_network network_;
  http::transport* metadata_ = nullptr;
  bool has_authority_ = false;
  io::manual_clock clock_{timestamp(seconds(1'795'371'410))};
  grant_limits limits_;
  milliseconds retention_ = std::chrono::days(90);
  std::span<const storage::driver_type> types_ = fake_types;
  std::string database_url_;  ///< empty: SQLite in the folder
  fake_storage cloud_;
  fake_gateway gateway_;
  std::vector<std::string> checked_;
  std::unique_ptr<backend> b_;
};

}  // namespace evp::backend
