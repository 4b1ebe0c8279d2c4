// Fuzzes the texts that users of the REST API send: JSON, deployments, times, durations, names, addresses,
// certificates, signed URLs. Each is read or refused, and what was read is written so that it reads the same again.
#include <cstdlib>
#include <string>
#include <string_view>

#include "backend/object_names.h"
#include "backend/service_checks.h"
#include "base/encoding.h"
#include "base/names.h"
#include "base/time.h"
#include "storage/endpoint_guard.h"
#include "storage/local_store.h"
#include "wire/json.h"
#include "wire/messages.h"

namespace {

using namespace evp;

void check_json(std::string_view text) {
  const auto body = wire::parse_json_object(text, 256 * 1024);
  if (!body) return;
  const auto again = wire::parse_json_object(boost::json::serialize(*body), 1 << 20);
  if (!again || *again != *body) std::abort();
  (void)wire::decode_deployment(text);
}

void check_times(std::string_view text) {
  if (const auto d = parse_iso8601_duration(text)) {
    const auto again = parse_iso8601_duration(format_iso8601_duration(*d));
    if (d->count() < 0 || !again || *again != *d) std::abort();
  }
  if (const auto t = parse_rfc3339(text)) {
    const auto again = parse_rfc3339(format_rfc3339(*t));
    if (!again || *again != *t) std::abort();
  }
}

void check_names(std::string_view text) {
  if (check_scoped_name(text, "it")) {
    const auto again = scoped_name(tenant_of(text), local_name(text));
    if (!again || *again != text) std::abort();
  }
  if (check_name(text, "it") && !tenant_of(text).empty()) std::abort();
  const auto pattern = backend::object_name_template::parse(text);
  if (!pattern) return;
  const auto name = pattern->expand({"cam-1", "up", "cam-1/a.jpg", timestamp{}});
  if (name && !check_object_name(*name)) std::abort();
}

void check_encodings(std::string_view text) {
  if (const auto bytes = percent_decode(text); bytes && percent_decode(percent_encode(*bytes)).value_or("") != *bytes)
    std::abort();
  if (const auto bytes = from_base64(text); bytes && from_base64(to_base64(*bytes)).value_or("") != *bytes)
    std::abort();
  if (const auto bytes = from_hex(text); bytes && from_hex(to_hex(*bytes)).value_or("") != *bytes) std::abort();
}

void check_addresses(std::string_view text) {
  (void)storage::endpoint_guard::parse_networks({std::string(text)});
  if (const auto place = storage::parse_url(text); place && !storage::parse_url(place->origin())) std::abort();
  const auto question = std::min(text.find('?'), text.size());
  static const secret key(std::string(32, 'k'));
  const auto query = text.substr(std::min(question + 1, text.size()));
  if (storage::verify_local_url(key, "PUT", text.substr(0, question), query, timestamp{}))
    std::abort();  // nobody can sign
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_json(text);
  check_times(text);
  check_names(text);
  check_encodings(text);
  check_addresses(text);
  (void)backend::check_certificate(std::string(text));
  return 0;
}
