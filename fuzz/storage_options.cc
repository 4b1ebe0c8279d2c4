// Fuzzes what a user may configure a storage with: connection strings, keys as PEM or JSON, endpoints. Each driver
// takes its options or refuses them at one of its fields; what it takes, it can sign with or say why not.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <string>
#include <string_view>

#include "io/clock.h"
#include "storage/driver.h"

namespace {

using namespace evp;

struct no_transport final : http::transport {
  io::task<result<http::response>> send(http::request) override {
    co_return fail(errc::unavailable, "no network here");
  }
};

void sign_with(storage::driver& d, storage::operation op) {
  storage::sign_spec spec;
  spec.op = op;
  spec.object = "cam-1/a b.jpg";
  spec.lifetime = milliseconds(60'000);
  io::asio::io_context context;
  bool ended = false;
  io::asio::co_spawn(context, d.sign(std::move(spec)), [&](std::exception_ptr e, result<storage::signed_request> r) {
    if (e || (r && r->url.empty())) std::abort();
    ended = true;
  });
  while (!ended && context.run_one() > 0) {}
  d.retire();
  context.run();
}

}  // namespace

// The first line is the type, each further one name=value; "\\n" in a value stands for a line's end.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto line = [&text] {
    const auto out = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(out.size() + 1, text.size()));
    return out;
  };
  const auto type = storage::find_driver_type(line());
  if (!type) return 0;
  storage::option_values options;
  while (!text.empty()) {
    const auto pair = line();
    const auto equals = pair.find('=');
    if (equals == pair.npos) continue;
    std::string value(pair.substr(equals + 1));
    for (auto at = value.find("\\n"); at != value.npos; at = value.find("\\n", at)) value.replace(at, 2, "\n");
    options.set(std::string(pair.substr(0, equals)), secret(std::move(value)), false);
  }
  no_transport transport;
  const io::manual_clock clock{timestamp(seconds(1'795'371'410))};
  const storage::driver_context context{transport, clock, "", "/nonexistent", "http://127.0.0.1:8080", secret("key")};
  auto made = (*type)->make(options, context);
  if (!made) return 0;
  sign_with(*made->instance, storage::operation::put);
  sign_with(*made->instance, storage::operation::get);
  return 0;
}
