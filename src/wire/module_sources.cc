#include "wire/module_sources.h"

#include "wire/json.h"
#include "wire/messages.h"

namespace evp::wire {

result<secret> insert_module_sources(std::string_view manifest, const std::map<std::string, module_source>& sources) {
  TRY(auto root, parse_json_object(manifest, max_shared_bytes));
  auto* modules = root.if_contains("modules");
  if (!modules || !modules->is_object()) return fail(errc::invalid_argument, "modules", "modules must be an object");
  for (const auto& [id, source] : sources) {
    auto* one = modules->as_object().if_contains(id);
    if (!one || !one->is_object()) continue;
    one->as_object()["downloadUrl"] = source.url.reveal();
    one->as_object()["hash"] = source.sha256;
  }
  return secret(json::serialize(root));
}

}  // namespace evp::wire
