#include "runtime/identity.h"

#include <spdlog/spdlog.h>

#include <random>

#include "base/crypto.h"
#include "io/files.h"
#include "mqtt/backoff.h"
#include "wire/enrolment.h"

namespace evp::runtime {
namespace {

constexpr std::size_t max_file_bytes = 64 * 1024;
constexpr std::size_t max_answer_bytes = 256 * 1024;

result<secret> read_secret(const io::fs::path& file) {
  auto text = io::read_file(file, max_file_bytes);
  if (!text) return fail(std::move(std::move(text).error()).during(file.string()));
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r' || text->back() == ' ')) text->pop_back();
  return secret(std::move(*text));
}

/// The certificates of a file that holds a key too.
std::string certificates_of(const std::string& pem) {
  const auto at = pem.find("-----BEGIN CERTIFICATE-----");
  return at == pem.npos ? std::string() : pem.substr(at);
}

}  // namespace

bool device_identity::exists() const {
  std::error_code ignored;
  return io::fs::exists(file(), ignored);
}

io::task<result<std::string>> device_identity::ask(std::string path, std::string body) {
  http::request r;
  r.method = "POST";
  r.url = secret(options_.url + path);
  r.fields = {{"Content-Type", "application/json"}};
  r.body = std::move(body);
  r.max_response_bytes = max_answer_bytes;
  r.ca_pem = options_.ca_pem;
  r.via = options_.via;
  r.total_timeout = milliseconds(60'000);
  CO_TRY(auto answer, co_await transport_.send(std::move(r)));
  if (answer.status != 201) co_return fail(wire::decode_refusal(answer.status, answer.body));
  co_return std::move(answer.body);
}

/// The file may be from before the key went to a token, or came from one.
result<void> device_identity::check_kept() const {
  TRY(const auto kept, read_secret(file()));
  const auto wrong = [&](const char* why) {
    return fail(errc::failed_precondition,
                file().string() + why + ": remove the file, and enrol the device with another enrolment token");
  };
  const bool has_key = kept.reveal().find("PRIVATE KEY-----") != std::string::npos;
  if (!options_.key && !has_key) return wrong(" has no key, and device-key names none on a token");
  if (!options_.key) return {};
  if (has_key) return wrong(" has a private key, and device-key names one on a token");
  TRY(const bool is_its, options_.key->is_of(kept.reveal()));
  if (!is_its) return wrong(" is the certificate of another key than the token's");
  return {};
}

result<device_key> device_identity::key_in(const secret& pem) const {
  if (options_.key) return *options_.key;
  return device_key::load(pem);
}

result<device_key> device_identity::key_to_enrol() const {
  if (options_.key) return *options_.key;
  std::error_code ignored;
  if (!io::fs::exists(pending(), ignored))
    CHECK(io::write_file_durably(pending(), device_key::make().pem().reveal(), 0600));
  TRY(const auto pem, read_secret(pending()));
  return device_key::load(pem);
}

result<void> device_identity::keep(const device_key& key, const std::string& certificate) const {
  CHECK(check_pem_certificates(certificate));
  const auto pem = options_.key ? secret() : key.pem();
  CHECK(io::write_file_durably(file(), pem.reveal() + certificate, 0600));
  std::error_code ignored;
  io::fs::remove(pending(), ignored);
  return {};
}

io::task<result<void>> device_identity::enrol() {
  if (exists()) co_return check_kept();
  CO_CHECK(io::make_directories(options_.folder, 0700));
  CO_TRY(const auto key, key_to_enrol());
  CO_TRY(const auto token, read_secret(options_.token_file));
  CO_TRY(const auto request, key.request());
  auto body = wire::encode_enrolment(token, request, options_.id);
  CO_TRY(const auto said, co_await ask("/v1/enroll", std::move(body)));
  CO_TRY(const auto answer, wire::decode_enrolment_answer(said));
  CO_CHECK(keep(key, answer.certificate));
  spdlog::info("enrolled as device {}", answer.username);
  co_return result<void>();
}

io::task<result<void>> device_identity::enrol_with_patience() {
  std::random_device random;
  mqtt::backoff pauses(first_pause, longest_pause, random());
  for (;;) {
    const auto done = co_await enrol();
    if (done || !is_temporary(done.error().code())) co_return done;
    const auto pause = first_pause + pauses.next();
    spdlog::warn("not enrolled yet, next attempt in {} s: {}", pause.count() / 1000, done.error().message());
    const bool on = co_await io::sleep_for(pause);
    if (!on) co_return fail(errc::cancelled, "stopped before the device was enrolled");
  }
}

io::task<result<bool>> device_identity::renew_if_due() {
  CO_TRY(const auto both, read_secret(file()));
  const auto certificate = certificates_of(both.reveal());
  CO_TRY(const auto good, validity_of(certificate));
  const auto now = std::chrono::floor<seconds>(clock_.now()).time_since_epoch().count();
  const auto due = good.not_before + (long long)(renew_after * double(good.not_after - good.not_before));
  if (now < due) co_return false;
  CO_TRY(const auto old, key_in(both));
  auto fresh = old;
  if (!options_.key) fresh = device_key::make();
  CO_TRY(const auto request, fresh.request());
  CO_TRY(const auto signature, old.sign(request));
  auto body = wire::encode_renewal(certificate, request, signature);
  CO_TRY(const auto said, co_await ask("/v1/enroll/renew", std::move(body)));
  CO_TRY(const auto answer, wire::decode_enrolment_answer(said));
  CO_CHECK(keep(fresh, answer.certificate));
  spdlog::info("the device's certificate has been renewed; the next connection uses it");
  co_return true;
}

io::task<void> device_identity::renew_forever() {
  co_await io::asio::this_coro::throw_if_cancelled(false);
  for (bool on = true; on;) {
    const auto done = co_await renew_if_due();
    if (!done) spdlog::warn("the device's certificate cannot be renewed yet: {}", done.error().message());
    on = co_await io::sleep_for(done ? look_every : retry_renewal);
  }
}

}  // namespace evp::runtime
