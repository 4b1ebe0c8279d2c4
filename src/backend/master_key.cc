#include "backend/master_key.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>

#include "base/crypto.h"
#include "base/encoding.h"

extern char** environ;

namespace evp::backend {
namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::size_t max_text_bytes = 1024;  // max_keys lines with room to spare
constexpr std::chrono::seconds command_limit{30};

result<void> check_file(const io::fs::path& file) {
  struct stat s {};
  if (::lstat(file.c_str(), &s) != 0) return fail(errno_error(errno, "look at the master key " + file.string()));
  if (!S_ISREG(s.st_mode))
    return fail(errc::failed_precondition, "the master key " + file.string() + " must be a regular file, no link");
  if (s.st_uid != ::geteuid())
    return fail(errc::failed_precondition, "the master key " + file.string() +
                                               " belongs to another user: chown it to the one that runs the backend");
  if ((s.st_mode & 0077) != 0)
    return fail(errc::failed_precondition, "the master key " + file.string() + " can be read by others: chmod 600 it");
  return {};
}

result<secret> read_key_file(const io::fs::path& file) {
  std::error_code ignored;
  if (!io::fs::exists(io::fs::symlink_status(file, ignored)))
    CHECK(io::write_file_durably(file, to_hex(random_bytes(key_bytes)) + "\n", 0600));
  CHECK(check_file(file));
  TRY(auto text, io::read_file(file, max_text_bytes));
  return secret(std::move(text));
}

tl::unexpected<error> command_failed(const std::string& why) {
  return fail(errc::failed_precondition, "the command for the master key (--master-key-command) " + why);
}

/// What comes out of the pipe until its end, or nothing when that takes too long or is too much.
std::optional<std::string> drain(int fd) {
  const auto until = std::chrono::steady_clock::now() + command_limit;
  std::string out;
  char piece[512];
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd p{fd, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&p, 1, int(left.count())) <= 0) return std::nullopt;
    const auto n = ::read(fd, piece, sizeof piece);
    if (n == 0) break;
    if (n < 0 || out.size() + std::size_t(n) > max_text_bytes) return std::nullopt;
    out.append(piece, std::size_t(n));
  }
  OPENSSL_cleanse(piece, sizeof piece);
  return out;
}

result<secret> output_of(const secret& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(errno_error(errno, "the pipe of the master key's command"));
  const io::unique_fd in(ends[0]);
  io::unique_fd out(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // so that all of it can be ended
  const char* const argv[] = {"/bin/sh", "-c", command.reveal().c_str(), nullptr};
  pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, argv[0], &actions, &attributes, const_cast<char* const*>(argv), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return fail(errno_error(failed, "start the master key's command"));
  out.reset();
  auto text = drain(in.get());
  if (!text) ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  if (!text) return command_failed("gave no key within 30 s, or too much");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return command_failed("failed: run it by hand to see why");
  return secret(std::move(*text));
}

result<master_keys> parse(const secret& text, const std::string& where) {
  master_keys out;
  std::string_view rest = text.reveal();
  while (!rest.empty()) {
    auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty()) continue;
    auto key = from_hex(line);
    if (!key || key->size() != key_bytes || out.size() == master_key_source::max_keys) {
      out.clear();
      break;
    }
    out.emplace_back(std::move(*key));
  }
  if (out.empty())
    return fail(errc::data_corrupt, "the master key " + where +
                                        " must be 64 hexadecimal digits (earlier keys on lines of their own after it): "
                                        "restore it from a backup");
  return out;
}

}  // namespace

master_key_source master_key_source::file(io::fs::path path) { return {kind::file, std::move(path), secret()}; }
master_key_source master_key_source::command(std::string line) { return {kind::command, {}, secret(std::move(line))}; }
master_key_source master_key_source::text(secret keys) { return {kind::text, {}, std::move(keys)}; }

result<master_keys> master_key_source::read() const {
  switch (kind_) {
    case kind::text: return parse(given_, "in EVP_MASTER_KEY");
    case kind::command: {
      TRY(const auto text, output_of(given_));
      return parse(text, "that the command of --master-key-command prints");
    }
    case kind::file: break;
  }
  TRY(const auto text, read_key_file(path_));
  return parse(text, path_.string());
}

result<void> master_key_source::write(const master_keys& keys) const {
  std::string text;
  for (const auto& k : keys) text += to_hex(k.reveal()) + "\n";
  auto done = io::write_file_durably(path_, text, 0600);
  OPENSSL_cleanse(text.data(), text.size());
  return done;
}

}  // namespace evp::backend
