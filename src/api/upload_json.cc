#include "api/upload_json.h"

#include "base/names.h"

namespace evp::api {

json::object write_upload(const backend::upload& u) {
  json::object o;
  o.emplace("grantId", as_json(u.grant_id));
  if (const auto tenant = tenant_of(u.device); !tenant.empty()) o.emplace("tenant", as_json(tenant));
  o.emplace("device", as_json(local_name(u.device)));
  o.emplace("instance", as_json(u.instance));
  o.emplace("service", as_json(local_name(u.service_name)));
  if (!u.asked_service.empty()) o.emplace("askedService", as_json(local_name(u.asked_service)));
  o.emplace("object", as_json(u.object));
  o.emplace("operation", u.is_get ? "get" : "put");
  if (u.offline) o.emplace("offline", true);
  o.emplace("state", as_json(backend::to_string(u.state)));
  o.emplace("verify", as_json(backend::to_string(u.verify)));
  if (!u.reason.empty()) o.emplace("reason", as_json(u.reason));
  if (u.size_declared) o.emplace("sizeDeclaredBytes", *u.size_declared);
  if (u.size_bytes) o.emplace("sizeBytes", *u.size_bytes);
  if (!u.sha256.empty()) o.emplace("sha256", as_json(u.sha256));
  o.emplace("issuedAt", as_json(format_rfc3339(u.issued_at)));
  o.emplace("expiresAt", as_json(format_rfc3339(u.expires_at)));
  o.emplace("updatedAt", as_json(format_rfc3339(u.updated_at)));
  return o;
}

json::object write_event(const backend::upload_event& e) {
  auto o = write_upload(e.what);
  o.emplace("sequence", e.sequence);
  return o;
}

std::string write_hook_body(const backend::hook_message& m) {
  json::object o;
  o.emplace("deliveryId", as_json(m.id));
  o.emplace("hook", as_json(local_name(m.hook)));
  o.emplace("upload", write_event(m.event));
  return json::serialize(o);
}

}  // namespace evp::api
