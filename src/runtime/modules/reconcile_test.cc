#include "runtime/modules/reconcile.h"

#include <gmock/gmock.h>

namespace evp::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

wire::deployment wanting(const std::string& instance, const std::string& module, const std::string& hash,
                         const std::string& impl = "spawn") {
  wire::deployment d;
  d.instances[instance].module_id = module;
  d.modules[module] = {impl, "main", secret("http://h/m"), hash};
  return d;
}

identity running(const std::string& module, const std::string& hash) {
  identity i;
  i.module_id = module, i.impl = "spawn", i.hash = hash;
  return i;
}

struct row {
  const char* situation;
  wire::deployment wanted;
  std::map<std::string, actual_instance> actual;
  module_files files;
  std::vector<std::string> stop, start, fetch;
  bool settled;
};

class reconcile_table : public testing::TestWithParam<row> {};

TEST_P(reconcile_table, plans) {
  const auto& r = GetParam();
  const auto p = reconcile(r.wanted, r.actual, r.files);
  EXPECT_EQ(p.stop, r.stop);
  EXPECT_EQ(p.start, r.start);
  EXPECT_EQ(p.fetch, r.fetch);
  EXPECT_EQ(p.settled, r.settled);
}

const row rows[] = {
    {"nothing_at_all", {}, {}, {}, {}, {}, {}, true},
    {"a_new_module", wanting("a", "m", "1"), {}, {}, {}, {}, {"m"}, false},
    {"a_module_on_disk", wanting("a", "m", "1"), {}, {{"m", "1"}}, {}, {"a"}, {}, false},
    {"other_code_on_disk_under_the_id", wanting("a", "m", "2"), {}, {{"m", "1"}}, {}, {}, {"m"}, false},
    {"all_as_wanted", wanting("a", "m", "1"), {{"a", {running("m", "1")}}}, {{"m", "1"}}, {}, {}, {}, true},
    {"new_code_for_a_running_instance",
     wanting("a", "m", "2"),
     {{"a", {running("m", "1")}}},
     {{"m", "1"}},
     {"a"},
     {},
     {},
     false},
    {"the_old_process_still_stops",
     wanting("a", "m", "2"),
     {{"a", {running("m", "1"), true}}},
     {{"m", "2"}},
     {},
     {},
     {},
     false},
    {"no_longer_listed", {}, {{"a", {running("m", "1")}}}, {{"m", "1"}}, {"a"}, {}, {}, false},
    {"an_unknown_kind_settles", wanting("a", "m", "1", "wasm"), {}, {}, {}, {}, {}, true},
    {"a_kind_that_changed_stops_the_old_one",
     wanting("a", "m", "1", "wasm"),
     {{"a", {running("m", "1")}}},
     {{"m", "1"}},
     {"a"},
     {},
     {},
     false},
};
INSTANTIATE_TEST_SUITE_P(all, reconcile_table, testing::ValuesIn(rows),
                         [](const auto& i) { return std::string(i.param.situation); });

TEST(reconcile, an_unknown_kind_is_an_error_with_a_reason) {
  const auto p = reconcile(wanting("a", "m", "1", "wasm"), {}, {});
  EXPECT_EQ(p.errors.at("a"), "this runtime runs spawn modules only, not wasm");
}

}  // namespace
}  // namespace evp::runtime
