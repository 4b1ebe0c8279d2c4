#include "mqtt/broker_child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
extern "C" {
#include <sys/pidfd.h>  // glibc 2.36 forgets to say that it is C
}

#include <boost/asio/ip/address.hpp>
#include <cstdlib>
#include <vector>

namespace evp::mqtt {
namespace {

namespace fs = std::filesystem;
using io::unique_fd;

constexpr std::size_t tls_file_max = 1 << 20;
constexpr const char* run_as = "mosquitto";  // Debian's package makes this user

result<fs::path> find_program(const embedded_broker_options& o) {
  if (!o.program.empty()) {
    if (::access(o.program.c_str(), X_OK) == 0) return o.program;
    return fail(errc::not_found, "broker program " + o.program.string() + " is not an executable file");
  }
  const char* path = std::getenv("PATH");
  std::string folders = std::string(path ? path : "") + ":/usr/sbin:/usr/local/sbin";
  for (std::size_t at = 0; at <= folders.size();) {
    const auto end = std::min(folders.find(':', at), folders.size());
    const fs::path candidate = fs::path(folders.substr(at, end - at)) / "mosquitto";
    if (candidate.is_absolute() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  return fail(errc::not_found,
              "mosquitto is missing: install the Debian package mosquitto, or name the broker program");
}

// A nameless file in memory that the child can open by its number, whatever user it runs as.
result<unique_fd> memory_file(const char* name, std::string_view bytes) {
  unique_fd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) return fail(errno_error(errno, "memfd_create"));
  for (std::size_t done = 0; done < bytes.size();) {
    const auto n = ::write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0) return fail(errno_error(errno, "writing a memory file"));
    done += static_cast<std::size_t>(n);
  }
  return fd;
}

std::string by_number(const unique_fd& fd) { return fmt::format("/proc/self/fd/{}", fd.get()); }

// What the child inherits, and the configuration that names it.
struct inheritance {
  std::vector<unique_fd> files;
  std::string configuration;

