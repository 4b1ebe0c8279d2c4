// Table uploads: one row for each grant that left the backend, and what became of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct upload_row {
  std::string grant_id;  ///< sorts by time of issue
  std::string device, instance, request_id;
  std::string service_id, service_name;
  std::int64_t service_revision = 0;
  std::string object;
  std::string operation;    ///< "put" or "get"
  std::string state;        ///< "issued", "uploaded", "verified", "failed", "expired"
  std::string reason;       ///< for "failed" and "expired": one sentence
  bool can_report = false;  ///< the device said accept "report/1"
  std::optional<std::int64_t> size_declared, size_bytes;
  std::string sha256;                                          ///< hexadecimal, as reported, or empty
  std::int64_t issued_at = 0, expires_at = 0, updated_at = 0;  ///< Unix time, ms
  std::string verify = "head";   ///< how the upload is checked: "head", "put-checksum" or "none"
  std::string parts_id;          ///< the storage's id of an upload in parts; empty: in one piece
  std::int64_t part_bytes = 0;   ///< of each part but the last
  bool offline = false;          ///< its grant is kept for later
  std::string asked_service;     ///< the name that the device asked for, where a change of provider led to another
  std::string change_id;         ///< the change of provider that counts it; empty: none
  std::int64_t max_size = 0;     ///< by the policy of then, bytes; 0: not bounded by it
  std::int64_t quota_bytes = 0;  ///< counted to the device's day when it was granted; 0: not counted
  std::string content_type;      ///< that the object is to have, by the policy of then; empty: any
};

/// What a new grant was signed by, beside the service itself: see may_sign (provider_changes_store.h).
struct service_asked_for {
  std::string id;                    ///< of the service that the device asked for
  std::int64_t change_revision = 0;  ///< of its changes of provider, as the program knew them
};

struct upload_query {
  std::optional<std::string> tenant;  ///< of the device, empty: the installation's own; nothing: of all
  std::optional<std::string> device, service_name, state;
  std::string from_id;    ///< only grant ids at or after this one; empty: all
  std::string before_id;  ///< only grant ids before this one (the cursor); empty: from the newest
  std::int64_t limit = 100;
};

/// A condition for rows with a column "device": that it is the tenant's.
std::string of_tenant(const std::string& tenant);

/// The table's columns, for a SELECT whose rows read_upload() is to read.
extern const std::string_view upload_columns;
upload_row read_upload(const row& r);

/// All functions: database thread; errors: the connection's, and what is named.
result<void> insert_upload(connection& c, const upload_row& u);
/// Newest first.
result<std::vector<upload_row>> list_uploads(connection& c, const upload_query& q);
result<std::optional<upload_row>> find_upload(connection& c, const std::string& grant_id);
/// The same; nobody else can change it before this transaction has ended.
result<std::optional<upload_row>> hold_upload(connection& c, const std::string& grant_id);
struct upload_change {
  std::string grant_id;
  std::string state, reason;
  std::optional<std::int64_t> size_bytes;
  std::string sha256;
  std::int64_t updated_at = 0;
};
/// Changes the row unless it is "verified" or "failed" already ("expired" gives way to a late report). True when it
/// changed.
result<bool> change_upload(connection& c, const upload_change& u);
/// Moves the expiry of an open row ("issued" or "uploaded") whose service has not changed since. True when there was
/// one.
result<bool> prolong_upload(connection& c, const std::string& grant_id, std::int64_t expires_at);
/// Rows in state "issued" or "uploaded" that expired before the time, oldest first.
result<std::vector<upload_row>> list_overdue_uploads(connection& c, std::int64_t before_ms, std::int64_t limit);
/// Whether another row of the service has the same object.
result<bool> has_other_upload(connection& c, const upload_row& than);
/// Grants of the device that are good after that time; the last expiry is 0 where there are none. `from_id` is before
/// the ids of all that were issued in the 26 h before: what is older and lives has a long life.
struct live_grants_row {
  std::int64_t count = 0, offline = 0, last_expires_at = 0;
};
result<live_grants_row> find_live_grants(connection& c, const std::string& device, std::int64_t now_ms,
                                         const std::string& from_id);
/// The offline ones of them that have not been used, as far as is known.
result<std::int64_t> count_offline_grants(connection& c, const std::string& device, std::int64_t now_ms);

}  // namespace evp::sql
