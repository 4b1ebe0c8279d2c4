// Azure Storage requests that the account's key signs whole: those that no shared access signature may make.
//
// https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
#pragma once

#include "auth/azure_sas.h"
#include "auth/request.h"

namespace evp::auth {

/// What is signed, for versions from 2015-02-21 on. The request's path is that of its URL, and not encoded; its fields
/// have x-ms-date in the place of Date. `body_bytes` is the Content-Length.
std::string azure_shared_key_text(std::string_view account, const signable_request& r, std::size_t body_bytes);

/// Adds x-ms-date, x-ms-version and Authorization. The request must be sent with all fields that it has then.
void sign_azure_shared_key(const azure_sas_signer& by, signable_request& r, std::size_t body_bytes, timestamp now);

}  // namespace evp::auth
