// A tenant's own view of the audit.
#include "backend/tenant_audit.h"

#include "backend/audit_pages.h"
#include "base/names.h"
#include "sql/tenant_audit_store.h"

namespace evp::backend {

bool acts_for(std::string_view tenant, std::string_view actor) {
  if (actor == audit_actor::admin) return false;
  if (actor.starts_with(audit_actor::device)) actor.remove_prefix(audit_actor::device.size());
  return tenant_of(actor) == tenant || (tenant.empty() && actor.starts_with(audit_actor::oidc));
}

io::task<result<page<sql::audit_row>>> list_tenant_audit(sql::database& db, std::string tenant, audit_filter f,
                                                         page_request r) {
  audit_rows find = [tenant = std::move(tenant)](sql::connection& c, const sql::audit_query& q) {
    return sql::list_tenant_audit(c, tenant, q);
  };
  auto found = co_await read_audit_page(db, std::move(f), std::move(r), std::move(find));
  co_return found;
}

io::task<result<audit_piece>> read_tenant_audit(sql::database& db, std::string tenant, std::int64_t after) {
  sql::audit_query q;
  q.after = after;
  q.before = after + audit::max_looked_at + 1;
  q.oldest_first = true;
  q.limit = std::int64_t(audit::max_piece);
  std::function<result<audit_piece>(sql::connection&)> read =
      [q, tenant = std::move(tenant)](sql::connection& c) -> result<audit_piece> {
    audit_piece out;
    TRY(out.records, sql::list_tenant_audit(c, tenant, q));
    const bool full = out.records.size() == audit::max_piece;
    out.looked_at = full ? out.records.back().record.number : q.before - 1;
    return out;
  };
  auto piece = co_await db.run<audit_piece>(std::move(read));
  co_return piece;
}

}  // namespace evp::backend
