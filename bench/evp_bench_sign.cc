// evp-bench-sign: signed grants a second on one core, of every signer and of the drivers that use them, beside the raw
// limit of this machine in the same run, and allocations for each. Prints a table, then one line of JSON.
//
// With --sdk=tools/vectors (after npm ci there) the vendors' own SDKs sign in the same run, as "sdk_s3" and so on.
//
// The raw limit: one SHA-256 of 450 bytes and one HMAC-SHA256 of 130 bytes under a kept key, which is what a presigned
// URL costs at least; for RSA one RSA-2048 signature.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <cstdio>
#include <map>

#include "allocations.h"
#include "auth/azure_sas.h"
#include "auth/bos.h"
#include "auth/cos.h"
#include "auth/goog4.h"
#include "auth/qiniu.h"
#include "auth/secure_link.h"
#include "auth/sigv2.h"
#include "auth/sigv4.h"
#include "auth/tempurl.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "base/hmac.h"
#include "storage/driver.h"

namespace {

using namespace evp;

const secret key("bench/fake+secret=not/a+real/key=0000000");
const std::string object = "2026/11/22/camera-17/front-door-180713.626.jpg";
// Grants come at all times of a day: the clock moves on a second every thousand grants.
const timestamp start = *parse_rfc3339("2026-11-22T00:00:00Z");

struct ticking {
  std::int64_t grants = 0;
  timestamp now() { return start + seconds(grants++ / 1000 % 86'400); }
};

auth::signable_request upload(std::string authority, std::string path) {
  auth::signable_request r;
  r.method = "PUT";
  r.authority = std::move(authority);
  r.path = std::move(path);
  return r;
}

/// Runs one grant over and over and notes how many allocations each took.
template <class Grant>
void measure(benchmark::State& state, Grant grant) {
  ticking clock;
  benchmark::DoNotOptimize(grant(clock.now()));  // caches are warm
  const auto before = bench::allocations();
  for (auto _ : state) benchmark::DoNotOptimize(grant(clock.now()));
  state.counters["allocations"] = double(bench::allocations() - before) / double(state.iterations());
  state.SetItemsProcessed(state.iterations());
}

std::string new_rsa_key() {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> made(EVP_RSA_gen(2048), EVP_PKEY_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_PrivateKey(out.get(), made.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, std::size_t(size));
}
const std::string& rsa_pem() {
  static const auto pem = new_rsa_key();
  return pem;
}

// ---- limits ----

void raw_hashes(benchmark::State& state) {
  const hmac_key kept(hash::sha256, key.reveal());
  const std::string request(450, 'r'), text(130, 't');
  measure(state, [&](timestamp) {
    benchmark::DoNotOptimize(digest(hash::sha256, request));
    return kept.sign(text);
  });
}

/// The two ways to an HMAC under a kept key: copied hash states, and OpenSSL's EVP_MAC (docs/adr/0010).
void hmac_of_states(benchmark::State& state) {
  const hmac_key kept(hash::sha256, key.reveal());
  const std::string text(130, 't');
  measure(state, [&](timestamp) { return kept.sign(text); });
}
void hmac_of_evp_mac(benchmark::State& state) {
  const std::string text(130, 't');
  measure(state, [&](timestamp) { return hmac_sha256(key.reveal(), text); });
}

void raw_rsa(benchmark::State& state) {
  const auto rsa = *rsa_private_key::parse(secret(rsa_pem()));
  const std::string text(130, 't');
  measure(state, [&](timestamp) { return rsa.sign_sha256(text); });
}

// ---- signers ----

void s3(benchmark::State& state) {
  const auth::sigv4_signer signer({"AKIDBENCH", key, secret()}, "eu-central-1");
  const auto r = upload("fleet.s3.eu-central-1.amazonaws.com", "/" + object);
  measure(state, [&](timestamp now) { return signer.presign(r, now, seconds(120)); });
}

void s3_fields_and_token(benchmark::State& state) {
  const auth::sigv4_signer signer({"AKIDBENCH", key, secret(std::string(400, 'T'))}, "eu-central-1");
  auto r = upload("fleet.s3.eu-central-1.amazonaws.com", "/" + object);
  r.fields = {{"Content-Type", "image/jpeg"}, {"x-amz-meta-fleet", "north"}, {"Content-Length", "123456"}};
  measure(state, [&](timestamp now) { return signer.presign(r, now, seconds(120)); });
}

void azure(benchmark::State& state) {
  const auto signer = *auth::azure_sas_signer::make("benchaccount", secret(to_base64(key.reveal())));
  auth::azure_service_sas sas;
  sas.container = "fleet";
  sas.path = object;
  sas.permissions = "cw";
  sas.protocol = "https";
  measure(state, [&](timestamp now) {
    sas.expires = now + seconds(120);
    return signer.sign(sas)->query;
  });
}

void gcs_hmac(benchmark::State& state) {
  const auto signer = auth::make_goog4_hmac_signer("GOOG1BENCH", key);
  const auto r = upload("storage.googleapis.com", "/fleet/" + object);
  measure(state, [&](timestamp now) { return signer.presign(r, now, seconds(120)); });
}

void gcs_rsa(benchmark::State& state) {
  const auth::goog4_signer signer("bench@fake.iam.gserviceaccount.com", *rsa_private_key::parse(secret(rsa_pem())));
  const auto r = upload("storage.googleapis.com", "/fleet/" + object);
  measure(state, [&](timestamp now) { return *signer.presign(r, now, seconds(120)); });
}

void oss(benchmark::State& state) {
  const auth::sigv4_signer signer({"LTAIBENCH", key, secret()}, "eu-central-1", "oss", auth::oss4);
  auto r = upload("fleet.oss-eu-central-1.aliyuncs.com", "/" + object);
  r.signed_path = "/fleet/" + object;
  measure(state, [&](timestamp now) { return signer.presign(r, now, seconds(120)); });
}

void tos(benchmark::State& state) {
  const auth::sigv4_signer signer({"AKLTBENCH", key, secret()}, "cn-beijing", "tos", auth::tos4);
  const auto r = upload("fleet.tos-cn-beijing.volces.com", "/" + object);
  measure(state, [&](timestamp now) { return signer.presign(r, now, seconds(120)); });
}

void cos_(benchmark::State& state) {
  const auth::cos_signer signer("AKIDBENCH", key, secret());
  auto r = upload("fleet-1250000000.cos.eu-frankfurt.myqcloud.com", "/" + object);
  r.fields = {{"Host", r.authority}};
  measure(state, [&](timestamp now) { return signer.presign(r, now, now + seconds(120)); });
}

void obs(benchmark::State& state) {
  const auth::sigv2_signer signer("AKBENCH", key, secret(), "fleet");
  const auto r = upload("fleet.obs.eu-west-0.myhuaweicloud.com", "/" + object);
  measure(state, [&](timestamp now) { return signer.presign(r, now + seconds(120)); });
}

void bos(benchmark::State& state) {
  const auth::bos_signer signer("AKBENCH", key, secret());
  const auto r = upload("fleet.bj.bcebos.com", "/" + object);
  measure(state, [&](timestamp now) { return signer.presign(r, now, seconds(120)); });
}

void qiniu(benchmark::State& state) {
  const auth::qiniu_signer signer("AKBENCH", key);
  measure(state, [&](timestamp now) {
    return signer.upload_token({.bucket = "fleet", .object = object, .expires_at = now + seconds(120)});
  });
}

void swift_tempurl(benchmark::State& state) {
  const auth::tempurl_signer signer(hash::sha256, key);
  auth::tempurl_request r{.method = "PUT", .origin = "https://swift.example.com", .path = "/v1/AUTH_x/fleet/" + object};
  measure(state, [&](timestamp now) {
    r.expires_at = now + seconds(120);
    return signer.sign(r);
  });
}

void secure_link(benchmark::State& state) {
  measure(state, [&](timestamp now) {
    return auth::sign_secure_link(key, "PUT", "https://files.example.com", "/fleet/" + object, now + seconds(120));
  });
}

// ---- whole grants: what a driver makes of a spec, checks and coroutine included ----

struct no_transport final : http::transport {
  io::task<result<http::response>> send(http::request) override {
    co_return fail(errc::unavailable, "no network here");
  }
};

io::task<void> grants(benchmark::State& state, storage::driver& driver, io::manual_clock& clock) {
  std::int64_t count = 0;
  const auto before = bench::allocations();
  for (auto _ : state) {
    storage::sign_spec spec;
    spec.object = object;
    const auto made = co_await driver.sign(std::move(spec));
    if (!made) state.SkipWithError(made.error().message().c_str());
    if (++count % 1000 == 0) clock.advance(seconds(1));
  }
  state.counters["allocations"] = double(bench::allocations() - before) / double(state.iterations());
  state.SetItemsProcessed(state.iterations());
}

void driver(benchmark::State& state, const char* type, const std::map<std::string, std::string>& options) {
  no_transport transport;
  io::manual_clock clock{start};
  const storage::driver_context context{transport, clock, "", "/nonexistent", "http://127.0.0.1:8080", key};
  storage::option_values values;
  for (const auto& [name, value] : options) values.set(name, secret(value), false);
  auto made = (*storage::find_driver_type(type))->make(values, context);
  if (!made) return state.SkipWithError(made.error().message().c_str());
  io::asio::io_context executor;
  io::asio::co_spawn(executor, grants(state, *made->instance, clock), io::asio::detached);
  executor.run();
}

/// The table of google-benchmark, and its figures kept.
class reporter final : public benchmark::ConsoleReporter {
 public:
  reporter() : ConsoleReporter(OO_Tabular) {}  // without colours, which would stand before the JSON
  struct figures {
    double per_second = 0, allocations = 0;
  };
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const auto& r : runs)
      if (!r.error_occurred && r.run_type == Run::RT_Iteration)
        all_[r.run_name.function_name] = {r.counters.at("items_per_second"), r.counters.at("allocations")};
    ConsoleReporter::ReportRuns(runs);
  }

  void add(const std::string& name, double per_second) { all_[name] = {per_second, 0}; }

  /// {"raw_hashes":{"per_second":...,"allocations":...,"of_raw":1},...}
  std::string json() const {
    std::string out;
    for (const auto& [name, f] : all_) {
      const bool rsa = name.find("rsa") != name.npos;
      const auto raw = all_.find(rsa ? "raw_rsa" : "raw_hashes");
      const double share = raw == all_.end() ? 0 : f.per_second / raw->second.per_second;
      out += fmt::format("{}\"{}\":{{\"per_second\":{:.0f},\"of_raw\":{:.3f},\"allocations\":{:.1f}}}",
                         out.empty() ? "{" : ",", name, f.per_second, share, f.allocations);
    }
    return out + "}";
  }

 private:
  std::map<std::string, figures> all_;
};

/// The vendors' SDKs, measured by tools/vectors/speed.js. False: they are not installed there.
bool measure_sdks(const std::string& folder, reporter& out) {
  const auto command = "node '" + folder + "/speed.js'";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  char line[4096] = "";
  if (!pipe || !std::fgets(line, sizeof line, pipe.get())) return false;
  boost::system::error_code ec;
  const auto figures = boost::json::parse(line, ec);
  if (ec || !figures.is_object()) return false;
  fmt::print("\nthe vendors' SDKs (Node.js, one core):\n");
  for (const auto& [name, per_second] : figures.get_object()) {
    fmt::print("{:<20} {:>10.0f}/s\n", "sdk_" + std::string(name), per_second.to_number<double>());
    out.add("sdk_" + std::string(name), per_second.to_number<double>());
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  std::string sdks;
  constexpr std::string_view option = "--sdk=";
  for (int i = 1; i < argc; ++i) {
    if (!std::string_view(argv[i]).starts_with(option)) continue;
    sdks = argv[i] + option.size();
    std::copy(argv + i + 1, argv + argc, argv + i);
    --argc;
    break;
  }
  constexpr struct {
    const char* name;
    void (*run)(benchmark::State&);
  } all[] = {{"raw_hashes", raw_hashes},
             {"hmac_of_states", hmac_of_states},
             {"hmac_of_evp_mac", hmac_of_evp_mac},
             {"raw_rsa", raw_rsa},
             {"s3", s3},
             {"s3_fields_and_token", s3_fields_and_token},
             {"azure", azure},
             {"gcs_hmac", gcs_hmac},
             {"gcs_rsa", gcs_rsa},
             {"oss", oss},
             {"tos", tos},
             {"cos", cos_},
             {"obs", obs},
             {"bos", bos},
             {"qiniu", qiniu},
             {"swift_tempurl", swift_tempurl},
             {"secure_link", secure_link}};
  for (const auto& [name, run] : all) benchmark::RegisterBenchmark(name, run);
  const std::map<std::string, std::string> keys{
      {"accessKeyId", "AK"}, {"secretAccessKey", key.reveal()}, {"region", "eu-central-1"}};
  benchmark::RegisterBenchmark("driver_AWS", driver, "AWS", keys);
  benchmark::RegisterBenchmark("driver_ALIBABA_OSS", driver, "ALIBABA_OSS", keys);
  benchmark::RegisterBenchmark("driver_GCP", driver, "GCP", keys);
  benchmark::RegisterBenchmark(
      "driver_AZURE", driver, "AZURE",
      std::map<std::string, std::string>{
          {"connectionString",
           "AccountName=benchaccount;AccountKey=" + to_base64(key.reveal()) + ";EndpointSuffix=core.windows.net"}});
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  reporter out;
  benchmark::RunSpecifiedBenchmarks(&out);
  if (!sdks.empty() && !measure_sdks(sdks, out)) {
    fmt::print(stderr, "{}: no SDKs there; run npm ci in that folder (Node.js 20)\n", sdks);
    return 1;
  }
  fmt::print("{}\n", out.json());
  return 0;
}