  result<std::string> add_file(const fs::path& path, const char* what) {
    auto bytes = io::read_file(path, tls_file_max);
    if (!bytes) return fail(std::move(bytes).error().during(what));
    TRY(auto fd, memory_file(what, *bytes));
    files.push_back(std::move(fd));
    return by_number(files.back());
  }
};

result<void> write_tls(const listener_tls& tls, inheritance& in) {
  TRY(const auto cert, in.add_file(tls.cert_file, "the broker's certificate"));
  TRY(const auto key, in.add_file(tls.key_file, "the broker's key"));
  in.configuration += fmt::format("certfile {}\nkeyfile {}\ntls_version tlsv1.2\n", cert, key);
  if (tls.ca_file.empty()) return {};
  TRY(const auto ca, in.add_file(tls.ca_file, "the CA of devices"));
  in.configuration += fmt::format("cafile {}\nrequire_certificate {}\n", ca, tls.require_certificate);
  return {};
}

// https://mosquitto.org/man/mosquitto-conf-5.html
result<inheritance> prepare(const embedded_broker_options& o, broker_ports ports, const secret& password) {
  inheritance in;
  unique_fd plugin(::open(o.plugin.c_str(), O_RDONLY | O_CLOEXEC));
  if (!plugin) return fail(errno_error(errno, "broker plugin " + o.plugin.string()));
  TRY(auto password_file, memory_file("password", password.reveal()));
  in.configuration = fmt::format(
      "allow_anonymous false\n"
      "persistence false\n"
      "max_queued_messages 1000000\n"  // the default of 1000 drops acknowledged messages for a stalled backend
      "max_inflight_messages 100\n"
      "message_size_limit {}\n"
      "max_packet_size {}\n"  // also bounds what a stranger can make the broker hold
      "set_tcp_nodelay true\n"
      "sys_interval 0\n"
      "connection_messages false\n"
      "log_dest stderr\nlog_timestamp false\n"
      "log_type error\nlog_type warning\nlog_type notice\nlog_type information\n"
      "plugin {}\nplugin_opt_backend_password_file {}\n",
      control::message_max_bytes, 2 * control::message_max_bytes, by_number(plugin), by_number(password_file));
  in.files.push_back(std::move(plugin));
  in.files.push_back(std::move(password_file));
  in.configuration += fmt::format("listener {} {}\n", ports.devices, o.address);
  if (o.tls) CHECK(write_tls(*o.tls, in));
  if (ports.backend != ports.devices) in.configuration += fmt::format("listener {} 127.0.0.1\n", ports.backend);
  return in;
}

struct identity {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Only calls that are safe between fork and exec. Never returns.
[[noreturn]] void become_mosquitto(const char* program, char* const* arguments, const std::vector<unique_fd>& keep,
                                   int output, const identity& user, pid_t parent) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  for (const auto& fd : keep) ::fcntl(fd.get(), F_SETFD, 0);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;  // a descriptor a device
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  // Before PR_SET_PDEATHSIG: a change of user clears it.
  if (user.uid != 0 && (::setgroups(0, nullptr) != 0 || ::setgid(user.gid) != 0 || ::setuid(user.uid) != 0))
    ::_exit(126);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(126);
  ::execve(program, arguments, environ);
  ::_exit(127);
}

}  // namespace

bool shares_listener(const embedded_broker_options& o) { return !o.tls && o.address == "127.0.0.1"; }

result<void> check(const embedded_broker_options& o) {
  boost::system::error_code not_numeric;
  const auto address = io::asio::ip::make_address(o.address, not_numeric);
  if (not_numeric)
    return fail(errc::invalid_argument, "address", "the MQTT listener's address must be a numeric IP address");
  if (!o.tls && !address.is_loopback() && !o.allow_plaintext)
    return fail(
        errc::failed_precondition, "address",
        "an MQTT listener beyond loopback needs TLS; --allow-plaintext permits it without, for networks you trust");
  if (o.tls && o.tls->require_certificate && o.tls->ca_file.empty())
    return fail(errc::invalid_argument, "ca_file", "client certificates need the CA that issues them");
  CHECK(find_program(o));
  if (::access(o.plugin.c_str(), R_OK) != 0)
    return fail(errc::not_found, "plugin", "broker plugin " + o.plugin.string() + " is missing or unreadable");
  return {};
}

result<std::uint16_t> free_port(const std::string& address) {
  boost::system::error_code ec;
  const bool six = io::asio::ip::make_address(address, ec).is_v6();
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  storage.ss_family = six ? AF_INET6 : AF_INET;
  // Free on every address of the family, so surely on this one.
  unique_fd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto* raw = reinterpret_cast<sockaddr*>(&storage);
  if (!fd || ::bind(fd.get(), raw, size) != 0 || ::getsockname(fd.get(), raw, &size) != 0)
    return fail(errno_error(errno, "looking for a free port"));
  const auto port =
      six ? reinterpret_cast<sockaddr_in6*>(raw)->sin6_port : reinterpret_cast<sockaddr_in*>(raw)->sin_port;
  return ntohs(port);
}

result<broker_child> start_child(const embedded_broker_options& o, broker_ports ports, const secret& password) {
  TRY(const auto program, find_program(o));
  TRY(auto in, prepare(o, ports, password));
  TRY(auto configuration, memory_file("mosquitto.conf", in.configuration));
  identity user;
  if (::geteuid() == 0) {
    const auto* entry = ::getpwnam(run_as);
    if (!entry) return fail(errc::not_found, "the user mosquitto is missing: install the Debian package mosquitto");
    user = {entry->pw_uid, entry->pw_gid};
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(errno_error(errno, "pipe"));
  unique_fd output(ends[0]), input(ends[1]);
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);

  std::string flag = "-c", file = by_number(configuration), name = program.string();
  in.files.push_back(std::move(configuration));
  char* arguments[] = {name.data(), flag.data(), file.data(), nullptr};
  const pid_t parent = ::getpid();
  broker_child child;
  child.pid = ::fork();
  if (child.pid < 0) return fail(errno_error(errno, "fork"));
  if (child.pid == 0) become_mosquitto(program.c_str(), arguments, in.files, input.get(), user, parent);
  child.output = std::move(output);
  child.exited = unique_fd(::pidfd_open(child.pid, 0));
  if (child.exited) return child;
  const int saved_errno = errno;
  ::kill(child.pid, SIGKILL);
  ::waitpid(child.pid, nullptr, 0);
  return fail(errno_error(saved_errno, "pidfd_open"));
}

bool reap(broker_child& child) {
  if (child.pid == 0) return true;
  const pid_t ended = ::waitpid(child.pid, nullptr, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return false;
  child.pid = 0;
  return true;
}

}  // namespace evp::mqtt
