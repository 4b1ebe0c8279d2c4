// A pidfd tells the end; a pipe carries the output.
#include "runtime/modules/process.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <csignal>

namespace evp::runtime {

namespace asio = boost::asio;

namespace {

using boost::system::error_code;

// A module's words in our log: so many lines a second, each so long. More is counted and dropped.
constexpr int lines_per_second = 50;
constexpr std::size_t max_line_bytes = 512;

}  // namespace

struct process::state : std::enable_shared_from_this<state> {
  state(io::executor ex, std::string name, uid_t user, launched l, exit_handler ended)
      : pid(l.pid), user(user), name(std::move(name)), ended(std::move(ended)), exit(ex), output(ex) {
    exit.assign(::fcntl(l.pidfd.get(), F_DUPFD_CLOEXEC, 3));
    output.assign(::fcntl(l.output.get(), F_DUPFD_CLOEXEC, 3));
  }

  void wait() {
    exit.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code ec) {
      if (!ec) self->reap();
    });
  }
  void reap() {
    if (pid == 0) return;
    // What shares the group dies before the name is free again; the number cannot be reused before waitpid.
    ::kill(-pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    pid = 0;
    end_orphans(user);
    error_code ignored;
    exit.close(ignored);
    output.close(ignored);
    const bool exited = WIFEXITED(status);
    if (const auto tell = std::exchange(ended, nullptr))
      tell(exited ? "exit status " + std::to_string(WEXITSTATUS(status)) : "signal " + std::to_string(WTERMSIG(status)),
           exited && WEXITSTATUS(status) == 0);
  }

  void read() {
    output.async_read_some(asio::buffer(buffer), [self = shared_from_this()](error_code ec, std::size_t n) {
      if (ec) return;
      for (std::size_t i = 0; i < n; ++i) self->take(self->buffer[i]);
      self->read();
    });
  }
  void take(char c) {
    if (c != '\n') {
      if (line.size() < max_line_bytes) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - window >= seconds(1)) {
      if (dropped > 0) spdlog::warn("module {}: {} more lines were dropped", name, dropped);
      window = now, lines = dropped = 0;
    }
    if (++lines <= lines_per_second)
      spdlog::info("module {}: {}", name, line);
    else
      ++dropped;
    line.clear();
  }

  pid_t pid;
  uid_t user;
  std::string name;
  exit_handler ended;
  asio::posix::stream_descriptor exit, output;
  std::array<char, 4096> buffer{};
  std::string line;
  steady_time window{};
  int lines = 0, dropped = 0;
};

std::unique_ptr<process> process::watch(io::executor ex, std::string name, uid_t user, launched l, exit_handler ended) {
  auto s = std::make_shared<state>(std::move(ex), std::move(name), user, std::move(l), std::move(ended));
  s->wait();
  s->read();
  return std::unique_ptr<process>(new process(std::move(s)));
}

process::~process() {
  state_->ended = nullptr;
  if (state_->pid != 0) {
    ::kill(state_->pid, SIGKILL);
    state_->reap();
  }
}

pid_t process::pid() const noexcept { return state_->pid; }

void process::signal(int number) {
  if (state_->pid != 0) ::kill(-state_->pid, number);
}

}  // namespace evp::runtime
