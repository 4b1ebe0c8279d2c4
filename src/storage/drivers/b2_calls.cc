#include "storage/drivers/b2_calls.h"

#include <fmt/format.h>

#include "base/encoding.h"

namespace evp::storage {
namespace {

using auth::json_text;

constexpr std::uint64_t answer_max = 1 << 20;  // 1,000 parts of an upload are a third of that

bool is_dead_token(std::string_view code) { return code == "bad_auth_token" || code == "expired_auth_token"; }
bool is_cap(std::string_view code) { return code.ends_with("cap_exceeded"); }

}  // namespace

b2_calls::b2_calls(const driver_context& context, endpoint origin, auth::b2_login login, std::string bucket)
    : transport_(context.transport),
      ca_pem_(context.ca_pem),
      origin_(std::move(origin)),
      login_(context.clock, auth::make_b2_login(context.transport, context.clock, std::move(login))),
      bucket_(std::move(bucket)) {}

io::task<result<auth::expiring<auth::b2_account>>> b2_calls::account() {
  auto with = co_await login_.get(grant_least);
  co_return with;
}

io::task<result<b2_calls::answer>> b2_calls::call(std::string name, std::string body, std::string doing,
                                                  std::string needs) {
  CO_TRY(const auto with, co_await account());
  CO_TRY(const auto at, checked(with.value.api_url));
  auto r = auth::json_request(at.origin() + "/b2api/v3/" + name, std::move(body), ca_pem_);
  r.fields.push_back({"Authorization", with.value.token.reveal()});
  r.max_response_bytes = answer_max;
  if (name == "b2_finish_large_file") r.total_timeout = r.stall_timeout = commit_limit;
  CO_TRY(const auto got, co_await transport_.send(std::move(r)));
  if (got.status != 200) co_return fail(refused(got, with, doing, needs));
  CO_TRY(auto said, auth::issuer_fields::parse(got.body, "Backblaze"));
  answer out;
  out.said = std::move(said);
  out.token_dies = with.expires_at;
  co_return out;
}

io::task<result<std::string>> b2_calls::bucket_id() {
  if (!bucket_id_.empty()) co_return bucket_id_;
  CO_TRY(const auto with, co_await account());
  if (!with.value.bucket_id.empty()) {
    if (with.value.bucket_name != bucket_)
      co_return fail(errc::permission_denied, "bucket", "the application key is limited to another bucket");
    bucket_id_ = with.value.bucket_id;
    co_return bucket_id_;
  }
  auto body =
      fmt::format(R"({{"accountId":{},"bucketName":{}}})", json_text(with.value.account_id), json_text(bucket_));
  CO_TRY(const auto found, co_await call("b2_list_buckets", std::move(body), "find the bucket", "listBuckets"));
  for (const auto& b : found.said.objects("buckets"))
    if (b.text_or_empty("bucketName") == bucket_) bucket_id_ = b.text_or_empty("bucketId");
  if (bucket_id_.empty()) co_return fail(errc::not_found, "bucket", "the storage has no such bucket");
  co_return bucket_id_;
}

io::task<result<void>> b2_calls::make_bucket() {
  CO_TRY(const auto with, co_await account());
  auto body = fmt::format(
      R"({{"accountId":{},"bucketName":{},"bucketType":"allPrivate",)"
      R"("lifecycleRules":[{{"fileNamePrefix":"","daysFromUploadingToHiding":null,"daysFromHidingToDeleting":1}}]}})",
      json_text(with.value.account_id), json_text(bucket_));
  CO_TRY(const auto made, co_await call("b2_create_bucket", std::move(body), "create the bucket", "writeBuckets"));
  CO_TRY(bucket_id_, made.said.text("bucketId"));
  co_return result<void>();
}

io::task<result<http::response>> b2_calls::on_object(std::string method, std::string object, std::uint64_t max_bytes) {
  CO_TRY(const auto with, co_await account());
  http::request r;
  r.method = method;
  CO_TRY(r.url, object_url(with.value, object));
  r.fields.push_back({"Authorization", with.value.token.reveal()});
  r.ca_pem = ca_pem_;
  r.max_response_bytes = max_bytes;
  CO_TRY(auto got, co_await transport_.send(std::move(r)));
  if (got.status == 200) co_return got;
  co_return fail(refused(got, with, method == "HEAD" ? "describe an object" : "read an object", "readFiles"));
}

result<secret> b2_calls::object_url(const auth::b2_account& account, std::string_view object) const {
  TRY(const auto at, checked(account.download_url));
  return secret(at.origin() + "/file/" + bucket_ + "/" + percent_encode(object, true));
}

result<endpoint> b2_calls::checked(std::string_view url) const {
  auto at = parse_url(url);
  if (at && (at->scheme == "https" || origin_.scheme == "http")) return at;
  return fail(errc::unavailable, "Backblaze answered with a URL that is none: check the endpoint");
}

error b2_calls::refused(const http::response& answer, const auth::expiring<auth::b2_account>& with,
                        std::string_view doing, std::string_view needs) {
  const auto code = json_error_code(answer.body);
  // An answer to HEAD has no body that could name the reason.
  if (is_dead_token(code) || (answer.status == 401 && code.empty())) login_.reject(with);
  if (code == "unauthorized")
    return error(errc::permission_denied,
                 fmt::format("the application key may not {}: it lacks the capability {}, or is limited to another "
                             "bucket or to names with a prefix",
                             doing, needs));
  if (is_cap(code))
    return error(errc::rate_limited,
                 "a cap of the Backblaze account is reached: wait for the next day, or raise it in the console");
  if (code == "bad_bucket_id") {
    bucket_id_.clear();
    return error(errc::not_found, "the bucket is gone").at("bucket");
  }
  if (code == "duplicate_bucket_name")
    return error(errc::already_exists, "is the name of somebody else's bucket on Backblaze: choose another")
        .at("bucket");
  auto e = error_of_answer(answer, doing, code);
  if (answer.status == 400) return error(errc::failed_precondition, e.message());  // no such upload or file, mostly
  return e;
}

}  // namespace evp::storage
