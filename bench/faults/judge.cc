#include "judge.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <mutex>
#include <thread>
#include <vector>

#include "auth/sigv4.h"
#include "base/crypto.h"
#include "fault_files.h"
#include "http/test_run.h"
#include "io/clock.h"

namespace evp::bench {
namespace {

constexpr const char* object_folder = "faults/uploader/";  // device and instance
constexpr std::size_t offences_max = 20;
constexpr int checks_at_once = 16;

std::string path_of(const attempt_key& k) { return "/evp/" + (object_folder + name_of(k)); }

std::string digest_of(std::uint64_t seed, unsigned number) {
  sha256_stream digest;
  std::vector<unsigned char> block(65536);
  const auto size = fault_file_size(seed, number);
  for (std::uint64_t at = 0; at < size; at += block.size()) {
    const auto part = std::size_t(std::min<std::uint64_t>(block.size(), size - at));
    fault_file_bytes(seed, number, at, block.data(), part);
    digest.update({reinterpret_cast<const char*>(block.data()), part});
  }
  return digest.finish();
}

bool contradict(const told_outcome& a, const told_outcome& b) {
  return a.id != b.id || a.result != b.result || a.http_status != b.http_status || a.error != b.error;
}

}  // namespace

secret objects::presign(std::string method, const std::string& authority, const std::string& path) const {
  auth::sigv4_request r;
  r.method = std::move(method);
  r.scheme = "http";
  r.authority = authority;
  r.path = path;
  const auth::sigv4_signer signer({access_.key, secret(access_.secret_key), {}}, "us-east-1");
  return signer.presign(r, io::system_clock().now(), std::chrono::hours(24));
}

std::string objects::put_url(const std::string& authority, const std::string& path) const {
  return presign("PUT", authority, path).reveal();
}

objects::state objects::check_one(http::client& by, boost::asio::io_context& ctx, const std::string& path,
                                  unsigned number, std::uint64_t seed) const {
  http::request r;
  r.url = presign("GET", access_.authority, path);
  r.max_response_bytes = 1 << 30;
  const auto answer = http::run(ctx, by.send(std::move(r)));
  if (!answer) give_up("the storage can't be asked: " + answer.error().message());
  if (answer->status == 404) return state::missing;
  if (answer->status != 200) give_up("the storage answers " + std::to_string(answer->status) + ": " + answer->body);
  const bool is_right =
      answer->body.size() == fault_file_size(seed, number) && sha256(answer->body) == digest_of(seed, number);
  return is_right ? state::right : state::wrong;
}

std::map<std::string, objects::state> objects::check(const std::map<std::string, unsigned>& numbers_by_path,
                                                     std::uint64_t seed) const {
  std::map<std::string, state> all;
  std::mutex lock;
  auto next = numbers_by_path.begin();
  const auto work = [&] {
    boost::asio::io_context ctx(1);
    http::client client(ctx.get_executor());
    std::unique_lock hold(lock);
    while (next != numbers_by_path.end()) {
      const auto& [path, number] = *next++;
      hold.unlock();
      const auto found = check_one(client, ctx, path, number, seed);
      hold.lock();
      all.emplace(path, found);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < checks_at_once; ++i) threads.emplace_back(work);
  for (auto& t : threads) t.join();
  return all;
}

ledger_states read_ledger(rest& api) {
  ledger_states all;
  std::string cursor;
  do {
    const auto page = api.call("GET", "/v1/uploads?limit=1000" + cursor, "").as_object();
    for (const auto& row : page.at("uploads").as_array())
      all[std::string(row.at("object").as_string())].emplace(row.at("state").as_string());
    const auto* next = page.if_contains("nextCursor");
    cursor = next ? "&cursor=" + std::string(next->as_string()) : std::string();
  } while (!cursor.empty());
  return all;
}

verdict judge(const records& r, std::uint64_t seed, const objects& storage, const ledger_states& ledger) {
  verdict v;
  std::map<std::uint64_t, attempt_key> owners;
  std::map<std::string, unsigned> to_check;
  for (const auto& [key, a] : r.attempts)
    if (!a.told.empty() && a.told.front().result == 0) to_check.emplace(path_of(key), key.first);
  const auto found = storage.check(to_check, seed);
  const auto offence = [&](unsigned& counter, const attempt_key& k, const char* what) {
    ++counter;
    if (v.offences.size() < offences_max) v.offences.push_back(name_of(k) + ": " + what);
  };
  for (const auto& [object, states] : ledger) {
    v.grants += unsigned(states.size());
    v.grants_verified += unsigned(states.count("verified"));
  }
  for (const auto& [key, a] : r.attempts) {
    v.accepted += a.accepted;
    v.refused += a.refused;
    if (a.told.empty()) {
      if (a.accepted) offence(v.lost, key, "accepted, and its outcome was never told");
      continue;
    }
    const auto& first = a.told.front();
    if (!a.accepted) ++v.unrecorded;
    if (a.refused) offence(v.doubled, key, "refused, and carried out all the same");
    if (a.accepted && first.id != a.id) offence(v.doubled, key, "told under another id than it was accepted with");
    if (!owners.emplace(first.id, key).second) offence(v.doubled, key, "shares its id with another one");
    for (std::size_t i = 1; i < a.told.size(); ++i) {
      ++v.told_again;
      if (contradict(first, a.told[i])) offence(v.doubled, key, "told two different outcomes");
      if (a.told[i].is_own || a.told[i].life == a.told[i - 1].life) offence(v.doubled, key, "told twice in one life");
    }
    const auto rows = ledger.find(object_folder + name_of(key));
    const bool is_verified = rows != ledger.end() && rows->second.contains("verified");
    if (first.result != 0) {
      ++v.failed;
      if (is_verified) offence(v.doubled, key, "told as failed, but verified in the ledger");
      continue;
    }
    ++v.succeeded;
    const auto is = found.at(path_of(key));
    if (is == objects::state::missing) offence(v.lost, key, "told as a success, and not in the storage");
    if (is == objects::state::wrong) offence(v.corrupt, key, "other bytes in the storage");
    if (!is_verified) offence(v.doubled, key, "told as a success, but not verified in the ledger");
  }
  return v;
}

}  // namespace evp::bench
