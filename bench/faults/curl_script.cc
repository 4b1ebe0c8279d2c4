#include "curl_script.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "fault_files.h"

namespace evp::bench {
namespace {

namespace fs = io::fs;

constexpr const char* script = R"(#!/bin/bash
# Uploads files/NAME to URL for every line "NAME URL" of the list; what is done is not done again.
touch done
put() {
  curl -sf -o /dev/null -H Expect: --connect-timeout 10 --max-time 60 --retry 5 -T "files/$1" "$2" && echo "$1" >>done
}
export -f put
awk 'FILENAME == "done" { done[$1]; next } !($1 in done)' done list | xargs -P 8 -L 1 bash -c 'put "$0" "$1"'
exit 0
)";

std::string object_of(unsigned number) { return "curl/" + std::to_string(number); }

}  // namespace

curl_script::curl_script(world& w, const objects& storage, const place& p, std::uint64_t seed, unsigned files)
    : world_(w), folder_(p.folder / "curl"), files_(files) {
  fs::create_directories(folder_ / "files");
  std::ofstream(folder_ / "put") << script;
  std::ofstream list(folder_ / "list");
  std::vector<unsigned char> bytes;
  for (unsigned n = 0; n < files; ++n) {
    bytes.resize(fault_file_size(seed, n));
    fault_file_bytes(seed, n, 0, bytes.data(), bytes.size());
    std::ofstream(folder_ / "files" / std::to_string(n), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
    list << n << ' ' << storage.put_url(w.storage_relay(), object_of(n)) << '\n';
  }
}

void curl_script::start() {
  if (script_ && !killed_) return;
  killed_ = false;
  ++starts_;
  script_ = std::make_unique<program>(world_.on_device({"bash", "-c", "cd \"$0\" && exec bash ./put", folder_}),
                                      folder_ / "log", environment{}, true);
}

bool curl_script::kill() {
  if (!script_ || killed_ || is_over()) return false;
  script_->kill();
  killed_ = true;
  return true;
}

bool curl_script::is_over() { return script_ && !killed_ && !script_->running(); }

unsigned curl_script::done() const {
  std::ifstream in(folder_ / "done");
  return unsigned(std::count(std::istreambuf_iterator<char>(in), {}, '\n'));
}

curl_result curl_script::judge(const objects& storage, std::uint64_t seed) const {
  curl_result r;
  r.starts = starts_;
  std::vector<bool> is_done(files_);
  std::ifstream in(folder_ / "done");
  for (unsigned n; in >> n;) is_done.at(n) = true;
  r.succeeded = unsigned(std::count(is_done.begin(), is_done.end(), true));
  std::map<std::string, unsigned> numbers;
  for (unsigned n = 0; n < files_; ++n) numbers.emplace(object_of(n), n);
  for (const auto& [object, is] : storage.check(numbers, seed)) {
    r.lost += is == object_state::missing;
    r.unnoticed += is == object_state::missing && is_done[numbers.at(object)];
    r.corrupt += is == object_state::wrong;
  }
  for (const auto& [path, count] : world_.sky().puts()) r.doubled += path.starts_with("/evp/curl/") && count > 1;
  return r;
}

}  // namespace evp::bench
