#include "wire/enrolment.h"

#include "wire/fields.h"

namespace evp::wire {
namespace {

constexpr std::size_t max_answer_bytes = 256 * 1024;

json::string as_json(std::string_view s) { return json::string(s.data(), s.size()); }

}  // namespace

std::string encode_enrolment(const secret& token, std::string_view csr, std::string_view id) {
  json::object o;
  o.emplace("token", as_json(token.reveal()));
  o.emplace("csr", as_json(csr));
  if (!id.empty()) o.emplace("id", as_json(id));
  return json::serialize(o);
}

std::string encode_renewal(std::string_view certificate, std::string_view csr, std::string_view signature) {
  json::object o;
  o.emplace("certificate", as_json(certificate));
  o.emplace("csr", as_json(csr));
  o.emplace("signature", as_json(signature));
  return json::serialize(o);
}

result<enrolment_answer> decode_enrolment_answer(std::string_view body) {
  const auto object = parse_json_object(body, max_answer_bytes);
  if (!object) return fail(errc::data_corrupt, "the backend's answer is no JSON");
  const json_reader r(*object);
  enrolment_answer out;
  auto username = r.text("username");
  auto certificate = r.text("certificate");
  if (!username || !certificate) return fail(errc::data_corrupt, "the backend's answer holds no certificate");
  out.username = std::move(*username);
  out.certificate = std::move(*certificate);
  return out;
}

error decode_refusal(int status, std::string_view body) {
  const auto said = "the backend answered with HTTP status " + std::to_string(status);
  const auto object = parse_json_object(body, max_answer_bytes);
  const auto e = object ? json_reader(*object).optional_object("error").value_or(std::nullopt) : std::nullopt;
  if (!e) return {errc::unavailable, said};
  const auto code = e->optional_text("code").value_or(std::nullopt);
  const auto message = e->optional_text("message").value_or(std::nullopt);
  const auto known = code ? errc_from_string(*code) : std::nullopt;
  return {known.value_or(errc::unavailable), message ? *message : said};
}

}  // namespace evp::wire
