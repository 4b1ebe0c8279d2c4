// The fields of a storage access service that are ours; every other one is an option of its storage type.
#pragma once

#include <array>
#include <string_view>

namespace evp::backend {

inline constexpr std::array<std::string_view, 9> service_fields{
    "type",   "name",  "headers", "certificate", "expirationDuration", "offlineGrantDuration", "objectNameTemplate",
    "verify", "bounds"};

}  // namespace evp::backend
