// Oracle Cloud's signature of API requests, version 1: an RSA key that the console knows signs chosen fields.
//
// https://docs.oracle.com/en-us/iaas/Content/API/Concepts/signingrequests.htm (draft-cavage-http-signatures-08)
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/rsa.h"
#include "base/time.h"
#include "http/message.h"

namespace evp::auth {

/// A request to the API. The target is what will be sent: path and query, encoded.
struct oci_request {
  std::string method = "GET";  ///< in capitals
  std::string host;            ///< the Host field that will be sent
  std::string target = "/";
  std::optional<std::string_view> json;  ///< the body, where it is to be signed: in all POST and PUT but PutObject
};

/// Signs for one API key. Immutable; any thread.
class oci_signer {
 public:
  /// `key_id` is "<tenancy OCID>/<user OCID>/<fingerprint>".
  oci_signer(std::string key_id, rsa_private_key key) : key_id_(std::move(key_id)), key_(std::move(key)) {}

  /// The fields to send beside Host and Content-Length: Date and Authorization, with a body also Content-Type and
  /// X-Content-SHA256. Oracle refuses a Date that is more than 5 minutes off.
  http::headers sign(const oci_request& request, timestamp now) const;

  /// What is signed for these fields, in this order; "(request-target)" is one with the value "get /path?query".
  static std::string string_to_sign(const http::headers& fields);
  /// The value of Authorization for the signature of these fields.
  static std::string authorization(std::string_view key_id, const http::headers& fields, std::string_view signature);
  /// The fields of a request that are signed, in the order of Oracle's own examples.
  static http::headers signed_fields(const oci_request& request, timestamp now);

 private:
  std::string key_id_;
  rsa_private_key key_;
};

}  // namespace evp::auth
