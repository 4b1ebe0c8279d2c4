#include "sql/services_store.h"

#include <map>

namespace evp::sql {
namespace {

result<void> insert_parts(connection& c, const service_row& s) {
  for (const auto& o : s.options)
    CHECK(
        c.execute("INSERT INTO service_options (service_id, name, value_text, is_secret) "
                  "VALUES (:id, :name, :text, :secret)",
                  {{"id", s.id}, {"name", o.name}, {"text", o.text}, {"secret", std::int64_t(o.is_secret)}}));
  for (std::size_t i = 0; i < s.headers.size(); ++i)
    CHECK(c.execute(
        "INSERT INTO service_headers (service_id, position, name, value_text) "
        "VALUES (:id, :position, :name, :text)",
        {{"id", s.id}, {"position", std::int64_t(i)}, {"name", s.headers[i].name}, {"text", s.headers[i].text}}));
  return {};
}

}  // namespace

result<std::vector<service_row>> list_services(connection& c) {
  TRY(const auto found,
      c.query("SELECT id, revision, name, type, certificate, expiration_ms, object_name_template, "
              "verify, create_only, max_size, source_address, offline_ms, created_at, updated_at FROM services "
              "ORDER BY name" +
              std::string(c.for_share())));  // so that options and headers are of this revision
  std::vector<service_row> out;
  std::map<std::string, std::size_t> index;
  for (const row& r : found) {
    index[r.text("id")] = out.size();
    out.push_back({.id = r.text("id"),
                   .revision = r.integer("revision"),
                   .name = r.text("name"),
                   .type = r.text("type"),
                   .certificate = r.text("certificate"),
                   .expiration_ms = r.integer("expiration_ms"),
                   .offline_ms = r.integer("offline_ms"),
                   .object_name_template = r.text("object_name_template"),
                   .verify = r.text("verify"),
                   .create_only = r.integer("create_only") != 0,
                   .max_size = r.integer("max_size"),
                   .source_address = r.text("source_address"),
                   .created_at = r.integer("created_at"),
                   .updated_at = r.integer("updated_at")});
  }
  TRY(const auto options, c.query("SELECT service_id, name, value_text, is_secret FROM service_options ORDER BY name"));
  // Those of a service that was made a moment ago, by another program, belong to none that was found.
  const auto owner = [&](const row& r) {
    const auto at = index.find(r.text("service_id"));
    return at == index.end() ? nullptr : &out[at->second];
  };
  for (const row& r : options)
    if (auto* s = owner(r)) s->options.push_back({r.text("name"), r.text("value_text"), r.integer("is_secret") != 0});
  TRY(const auto headers, c.query("SELECT service_id, name, value_text FROM service_headers ORDER BY position"));
  for (const row& r : headers)
    if (auto* s = owner(r)) s->headers.push_back({r.text("name"), r.text("value_text")});
  return out;
}

result<void> insert_service(connection& c, const service_row& s) {
  CHECK(
      c.execute("INSERT INTO services (id, revision, name, type, certificate, expiration_ms, object_name_template, "
                "verify, create_only, max_size, source_address, offline_ms, created_at, updated_at) VALUES (:id, "
                ":revision, :name, :type, :certificate, :expiration, :template, :verify, :create_only, :max_size, "
                ":source_address, :offline, :created, :updated)",
                {{"id", s.id},
                 {"revision", s.revision},
                 {"name", s.name},
                 {"type", s.type},
                 {"certificate", s.certificate},
                 {"expiration", s.expiration_ms},
                 {"template", s.object_name_template},
                 {"verify", s.verify},
                 {"create_only", std::int64_t(s.create_only)},
                 {"max_size", s.max_size},
                 {"source_address", s.source_address},
                 {"offline", s.offline_ms},
                 {"created", s.created_at},
                 {"updated", s.updated_at}}));
  return insert_parts(c, s);
}

result<void> update_service(connection& c, const service_row& s) {
  TRY(const auto found,
      c.query("SELECT revision FROM services WHERE id = :id" + std::string(c.for_update()), {{"id", s.id}}));
  if (found.empty()) return fail(errc::not_found, "the storage access service exists no more");
  if (found[0].integer("revision") != s.revision - 1)
    return fail(errc::failed_precondition, "the storage access service was changed meanwhile: try again");
  CHECK(
      c.execute("UPDATE services SET revision = :revision, type = :type, certificate = :certificate, "
                "expiration_ms = :expiration, object_name_template = :template, verify = :verify, "
                "create_only = :create_only, max_size = :max_size, source_address = :source_address, "
                "offline_ms = :offline, updated_at = :updated WHERE id = :id",
                {{"revision", s.revision},
                 {"type", s.type},
                 {"certificate", s.certificate},
                 {"expiration", s.expiration_ms},
                 {"template", s.object_name_template},
                 {"verify", s.verify},
                 {"create_only", std::int64_t(s.create_only)},
                 {"max_size", s.max_size},
                 {"source_address", s.source_address},
                 {"offline", s.offline_ms},
                 {"updated", s.updated_at},
                 {"id", s.id}}));
  CHECK(c.execute("DELETE FROM service_options WHERE service_id = :id", {{"id", s.id}}));
  CHECK(c.execute("DELETE FROM service_headers WHERE service_id = :id", {{"id", s.id}}));
  return insert_parts(c, s);
}

result<bool> is_current_service(connection& c, const std::string& id, std::int64_t revision) {
  const std::string text("SELECT id FROM services WHERE id = :id AND revision = :revision");
  TRY(const auto found, c.query(text + std::string(c.for_share()), {{"id", id}, {"revision", revision}}));
  return !found.empty();
}

result<bool> remove_service(connection& c, const std::string& id) {
  TRY(const auto removed, c.execute("DELETE FROM services WHERE id = :id", {{"id", id}}));
  return removed > 0;
}

}  // namespace evp::sql
