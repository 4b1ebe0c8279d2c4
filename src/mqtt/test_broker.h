// A real mosquitto on a free port, for tests.
#pragma once

#include <arpa/inet.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

extern char** environ;

namespace evp::mqtt {

/// A port of the loopback interface that nobody listens on at this moment.
inline std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) std::abort();
  ::close(fd);
  return ntohs(address.sin_port);
}

/// Starts with start(), may be stopped and started again on the same port, dies with the object. The caller needs no
/// pause: the client under test connects until it succeeds.
class test_broker {
 public:
  /// `settings` go into mosquitto.conf after the listener's line.
  explicit test_broker(const std::string& settings = "allow_anonymous true\n") {
    std::string pattern = (std::filesystem::temp_directory_path() / "evp-mqtt-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    std::ofstream(folder_ / "mosquitto.conf") << "listener " << port_ << " 127.0.0.1\nuser root\nlog_type none\n"
                                              << settings;
  }
  ~test_broker() {
    stop();
    std::filesystem::remove_all(folder_);
  }
  test_broker(const test_broker&) = delete;

  void start() {
    std::string program = "/usr/sbin/mosquitto", flag = "-c", file = (folder_ / "mosquitto.conf").string();
    char* arguments[] = {program.data(), flag.data(), file.data(), nullptr};
    if (::posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments, environ) != 0) std::abort();
  }
  void stop(int signal = SIGKILL) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    ::kill(pid_, SIGCONT);  // after the signal: a frozen broker must not answer first
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  void freeze() { ::kill(pid_, SIGSTOP); }
  void thaw() { ::kill(pid_, SIGCONT); }
  std::uint16_t port() const { return port_; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::uint16_t port_ = free_port();
  std::filesystem::path folder_;
  pid_t pid_ = 0;
};

}  // namespace evp::mqtt
