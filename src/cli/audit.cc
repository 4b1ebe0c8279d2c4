// evpctl audit verify: the chain of the backend's records, or of an export, and what to keep of it.
#include <fstream>

#include "cli/arguments.h"
#include "cli/audit_verifier.h"

namespace evp::cli {
namespace {

result<audit_verifier> make_verifier(const arguments& a) {
  if (a.known.empty()) return audit_verifier();
  TRY(auto known, parse_chain_place(a.known));
  return audit_verifier(std::move(known));
}

int show_verdict(const audit_verifier& v, const result<void>& fed, surroundings& s) {
  auto verdict = v.finish();
  if (!fed) verdict = fail(fed.error());
  if (!verdict) {
    s.err << "evpctl: the audit does not hold: " << verdict.error().message() << "\n";
    return refused;
  }
  s.out << "verified: " << verdict->records << " records";
  if (verdict->records > 0) s.out << ", " << verdict->first << " to " << verdict->end.number;
  s.out << "\nkeep elsewhere, for --known: " << verdict->end.number << ":" << verdict->end.hash << "\n";
  return ok;
}

int wrong_usage(const error& e, surroundings& s) {
  s.err << "evpctl: " << e.message() << "\n";
  return usage;
}

}  // namespace

int verify_file(const arguments& a, surroundings& s) {
  auto v = make_verifier(a);
  if (!v) return wrong_usage(v.error(), s);
  std::ifstream file;
  if (a.file != "-") {
    file.open(a.file, std::ios::binary);
    if (!file) return wrong_usage(errno_error(errno, a.file), s);
  }
  std::istream& in = a.file == "-" ? s.in : file;
  result<void> fed;
  for (char piece[65536]; fed && in;) {
    in.read(piece, sizeof piece);
    fed = v->feed({piece, std::size_t(in.gcount())});
  }
  return show_verdict(*v, fed, s);
}

int verify_answer(const arguments& a, http::request r, surroundings& s) {
  auto v = make_verifier(a);
  if (!v) return wrong_usage(v.error(), s);
  result<void> fed;
  const auto answer = send_streaming(std::move(r), s, [&](std::string_view bytes) {
    fed = v->feed(bytes);
    return fed.has_value();
  });
  if (answer && (answer->status < 200 || answer->status > 299)) return show_failure(a, *answer, s);
  if (!answer && fed) {
    s.err << "evpctl: " << a.server << ": " << answer.error().message() << "\n";
    return unreachable;
  }
  return show_verdict(*v, fed, s);
}

}  // namespace evp::cli
