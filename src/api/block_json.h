// What the answers of all routes that block something have in common.
#pragma once

#include "api/json.h"
#include "api/rest.h"
#include "backend/blocking.h"

namespace evp::api {

/// From "drill" and "replicas" of the query. Errors: invalid_argument at them.
result<backend::block_manner> read_manner(const std::map<std::string, std::string>& query);

/// "liveGrants".
json::object write_live_grants(const backend::live_grants& g);

/// Adds "liveGrants", and "drill" and "replicas" where they were asked for. Names of machines are the installation's:
/// who is of one tenant does not see them.
void add_report(json::object& to, const backend::block_report& report, backend::block_manner how, const caller& who);

}  // namespace evp::api
