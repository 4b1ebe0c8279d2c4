// For tests: two backends on one database, two storages, and devices that take part in a change between them, or not.
#pragma once

#include "backend/provider_changes.h"
#include "backend/test_replicas.h"

namespace evp::backend {

class changing_fleet : public two_backends {
 protected:
  void open_on(const char* kind) {
    open_both(sql::new_database(kind, folder_.path()));
    source_ = b_->services.get("default")->id;
    auto other = input("new");
    other.options["endpoint"] = secret("https://elsewhere.example");
    ASSERT_TRUE(run(b_->services.create(other)));
    ASSERT_TRUE(run(other_->services.refresh()));
    in_ = some_device(5, true);
    out_ = some_device(60, false);
  }
  /// One that takes part at that percentage, or does not.
  std::string some_device(int percent, bool in) {
    for (int i = 0;; ++i) {
      const auto id = "dev-" + std::to_string(i);
      if (takes_part(source_, id, percent) != in) continue;
      add_device(id);
      EXPECT_TRUE(run(other_->devices.refresh({id})));
      return id;
    }
  }
  static change_input to_new(int percent, std::int64_t minimum = 4, std::int64_t error_percent = 25) {
    change_input in;
    in.to = "new";
    in.percent = percent;
    in.minimum = minimum;
    in.error_percent = error_percent;
    in.window = seconds(60);
    return in;
  }
  change_view begin(int percent, std::int64_t minimum = 4) {
    auto made = run(b_->provider_changes.put("default", to_new(percent, minimum)));
    if (!made) throw std::runtime_error(made.error().message());
    return *made;
  }
  change_view view() { return run(b_->provider_changes.get("default")).value(); }
  wire::storage_token_response issue(const std::string& device, const std::string& name = "a.jpg") {
    return issue_at(*b_, device, name);
  }
  wire::storage_token_response issue_at(backend& by, const std::string& device, const std::string& name = "a.jpg") {
    return run(by.grants.issue(device, ask(std::to_string(++asked_), name), wire::dialect::evp2));
  }
  /// Whole uploads of the device, each of another file.
  void upload_files(const std::string& device, int number, bool good) {
    for (int i = 0; i < number; ++i) {
      const auto name = std::to_string(asked_) + ".jpg";
      const auto g = issue(device, name);
      ASSERT_FALSE(g.failure) << g.failure->message();
      wire::transfer_report r;
      r.grant_id = g.grant_id;
      r.done = good;
      r.bytes = 3;
      r.http_status = good ? 201 : 500;
      if (good) cloud_.objects[device + "/up/" + name] = "abc";
      ASSERT_EQ(run(b_->grants.report(device, r)).verified, good);
    }
  }
  std::vector<std::string> audited(std::string_view action) {
    std::vector<std::string> out;
    const auto found = run(b_->audit.list({}, {})).value();
    for (const auto& r : found.items)
      if (r.record.action == action) out.push_back(r.record.actor + " " + r.record.outcome + " " + r.record.detail);
    return out;
  }
  static constexpr auto old_url = "https://storage.example/", new_url = "https://elsewhere.example/";

  std::string source_, in_, out_;
  int asked_ = 0;
};

}  // namespace evp::backend
