// Manifests: what is accepted, and that each that could hurt an agent is refused at its path.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <ostream>

#include "wire/messages.h"

namespace evp::wire {
namespace {

namespace json = boost::json;

json::value valid() {
  return json::parse(R"({"deploymentId":"dep-0001",
    "instanceSpecs":{"up":{"moduleId":"m1","publish":{"out":"t"},"subscribe":{},"version":2,"restartPolicy":"always",
       "streams":{"s":{"direction":"in","type":"posix","parameters":{"type":"tcp","domain":"IPv4","hostname":"h","port":"1234"}},"n":{"direction":"out","type":"null"}}}},
    "modules":{"m1":{"moduleImpl":"spawn","entryPoint":"main","downloadUrl":"https://h/m1","hash":"AA00000000000000000000000000000000000000000000000000000000000000"},
               "m2":{"moduleImpl":"wasm","entryPoint":"","downloadUrl":"EVP-BACKDOOR"}},
    "publishTopics":{"t":{"type":"local","topic":"x"}},"subscribeTopics":{}})");
}

TEST(manifest, a_full_one_is_read) {
  auto d = decode_deployment(json::serialize(valid()));
  ASSERT_TRUE(d) << d.error().message();
  EXPECT_EQ(d->id, "dep-0001");
  EXPECT_EQ(d->instances.at("up").module_id, "m1");
  EXPECT_EQ(d->instances.at("up").version, 2);
  EXPECT_EQ(d->instances.at("up").publish.at("out"), "t");
  EXPECT_EQ(d->modules.at("m1").hash.substr(0, 4), "aa00");
  EXPECT_EQ(d->modules.at("m1").download_url.reveal(), "https://h/m1");
  EXPECT_TRUE(d->modules.at("m2").download_url.empty());
  EXPECT_EQ(d->publish_topics.at("t").topic, "x");
}

TEST(manifest, an_empty_deployment_is_one_that_stops_everything) {
  EXPECT_TRUE(decode_deployment(R"({"instanceSpecs":{},"modules":{}})"));
}

struct change {
  const char* pointer;  // JSON pointer to what is set ...
  const char* value;    // ... to this JSON text, or removed when null
  const char* field;    // and the path that the refusal names
};

void PrintTo(const change& c, std::ostream* out) { *out << c.pointer << " = " << (c.value ? c.value : "removed"); }

class hurtful : public testing::TestWithParam<change> {};

TEST_P(hurtful, is_refused_at_its_path) {
  auto v = valid();
  const std::string pointer = GetParam().pointer;
  const auto slash = pointer.rfind('/');
  auto& parent = v.at_pointer(pointer.substr(0, slash)).as_object();
  if (GetParam().value)
    parent[pointer.substr(slash + 1)] = json::parse(GetParam().value);
  else
    parent.erase(pointer.substr(slash + 1));
  auto d = decode_deployment(json::serialize(v));
  ASSERT_FALSE(d);
  EXPECT_EQ(d.error().code(), errc::invalid_argument);
  EXPECT_EQ(d.error().field(), GetParam().field);
}

INSTANTIATE_TEST_SUITE_P(
    manifests, hurtful,
    testing::Values(change{"/deploymentId", "7", "deploymentId"}, change{"/instanceSpecs", nullptr, "instanceSpecs"},
                    change{"/instanceSpecs", "[]", "instanceSpecs"}, change{"/modules", nullptr, "modules"},
                    change{"/instanceSpecs/$agent", "{}", "instanceSpecs.$agent"},
                    change{"/instanceSpecs/..", R"({"moduleId":"m1","publish":{},"subscribe":{}})", "instanceSpecs..."},
                    change{"/instanceSpecs/x", "null", "instanceSpecs.x"},
                    change{"/instanceSpecs/up/moduleId", nullptr, "instanceSpecs.up.moduleId"},
                    change{"/instanceSpecs/up/moduleId", "\"m9\"", "instanceSpecs.up.moduleId"},
                    change{"/instanceSpecs/up/publish", nullptr, "instanceSpecs.up.publish"},
                    change{"/instanceSpecs/up/subscribe", nullptr, "instanceSpecs.up.subscribe"},
                    change{"/instanceSpecs/up/publish/out", "null", "instanceSpecs.up.publish.out"},
                    change{"/instanceSpecs/up/publish/out", "5", "instanceSpecs.up.publish.out"},
                    change{"/instanceSpecs/up/version", "\"2\"", "instanceSpecs.up.version"},
                    change{"/instanceSpecs/up/version", "1.5", "instanceSpecs.up.version"},
                    change{"/instanceSpecs/up/streams/s/direction", nullptr, "instanceSpecs.up.streams.s.direction"},
                    change{"/instanceSpecs/up/streams/s/type", "\"udp\"", "instanceSpecs.up.streams.s.type"},
                    change{"/instanceSpecs/up/streams/s/parameters/port", "1234",
                           "instanceSpecs.up.streams.s.parameters.port"},
                    change{"/instanceSpecs/up/streams/s/parameters", nullptr, "instanceSpecs.up.streams.s.parameters"},
                    change{"/modules/a b", "{}", "modules.a b"},
                    change{"/modules/m1/moduleImpl", nullptr, "modules.m1.moduleImpl"},
                    change{"/modules/m1/moduleImpl", "\"elf\"", "modules.m1.moduleImpl"},
                    change{"/modules/m1/entryPoint", nullptr, "modules.m1.entryPoint"},
                    change{"/modules/m1/entryPoint", "\"\"", "modules.m1.entryPoint"},
                    change{"/modules/m1/hash", nullptr, "modules.m1.hash"},
                    change{"/modules/m1/hash", "\"abcd\"", "modules.m1.hash"},
                    change{"/modules/m1/downloadUrl", "\"ftp://h/x\"", "modules.m1.downloadUrl"},
                    change{"/publishTopics/t", "\"x\"", "publishTopics.t"},
                    change{"/publishTopics/t/type", nullptr, "publishTopics.t.type"}));

TEST(manifest, what_is_beyond_the_devices_buffer_is_too_large) {
  auto v = valid();
  v.as_object()["deploymentId"] = std::string(max_shared_bytes, 'x');
  EXPECT_EQ(decode_deployment(json::serialize(v)).error().code(), errc::too_large);
}

}  // namespace
}  // namespace evp::wire
