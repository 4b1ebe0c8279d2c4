// Bodies of the backend's /v1/enroll, at the device's end.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"

namespace evp::wire {

/// POST /v1/enroll. `id`: the name that the device proposes; empty: none.
std::string encode_enrolment(const secret& token, std::string_view csr, std::string_view id);
/// POST /v1/enroll/renew. `signature`: of the request's text by the certificate's key, base64.
std::string encode_renewal(std::string_view certificate, std::string_view csr, std::string_view signature);

struct enrolment_answer {
  std::string username, certificate;
};
/// Errors: data_corrupt (a field lacks).
result<enrolment_answer> decode_enrolment_answer(std::string_view body);
/// What the backend says by an answer that is no success. An answer without the error form is unavailable.
error decode_refusal(int status, std::string_view body);

}  // namespace evp::wire
