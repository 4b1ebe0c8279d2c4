#include "apps/backend_inputs.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cstdlib>

#include "http/server.h"
#include "io/files.h"

namespace evp::apps {

result<io::unique_fd> lock_data(const io::fs::path& data) {
  CHECK(io::make_directories(data, 0700));
  const auto file = data / "lock";
  io::unique_fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail(errno_error(errno, file.string()));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(errc::failed_precondition,
                "another evp-backend works on " + data.string() + ": stop it, or choose another folder with --data");
  return fd;
}

result<io::fs::path> plugin_path(const backend_config& c) {
  if (!c.broker_plugin.empty()) return c.broker_plugin;
  std::error_code ec;
  const auto program = io::fs::read_symlink("/proc/self/exe", ec);
  const auto beside = program.parent_path().parent_path() / "lib";
  for (const auto& folder : {beside, beside / "evp"})
    if (io::fs::exists(folder / "evp_broker_plugin.so", ec)) return folder / "evp_broker_plugin.so";
  return fail(errc::not_found, "evp_broker_plugin.so is not in " + beside.string() + ": name it with --broker-plugin");
}

result<std::vector<listen_address>> mqtt_addresses(const backend_config& c) {
  if (!c.brokers.empty()) return c.broker_addresses();
  TRY(auto own, parse_listen_address(c.mqtt_listen));
  return std::vector{std::move(own)};
}

result<void> check_listener(const listen_address& a, bool tls, bool allow_plaintext, std::string_view flag,
                            std::string_view tls_flags) {
  if (tls || allow_plaintext || http::is_loopback_address(a.host)) return {};
  return fail(errc::failed_precondition, std::string(flag) + " " + a.host + " is not on loopback: give " +
                                             std::string(tls_flags) +
                                             ", or --allow-plaintext if the network is yours alone");
}

result<std::optional<backend::master_key_source>> master_key_of(const backend_config& c) {
  using source = backend::master_key_source;
  secret given;
  if (const char* text = std::getenv("EVP_MASTER_KEY")) {
    given = secret(text);
    ::unsetenv("EVP_MASTER_KEY");
  }
  if (!given.empty() && !(c.master_key_file.empty() && c.master_key_command.empty()))
    return fail(errc::invalid_argument, "give EVP_MASTER_KEY, --master-key-file or --master-key-command, one of them");
  if (!given.empty()) return source::text(std::move(given));
  if (!c.master_key_command.empty()) return source::command(c.master_key_command);
  if (!c.master_key_file.empty()) return source::file(c.master_key_file);
  return std::nullopt;
}

}  // namespace evp::apps
