// How the audit is searched page by page, newest first, for all of it and for a tenant's part.
#pragma once

#include <functional>

#include "backend/audit.h"

namespace evp::backend {

using audit_rows = std::function<result<std::vector<sql::audit_row>>(sql::connection&, const sql::audit_query&)>;

/// As audit::list; `find` looks up the rows of a query.
io::task<result<page<sql::audit_row>>> read_audit_page(sql::database& db, audit_filter f, page_request r,
                                                       audit_rows find);

}  // namespace evp::backend
