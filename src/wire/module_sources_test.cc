#include "wire/module_sources.h"

#include <gmock/gmock.h>

#include "wire/messages.h"

namespace evp::wire {
namespace {

const std::string manifest =
    R"({"deploymentId":"d","instanceSpecs":{"up":{"moduleId":"m","publish":{},"subscribe":{},"mine":1}},)"
    R"("modules":{"m":{"moduleImpl":"spawn","entryPoint":"main"},"n":{"moduleImpl":"wasm","entryPoint":"main"}}})";

TEST(module_sources, fill_in_url_and_hash_of_the_named_modules_and_leave_the_rest) {
  const std::string hash(64, 'a');
  const auto filled = insert_module_sources(manifest, {{"m", {secret("http://h/m?sig=x"), hash}}, {"other", {}}});
  ASSERT_TRUE(filled);
  const auto d = decode_deployment(filled->reveal());
  ASSERT_TRUE(d);
  EXPECT_EQ(d->modules.at("m").download_url.reveal(), "http://h/m?sig=x");
  EXPECT_EQ(d->modules.at("m").hash, hash);
  EXPECT_TRUE(d->modules.at("n").download_url.empty());
  EXPECT_EQ(d->modules.size(), 2u);
  EXPECT_THAT(filled->reveal(), testing::HasSubstr(R"("mine":1)"));
}

TEST(module_sources, a_text_that_is_no_manifest_is_refused) {
  EXPECT_EQ(insert_module_sources("[]", {}).error().code(), errc::invalid_argument);
  EXPECT_EQ(insert_module_sources("{}", {}).error().field(), "modules");
}

TEST(module_sources, the_empty_manifest_is_a_valid_one_that_runs_nothing) {
  const auto d = decode_deployment(empty_manifest);
  ASSERT_TRUE(d);
  EXPECT_TRUE(d->instances.empty());
}

}  // namespace
}  // namespace evp::wire
