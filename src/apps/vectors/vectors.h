// What evp-vectors' readers share: a case goes in, and what the file expects comes out beside what our signer made.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "auth/request.h"
#include "base/error.h"
#include "base/time.h"

namespace evp::vectors {

namespace json = boost::json;

/// What a case should give and what the signer gave. Both are texts that can be compared and shown: vectors hold test
/// keys only.
struct outcome {
  std::string name, expected, got;
};

/// One file of cases.
struct source {
  std::string path;
  json::object file;  ///< its top level; empty where that is an array
};

/// Signs one case from its inputs alone. Errors: unsupported (a form of case that the reader does not know), and those
/// of reading its values.
using sign_case = result<outcome> (*)(const source& from, const json::object& c);

result<outcome> sign_s3(const source& from, const json::object& c);
result<outcome> sign_ibm(const source& from, const json::object& c);
result<outcome> sign_azure(const source& from, const json::object& c);
result<outcome> sign_gcs(const source& from, const json::object& c);
result<outcome> sign_oss(const source& from, const json::object& c);
result<outcome> sign_cos(const source& from, const json::object& c);
result<outcome> sign_obs(const source& from, const json::object& c);
result<outcome> sign_tos(const source& from, const json::object& c);
result<outcome> sign_bos(const source& from, const json::object& c);
result<outcome> sign_qiniu(const source& from, const json::object& c);
result<outcome> sign_oci(const source& from, const json::object& c);
result<outcome> sign_swift(const source& from, const json::object& c);
result<outcome> sign_post_policy(const source& from, const json::object& c);

/// A value as text; empty where it is absent or null; numbers and booleans as JSON has them.
std::string text(const json::object& o, std::string_view name);
/// The same, or another text where it is empty.
std::string text_or(const json::object& o, std::string_view name, std::string_view otherwise);
/// The value of a case's "input" object, or the case itself: two forms in which the SDKs' outputs were written down.
const json::object& input_of(const json::object& c);
/// The time at which the file's SDK ran. Errors: invalid_argument.
result<timestamp> clock_of(const source& from);
seconds lifetime_of(const json::object& input);

/// The part of a request that all files of SDK output describe alike: method (from op), bucket and key in the URL of
/// `endpoint` (the case's or the file's own wins), "query" and "headers", contentType and the like.
struct described {
  auth::signable_request request;
  std::string bucket, key, token;
};
result<described> describe(const source& from, const json::object& c, std::string_view endpoint);

/// Decoded parameters in order of name: what two signers must agree on, whatever order they write them in.
std::string sorted_query(std::string_view query);
/// The URL until '?' as it stands but for !'()*, which are encoded, and its query sorted.
std::string sorted_url(std::string_view url);

}  // namespace evp::vectors
