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

result<http::response> send_streaming(http::request r, surroundings& s, std::function<bool(std::string_view)> take) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(errno_error(errno, "pipe"));
  io::unique_fd from(ends[0]), to(ends[1]);
  std::thread reader([&] {
    char piece[4096];
    for (;;) {
      const auto n = ::read(from.get(), piece, sizeof piece);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0 || !take({piece, std::size_t(n)})) break;
    }
    from.reset();  // nobody wants more: so the request ends too
  });
  r.response_fd = to.get();
  auto answer = s.send(std::move(r));
  to.reset();
  reader.join();
  return answer;
}

int watch(const arguments& a, http::request r, surroundings& s) {
  event_stream events([&](std::string_view name, std::string_view data) { show_event(a, name, data, s); });
  const auto answer = send_streaming(std::move(r), s, [&](std::string_view bytes) {
    events.feed(bytes);
    return bool(s.out);
  });
  if (answer && (answer->status < 200 || answer->status > 299)) return show_failure(a, *answer, s);
  s.err << "evpctl: " << (answer ? std::string("the backend has ended the stream") : answer.error().message());
  if (!events.last_id().empty()) s.err << "; go on with --after " << events.last_id();
  s.err << "\n";
  return unreachable;
}

int copy(const arguments& a, http::request r, surroundings& s) {
  const auto answer = send_streaming(std::move(r), s, [&](std::string_view bytes) {
    s.out << bytes << std::flush;
    return bool(s.out);
  });
  if (answer && (answer->status < 200 || answer->status > 299)) return show_failure(a, *answer, s);
  if (answer) return ok;
  s.err << "evpctl: " << answer.error().message() << "\n";
  return unreachable;
}

}  // namespace evp::cli
