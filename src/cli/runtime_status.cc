#include "cli/runtime_status.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/arguments.h"
#include "cli/print.h"
#include "io/files.h"

namespace evp::cli {
namespace {

std::string bytes_text(double n) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  for (; n >= 1024 && unit + 1 < std::size(units); ++unit) n /= 1024;
  return fmt::format("{:.{}f} {}", n, unit == 0 ? 0 : 1, units[unit]);
}
std::string bytes_text(std::uint64_t n) { return bytes_text(double(n)); }

std::string span_text(milliseconds d) {
  const auto s = std::chrono::duration_cast<seconds>(d).count();
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
  return fmt::format("{} d {:02} h", s / 86400, s / 3600 % 24);
}

std::string storage_name(const std::string& name) { return name.empty() ? "(default)" : printable(name); }

std::string bar(std::uint64_t moved, std::uint64_t total, std::size_t columns) {
  if (total == 0) return std::string(columns, '.');
  const auto full = std::size_t(double(columns) * std::min(1.0, double(moved) / double(total)));
  return std::string(full, '#') + std::string(columns - full, '.');
}

void print_transfer(std::ostream& out, const wire::runtime_status::transfer& t, std::size_t width) {
  const auto seconds = std::max(0.25, double(t.running.count()) / 1e3);
  const auto share =
      t.total > 0 ? fmt::format("{:3.0f}%", std::min(100.0, 100.0 * double(t.moved) / double(t.total))) : "   ?";
  const auto rate = bytes_text(double(t.moved) / seconds) + "/s";
  const std::size_t bar_columns = std::clamp<std::size_t>(width > 70 ? width - 60 : 10, 10, 40);
  out << fmt::format("  {} [{}] {} {:>10} of {:>10} {:>12}  {}/{}\n", t.is_upload ? "up  " : "down",
                     bar(t.moved, t.total, bar_columns), share, bytes_text(t.moved),
                     t.total > 0 ? bytes_text(t.total) : "?", rate, printable(t.instance),
                     t.name.empty() ? fmt::format("#{}", t.operation) : printable(t.name));
}

}  // namespace

void print_status(std::ostream& out, const wire::runtime_status& s, std::size_t width, double bytes_per_second) {
  out << fmt::format("evp-runtime {}, up {}, {} the broker\n", printable(s.version), span_text(s.up),
                     s.connected ? "connected to" : "NOT connected to");
  out << fmt::format("queue: {} of {} files, {} of {}, spool {} of {}\n", s.files, s.files_max, bytes_text(s.bytes),
                     bytes_text(s.bytes_max), bytes_text(s.spooled), bytes_text(s.spooled_max));
  const auto& c = s.since_start;
  out << fmt::format("since the start: {} accepted, {} succeeded, {} failed, {} refused, {} dropped, {} moved",
                     c.accepted, c.succeeded, c.failed, c.refused, c.dropped, bytes_text(s.moved));
  if (c.quarantined > 0) out << fmt::format(", {} in quarantine", c.quarantined);
  if (c.lost_outcomes > 0) out << fmt::format(", {} outcomes never heard", c.lost_outcomes);
  out << "\n";
  for (const auto& x : s.storages)
    out << fmt::format("storage {}: {} waiting, {} active{}\n", storage_name(x.name), x.waiting, x.active,
                       x.paused ? ", PAUSED after failures" : "");
  if (!s.transfers.empty()) {
    out << "transfers";
    if (bytes_per_second >= 0) out << ", " << bytes_text(bytes_per_second) << "/s together";
    out << ":\n";
  }
  for (const auto& t : s.transfers) print_transfer(out, t, width);
  if (!s.failures.empty()) out << "latest failures:\n";
  for (const auto& f : s.failures)
    out << fmt::format("  {}  {}/{}  {}\n", format_rfc3339_seconds(f.at), printable(f.instance),
                       f.name.empty() ? fmt::format("#{}", f.operation) : printable(f.name), printable(f.message));
}

result<std::string> read_unix_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(errc::invalid_argument, path + " is longer than a socket's path can be");
  std::memcpy(address.sun_path, path.data(), path.size());
  const io::unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(errno_error(errno, "socket"));
  const timeval patience{10, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED)
      return fail(errc::unavailable, "no evp-runtime runs with this data directory: there is none at " + path);
    return fail(errno_error(errno, path));
  }
  std::string text;
  char piece[65'536];
  for (;;) {
    const auto n = ::recv(fd.get(), piece, sizeof piece, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error(errno, path));
    if (n == 0) return text;
    text.append(piece, std::size_t(n));
    if (text.size() > wire::max_runtime_status_bytes) return fail(errc::too_large, path + " says more than a status");
  }
}

int show_runtime(const arguments& a, surroundings& s) {
  std::optional<wire::runtime_status> before;
  for (;;) {
    const auto text = s.read_socket(a.data + "/status.sock");
    if (!text) {
      s.err << "evpctl: " << text.error().message() << "\n";
      return unreachable;
    }
    auto status = wire::decode_runtime_status(*text);
    if (!status) {
      s.err << "evpctl: the runtime's status cannot be read: " << status.error().message() << "\n";
      return server_error;
    }
    if (a.json) {
      s.out << *text;
    } else {
      double rate = -1;
      if (before && status->up > before->up && status->moved >= before->moved)
        rate = double(status->moved - before->moved) / (double((status->up - before->up).count()) / 1e3);
      if (a.repeat && s.terminal) s.out << "\x1b[H\x1b[2J";  // from the top of a clean screen
      print_status(s.out, *status, s.columns, rate);
    }
    s.out.flush();
    if (!a.repeat || !s.wait(milliseconds(1000))) return ok;
    before = std::move(*status);
  }
}

}  // namespace evp::cli
