// The rules: a name is free only when its old process has gone; a module is fetched when its file has another hash.
#include "runtime/modules/reconcile.h"

#include <algorithm>

namespace evp::runtime {

identity identity_of(const wire::deployment& wanted, const wire::instance_spec& spec) {
  identity out{spec.module_id, {}, {}, spec.version, spec.publish, spec.subscribe};
  if (const auto m = wanted.modules.find(spec.module_id); m != wanted.modules.end()) {
    out.impl = m->second.impl;
    out.hash = m->second.hash;
  }
  return out;
}

std::string refusal(const wire::module_spec& module) {
  if (module.impl != "spawn") return "this runtime runs spawn modules only, not " + module.impl;
  if (module.hash.empty()) return "the module has no downloadUrl and hash: there is nothing to run";
  return {};
}

plan reconcile(const wire::deployment& wanted, const std::map<std::string, actual_instance>& actual,
               const module_files& files) {
  plan out;
  for (const auto& [name, a] : actual) {
    const auto w = wanted.instances.find(name);
    const bool keep = w != wanted.instances.end() && identity_of(wanted, w->second) == a.is;
    if (!keep && !a.stopping) out.stop.push_back(name);
  }
  bool waiting = std::any_of(actual.begin(), actual.end(), [](const auto& a) { return a.second.stopping; });
  for (const auto& [name, spec] : wanted.instances) {
    const auto m = wanted.modules.find(spec.module_id);
    if (m == wanted.modules.end()) {
      out.errors[name] = "module " + spec.module_id + " is not listed in the deployment";
      continue;
    }
    if (auto why = refusal(m->second); !why.empty()) {
      out.errors[name] = std::move(why);
      continue;
    }
    if (actual.contains(name)) continue;
    const auto file = files.find(spec.module_id);
    if (file != files.end() && file->second == m->second.hash)
      out.start.push_back(name);
    else if (std::find(out.fetch.begin(), out.fetch.end(), spec.module_id) == out.fetch.end())
      out.fetch.push_back(spec.module_id);
  }
  out.settled = out.stop.empty() && out.start.empty() && out.fetch.empty() && !waiting;
  return out;
}

}  // namespace evp::runtime
