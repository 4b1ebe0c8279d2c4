// The module of the supervisor's tests. It obeys commands: what it does, it says as JSON text.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "evp/sdk.h"

namespace {

EVP_client* h;
std::string outcome;
std::string last_message, last_configuration;

std::string number(long n) { return std::to_string(n); }
long error_or_zero(long r) { return r < 0 ? errno : 0; }

long try_open(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags);
  if (fd < 0) return errno;
  ::close(fd);
  return 0;
}

long try_connect(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::strncpy(a.sun_path, path.c_str(), sizeof a.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const long e = error_or_zero(::connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a));
  ::close(fd);
  return e;
}

/// What an honest process can see of itself: user, groups, capabilities, descriptors, environment.
std::string describe() {
  std::string out =
      "uid=" + number(::getuid()) + " gid=" + number(::getgid()) + " groups=" + number(::getgroups(0, nullptr));
  int fds = 0;
  if (DIR* d = ::opendir("/proc/self/fd")) {
    while (const dirent* e = ::readdir(d)) fds += e->d_name[0] != '.' && std::atoi(e->d_name) != ::dirfd(d);
    ::closedir(d);
  }
  int variables = 0;
  for (char** e = environ; *e; ++e) ++variables;
  out +=
      " fds=" + number(fds) + " env=" + number(variables) + " nnp=" + number(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("CapEff") || line.starts_with("CapBnd")) out += " " + line.substr(0, 6) + "=" + line.substr(8);
  char cwd[4096];
  return out + " cwd=" + (::getcwd(cwd, sizeof cwd) ? cwd : "?");
}

void on_blob(EVP_BLOB_CALLBACK_REASON reason, const void* result, void*) {
  const auto* r = static_cast<const EVP_BlobResultEvp*>(result);
  outcome = number(reason) + (r ? "/" + number(r->result) + "/" + number(r->error) : "");
}

std::string put(const std::string& path) {
  EVP_BlobRequestEvpExt request{"x", nullptr};
  EVP_BlobLocalStore store{path.c_str(), nullptr, 0};
  return number(EVP_blobOperation(h, EVP_BLOB_TYPE_EVP_EXT, EVP_BLOB_OP_PUT, &request, &store, on_blob, nullptr));
}

/// A child that has left group and session.
void hide_a_child() {
  if (::fork() != 0) return;
  ::setsid();
  if (::fork() != 0) ::_exit(0);
  for (;;) ::pause();
}

/// Sends raw bytes on a connection of its own to a socket; for its own socket the runtime must turn it away.
std::string do_it(const std::string& method, const std::string& argument) {
  if (method == "describe") return describe();
  if (method == "open") return number(try_open(argument, O_RDONLY));
  if (method == "create") return number(try_open(argument, O_WRONLY | O_CREAT));
  if (method == "list") return number(try_open(argument, O_RDONLY | O_DIRECTORY));
  if (method == "connect") return number(try_connect(argument));
  if (method == "kill") return number(error_or_zero(::kill(std::atoi(argument.c_str()), 0)));
  if (method == "ptrace")
    return number(error_or_zero(::ptrace(PTRACE_ATTACH, std::atoi(argument.c_str()), nullptr, nullptr)));
  if (method == "symlink") return number(error_or_zero(::symlink(argument.c_str(), "link")));
  if (method == "put") return put(argument);
  if (method == "outcome") return outcome;
  if (method == "message") return last_message;
  if (method == "configuration") return last_configuration;
  if (method == "hide") return hide_a_child(), "0";
  if (method == "publish") return number(EVP_sendMessage(h, "out", argument.data(), argument.size(), nullptr, nullptr));
  if (method == "state") return number(EVP_sendState(h, "s", argument.data(), argument.size(), nullptr, nullptr));
  if (method == "garbage") {
    // The SDK's own connection is the lowest descriptor behind stdio.
    const char junk[] = "\x10\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0................";
    return number(::write(3, junk, sizeof junk - 1));
  }
  if (method == "crash") ::abort();
  return "unknown";
}

}  // namespace

int main() {
  h = EVP_initialize();
  EVP_setRpcCallback(
      h,
      [](EVP_RPC_ID id, const char* method, const char* params, void*) {
        const auto said = do_it(method, params);
        EVP_sendRpcResponse(h, id, said.c_str(), EVP_RPC_RESPONSE_STATUS_OK, nullptr, nullptr);
      },
      nullptr);
  EVP_setMessageCallback(
      h,
      [](const char* topic, const void* bytes, size_t n, void*) {
        last_message = std::string(topic) + "=" + std::string(static_cast<const char*>(bytes), n);
      },
      nullptr);
  EVP_setConfigurationCallback(
      h,
      [](const char* topic, const void* bytes, size_t n, void*) {
        last_configuration = std::string(topic) + "=" + std::string(static_cast<const char*>(bytes), n);
      },
      nullptr);
  std::printf("ready\n");
  std::fflush(stdout);
  while (EVP_processEvent(h, -1) == EVP_OK) {}
  // A module that is stubborn stays after its Exit event.
  if (::access("stubborn", F_OK) == 0)
    for (;;) ::pause();
  return 0;
}
