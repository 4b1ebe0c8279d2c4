// evpctl: the program around cli/.
#include "cli/evpctl.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "cli/runtime_status.h"

namespace {

evp::result<evp::http::response> send_request(evp::http::request r) {
  evp::io::asio::io_context context(1);
  evp::result<evp::http::response> answer = evp::fail(evp::errc::internal, "no answer");
  {
    evp::http::client client(context.get_executor());
    evp::io::asio::co_spawn(context, client.send(std::move(r)),
                            [&](std::exception_ptr, evp::result<evp::http::response> a) { answer = std::move(a); });
    context.run();
  }
  return answer;
}

}  // namespace

int main(int argc, char** argv) {
  evp::cli::surroundings s{.in = std::cin,
                           .out = std::cout,
                           .err = std::cerr,
                           .terminal = ::isatty(STDOUT_FILENO) == 1,
                           .environment = [](const char* name) -> const char* { return std::getenv(name); },
                           .send = send_request,
                           .read_socket = evp::cli::read_unix_socket,
                           .wait =
                               [](evp::milliseconds d) {
                                 std::this_thread::sleep_for(d);
                                 return true;
                               }};
  winsize window{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) s.columns = window.ws_col;
  return evp::cli::run(argc, argv, s);
}
