// The OpenAPI document and the server's routes are one and the same.
#include <gmock/gmock.h>

#include <boost/json/parse.hpp>
#include <set>

#include "api/compiled_in.h"
#include "api/json.h"
#include "api/rest.h"

namespace evp::api {
namespace {

/// "{topic...}" is "{topic}" there.
std::string documented(std::string pattern) {
  for (auto dots = pattern.find("..."); dots != pattern.npos; dots = pattern.find("...")) pattern.erase(dots, 3);
  return pattern;
}

TEST(docs_test, the_document_names_every_route_and_no_other) {
  const bearer_auth auth{secret("a-token-of-16-characters")};
  metrics counters;
  io::pool disk{1};
  io::system_clock clock;
  rest_context context(auth, counters, disk, clock);
  std::set<std::string> routes, told;
  for (const auto& [method, pattern] : make_router(context).table()) routes.insert(method + " " + documented(pattern));
  const auto document = json::parse(json::string_view(openapi_json.data(), openapi_json.size()));
  for (const auto& [path, item] : document.at("paths").as_object())
    for (const auto& [key, operation] : item.as_object()) {
      std::string method(key.data(), key.size());
      if (method == "parameters") continue;
      for (char& c : method) c = char(std::toupper(c));
      told.insert(method + " " + std::string(path.data(), path.size()));
      ASSERT_TRUE(operation.as_object().contains("operationId"));
    }
  EXPECT_EQ(told, routes);
  EXPECT_GT(routes.size(), 35u);
}

}  // namespace
}  // namespace evp::api
