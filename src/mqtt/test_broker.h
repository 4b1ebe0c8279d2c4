// A real mosquitto on a free port, for tests.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>

extern char** environ;

namespace evp::mqtt {

/// A port of the loopback interface that nobody listens on at this moment. As tests/fixtures/ports.bash has it: from
/// below the range that the system gives to outgoing connections, and the next one at each call, whichever program
/// calls: so nobody takes it before its server does, or while that is away.
inline std::uint16_t free_port() {
  constexpr int first = 20'000, count = 12'000;
  const auto path = std::filesystem::temp_directory_path() / ("evp-ports-" + std::to_string(::geteuid()));
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ::flock(file, LOCK_EX) != 0) std::abort();
  char text[8] = "";
  int port = ::pread(file, text, 5, 0) == 5 ? std::atoi(text) : 0;
  if (port < first || port >= first + count) port = first + int(std::random_device()() % count);
  for (bool is_free = false; !is_free;) {
    port = first + (port - first + 1) % count;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(std::uint16_t(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is_free = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
  }
  const auto line = std::to_string(port) + "\n";
  if (::pwrite(file, line.data(), line.size(), 0) != ssize_t(line.size())) std::abort();
  ::close(file);
  return std::uint16_t(port);
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
    // A client leaves the thread of its attempt to connect behind. Where the process ends meanwhile, LeakSanitizer
    // takes what that thread holds for lost.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (threads() > threads_before_ && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
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
  /// Of this process.
  static std::ptrdiff_t threads() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
  }

  const std::ptrdiff_t threads_before_ = threads();
  std::uint16_t port_ = free_port();
  std::filesystem::path folder_;
  pid_t pid_ = 0;
};

}  // namespace evp::mqtt
