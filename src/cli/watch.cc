// evpctl's streams: events to lines, while they come.
#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "cli/arguments.h"
#include "cli/event_stream.h"
#include "cli/print.h"
#include "wire/json.h"

namespace evp::cli {
namespace {

void show_event(const arguments& a, std::string_view name, std::string_view data, surroundings& s) {
  auto event = wire::parse_json_object(data, max_answer_bytes);
  if (!event) return;
  if (name == "gap")
    s.err << "evpctl: some changes after " << a.after << " are in the ledger no more\n";
  else if (a.json)
    s.out << data << '\n' << std::flush;
  else
    print_line(s.out, *event, a.chosen->columns), s.out.flush();
}

}  // namespace

int watch(const arguments& a, http::request r, surroundings& s) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    s.err << "evpctl: " << errno_error(errno, "pipe").message() << "\n";
    return usage;
  }
  io::unique_fd from(ends[0]), to(ends[1]);
  event_stream events([&](std::string_view name, std::string_view data) { show_event(a, name, data, s); });
  std::thread reader([&] {
    char piece[4096];
    while (s.out) {
      const auto n = ::read(from.get(), piece, sizeof piece);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      events.feed({piece, std::size_t(n)});
    }
    from.reset();  // nobody reads our output: so the request ends too
  });
  r.response_fd = to.get();
  const auto answer = s.send(std::move(r));
  to.reset();
  reader.join();
  if (answer && (answer->status < 200 || answer->status > 299)) return show_failure(a, *answer, s);
  s.err << "evpctl: " << (answer ? std::string("the backend has ended the stream") : answer.error().message());
  if (!events.last_id().empty()) s.err << "; go on with --after " << events.last_id();
  s.err << "\n";
  return unreachable;
}

}  // namespace evp::cli
