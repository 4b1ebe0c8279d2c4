#include "sql/hooks_store.h"

#include "base/names.h"

namespace evp::sql {
namespace {

constexpr std::string_view columns =
    "name, url, sealed_secret, certificate, services, states, created_at, updated_at, pending, delivered, given_up, "
    "delivered_at, last_error, last_error_at, given_up_reason, given_up_at";

hook_row read(const row& r) {
  return {.name = r.text("name"),
          .url = r.text("url"),
          .sealed_secret = r.text("sealed_secret"),
          .certificate = r.text("certificate"),
          .services = r.text("services"),
          .states = r.text("states"),
          .created_at = r.integer("created_at"),
          .updated_at = r.integer("updated_at"),
          .pending = r.integer("pending"),
          .delivered = r.integer("delivered"),
          .given_up = r.integer("given_up"),
          .delivered_at = r.integer("delivered_at"),
          .last_error = r.text("last_error"),
          .last_error_at = r.integer("last_error_at"),
          .given_up_reason = r.text("given_up_reason"),
          .given_up_at = r.integer("given_up_at")};
}

bool lets_through(const std::string& filter, const std::string& name) {
  return filter.empty() || ("\n" + filter).find("\n" + name + "\n") != std::string::npos;
}

/// Takes it out of the outbox. False when it is there no more: the hook was removed meanwhile.
result<bool> take_out(connection& c, const delivery_row& d) {
  TRY(const auto gone, c.execute("DELETE FROM hook_deliveries WHERE sequence = :sequence AND hook = :hook",
                                 {{"sequence", d.sequence}, {"hook", d.hook}}));
  return gone > 0;
}

}  // namespace

result<std::vector<hook_row>> list_hooks(connection& c) {
  TRY(const auto found, c.query("SELECT " + std::string(columns) + " FROM hooks ORDER BY name"));
  std::vector<hook_row> out;
  for (const row& r : found) out.push_back(read(r));
  return out;
}

result<std::optional<hook_row>> find_hook(connection& c, const std::string& name) {
  TRY(const auto found, c.query("SELECT " + std::string(columns) + " FROM hooks WHERE name = :name", {{"name", name}}));
  if (found.empty()) return std::nullopt;
  return read(found[0]);
}

result<bool> put_hook(connection& c, const hook_row& h) {
  const parameters p{
      {"name", h.name},         {"url", h.url},       {"secret", h.sealed_secret}, {"certificate", h.certificate},
      {"services", h.services}, {"states", h.states}, {"now", h.updated_at}};
  TRY(const auto changed, c.execute("UPDATE hooks SET url = :url, sealed_secret = :secret, certificate = :certificate, "
                                    "services = :services, states = :states, updated_at = :now WHERE name = :name",
                                    p));
  if (changed > 0) return false;
  auto fresh = p;
  fresh.push_back({"created", h.created_at});
  CHECK(
      c.execute("INSERT INTO hooks (name, url, sealed_secret, certificate, services, states, created_at, updated_at, "
                "pending, delivered, given_up, delivered_at, last_error, last_error_at, given_up_reason, given_up_at) "
                "VALUES (:name, :url, :secret, :certificate, :services, :states, :created, :now, 0, 0, 0, 0, '', 0, "
                "'', 0)",
                fresh));
  return true;
}

result<bool> remove_hook(connection& c, const std::string& name) {
  TRY(const auto removed, c.execute("DELETE FROM hooks WHERE name = :name", {{"name", name}}));
  return removed > 0;
}

result<std::int64_t> insert_deliveries(connection& c, std::int64_t sequence, const std::string& service,
                                       const std::string& asked, const std::string& state, std::int64_t now,
                                       std::int64_t max_pending) {
  TRY(const auto hooks, c.query("SELECT name, services, states, pending FROM hooks"));
  std::int64_t put = 0;
  const std::string local(local_name(service)), local_asked(local_name(asked));
  for (const row& h : hooks) {
    const auto name = h.text("name");
    if (tenant_of(name) != tenant_of(service)) continue;
    const auto services = h.text("services");
    const bool named = lets_through(services, local) || (!asked.empty() && lets_through(services, local_asked));
    if (!named || !lets_through(h.text("states"), state)) continue;
    if (h.integer("pending") >= max_pending) {
      CHECK(
          c.execute("UPDATE hooks SET given_up = given_up + 1, given_up_reason = :why, given_up_at = :now "
                    "WHERE name = :name",
                    {{"why", std::to_string(max_pending) + " deliveries wait already: this one is given up"},
                     {"now", now},
                     {"name", name}}));
      continue;
    }
    CHECK(
        c.execute("INSERT INTO hook_deliveries (sequence, hook, attempts, next_at, created_at) "
                  "VALUES (:sequence, :hook, 0, :next_at, :created_at)",
                  {{"sequence", sequence}, {"hook", name}, {"next_at", now}, {"created_at", now}}));
    CHECK(c.execute("UPDATE hooks SET pending = pending + 1 WHERE name = :name", {{"name", name}}));
    ++put;
  }
  return put;
}

result<std::vector<delivery_row>> list_deliveries(connection& c, const std::string& hook, std::int64_t limit) {
  TRY(const auto found, c.query("SELECT hook, sequence, attempts, next_at, created_at FROM hook_deliveries "
                                "WHERE hook = :hook ORDER BY next_at, sequence LIMIT :limit",
                                {{"hook", hook}, {"limit", limit}}));
  std::vector<delivery_row> out;
  for (const row& r : found)
    out.push_back(
        {r.text("hook"), r.integer("sequence"), r.integer("attempts"), r.integer("next_at"), r.integer("created_at")});
  return out;
}

result<void> finish_delivery(connection& c, const delivery_row& d, std::int64_t now) {
  TRY(const bool there, take_out(c, d));
  if (!there) return {};
  CHECK(
      c.execute("UPDATE hooks SET pending = pending - 1, delivered = delivered + 1, delivered_at = :now "
                "WHERE name = :hook",
                {{"now", now}, {"hook", d.hook}}));
  return {};
}

result<void> postpone_delivery(connection& c, const delivery_row& d, const std::string& why, std::int64_t now) {
  CHECK(
      c.execute("UPDATE hook_deliveries SET attempts = :attempts, next_at = :next_at "
                "WHERE sequence = :sequence AND hook = :hook",
                {{"attempts", d.attempts}, {"next_at", d.next_at}, {"sequence", d.sequence}, {"hook", d.hook}}));
  CHECK(c.execute("UPDATE hooks SET last_error = :why, last_error_at = :now WHERE name = :hook",
                  {{"why", why}, {"now", now}, {"hook", d.hook}}));
  return {};
}

result<void> give_up_delivery(connection& c, const delivery_row& d, const std::string& why, std::int64_t now) {
  TRY(const bool there, take_out(c, d));
  if (!there) return {};
  CHECK(
      c.execute("UPDATE hooks SET pending = pending - 1, given_up = given_up + 1, given_up_reason = :why, "
                "given_up_at = :now WHERE name = :hook",
                {{"why", why}, {"now", now}, {"hook", d.hook}}));
  return {};
}

}  // namespace evp::sql
