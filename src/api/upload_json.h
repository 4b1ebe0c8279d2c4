// The ledger's entries as JSON: one form for lists, streams, hooks and topics.
#pragma once

#include "api/json.h"
#include "backend/hook_deliveries.h"

namespace evp::api {

json::object write_upload(const backend::upload& u);
/// The upload with "sequence", the number of this change.
json::object write_event(const backend::upload_event& e);

/// The body of a hook's delivery: {"deliveryId", "hook", "upload"}.
std::string write_hook_body(const backend::hook_message& m);

}  // namespace evp::api
