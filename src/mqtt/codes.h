// What the numbers of MQTT and libmosquitto mean: the one place where they become an evp::error.
#pragma once

#include <string_view>

#include "base/error.h"

namespace evp::mqtt {

/// A CONNACK that refused the connection. `version5` tells whether the code is a reason code of MQTT 5 (3.2.2.2) or a
/// return code of MQTT 3.1.1 (3.2.2.3).
error refused(int code, bool version5);
/// A PUBACK with a reason code of 0x80 or more (MQTT 5, 3.4.2.1).
error not_accepted(int reason);
/// A return value of libmosquitto other than MOSQ_ERR_SUCCESS. `saved_errno` counts for MOSQ_ERR_ERRNO; `detail` is
/// what libmosquitto logged last (the reason of a TLS failure) or empty.
error library_error(int rc, int saved_errno, std::string_view detail);

}  // namespace evp::mqtt
