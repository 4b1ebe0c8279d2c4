#include "objects.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <vector>

#include "auth/sigv4.h"
#include "base/crypto.h"
#include "fault_files.h"
#include "http/test_run.h"
#include "io/clock.h"
#include "programs.h"

namespace evp::bench {
namespace {

constexpr int checks_at_once = 16;

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

}  // namespace

secret objects::presign(std::string method, const std::string& authority, const std::string& object) const {
  auth::sigv4_request r;
  r.method = std::move(method);
  r.scheme = "http";
  r.authority = authority;
  r.path = "/evp/" + object;
  const auth::sigv4_signer signer({access_.key, secret(access_.secret_key), {}}, "us-east-1");
  return signer.presign(r, io::system_clock().now(), std::chrono::hours(24));
}

std::string objects::put_url(const std::string& authority, const std::string& object) const {
  return presign("PUT", authority, object).reveal();
}

object_state objects::check_one(http::client& by, boost::asio::io_context& ctx, const std::string& object,
                                unsigned number, std::uint64_t seed) const {
  http::request r;
  r.url = presign("GET", access_.authority, object);
  r.max_response_bytes = 1 << 30;
  const auto answer = http::run(ctx, by.send(std::move(r)));
  if (!answer) give_up("the storage can't be asked: " + answer.error().message());
  if (answer->status == 404) return object_state::missing;
  if (answer->status != 200) give_up("the storage answers " + std::to_string(answer->status) + ": " + answer->body);
  const bool is_right =
      answer->body.size() == fault_file_size(seed, number) && sha256(answer->body) == digest_of(seed, number);
  return is_right ? object_state::right : object_state::wrong;
}

std::map<std::string, object_state> objects::check(const std::map<std::string, unsigned>& numbers,
                                                   std::uint64_t seed) const {
  std::map<std::string, object_state> all;
  std::mutex lock;
  auto next = numbers.begin();
  const auto work = [&] {
    boost::asio::io_context ctx(1);
    http::client client(ctx.get_executor());
    std::unique_lock hold(lock);
    while (next != numbers.end()) {
      const auto& [object, number] = *next++;
      hold.unlock();
      const auto found = check_one(client, ctx, object, number, seed);
      hold.lock();
      all.emplace(object, found);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < checks_at_once; ++i) threads.emplace_back(work);
  for (auto& t : threads) t.join();
  return all;
}

}  // namespace evp::bench
