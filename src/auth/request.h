// A request that is to be signed: what all signers of URLs are given.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "http/message.h"

namespace evp::auth {

/// Nothing in it is encoded yet: the signer applies the one encoding rule (percent_encode).
struct signable_request {
  std::string method = "GET";
  std::string scheme = "https";
  std::string authority;    ///< what the URL holds: "bucket.s3.eu-west-1.amazonaws.com", "127.0.0.1:7480"
  std::string host;         ///< the Host field that will be sent and is signed; empty: the authority
  std::string path = "/";   ///< begins with '/'; not normalised
  std::string signed_path;  ///< what is signed instead of the path: OSS wants "/bucket/object" whatever the URL says
  std::vector<std::pair<std::string, std::string>> query;
  http::headers fields;  ///< signed: they must be sent with these values. Host is added by itself.
  std::vector<std::string>
      additional_fields;  ///< OSS only: which of the fields it doesn't sign by itself are signed too
  /// Of the body, for a signed payload: 64 hexadecimal digits. Empty: the value of the field that names the payload's
  /// hash (X-Amz-Content-Sha256) if it is among `fields`, else unsigned_payload.
  std::string payload_sha256;

  const std::string& sent_host() const { return host.empty() ? authority : host; }
};

}  // namespace evp::auth
