// What one run of evpctl was told, and the request's body made of it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/evpctl.h"
#include "io/files.h"

namespace evp::cli {

inline constexpr std::size_t max_answer_bytes = 16 << 20;

/// Values of positionals and query flags stand by their names.
struct arguments {
  std::string server = "http://127.0.0.1:8080", token_file, ca_file, file, type, name, time_limit, after, known;
  std::string url, secret_file, certificate_file;
  std::string tenant, role, expires, uses, group, description;
  std::string to, percent, error_percent, minimum, window, shadow;  ///< of a change of provider
  std::string data = "/evp_data";                                   ///< of evp-runtime
  bool json = false, repeat = false;
  const command* chosen = nullptr;
  std::map<std::string, std::string> positional, query;
  std::map<std::string_view, std::string> policy;  ///< by the field's name
  std::vector<std::string> set, set_file, headers, services, states;
};

/// Fills the body as the chosen command wants it. `upload` keeps the file open that a body is streamed from.
/// Errors: invalid_argument, those of reading a file.
result<void> fill_body(const arguments& a, surroundings& s, http::request& r, io::unique_fd& upload);

/// Says on s.err why the backend refused; the exit status.
int show_failure(const arguments& a, const http::response& answer, surroundings& s);

/// Sends the request of a stream and shows its events as they come, until it ends: that is a failure, since it has no
/// end of its own. The exit status.
int watch(const arguments& a, http::request r, surroundings& s);

/// Sends the request and gives the bytes of its answer to `take` as they come, on another thread; where that says no,
/// the request ends. Errors: those of a pipe, of the client.
result<http::response> send_streaming(http::request r, surroundings& s, std::function<bool(std::string_view)> take);

/// Writes the answer's bytes as they come. The exit status.
int copy(const arguments& a, http::request r, surroundings& s);

/// Verifies the chain of an audit in a.file ("-": standard input). The exit status: refused where it does not hold.
int verify_file(const arguments& a, surroundings& s);
/// The same of what the backend answers.
int verify_answer(const arguments& a, http::request r, surroundings& s);

/// Shows what the runtime on this machine does, without the backend; with `repeat` each second anew. The exit status.
int show_runtime(const arguments& a, surroundings& s);

}  // namespace evp::cli
