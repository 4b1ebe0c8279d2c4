#include "records.h"

#include <sstream>

namespace evp::bench {

const records& record_reader::read() {
  if (!in_.is_open()) in_.open(file_);
  in_.clear();
  for (char c; in_.get(c);) {
    if (c != '\n') {
      partial_ += c;
      continue;
    }
    take(partial_);
    partial_.clear();
  }
  return all_;
}

void record_reader::take(const std::string& line) {
  std::istringstream in(line);
  std::string what, how;
  attempt_key key;
  in >> what;
  if (what == "life") ++all_.lives;
  if (!(in >> key.first >> key.second)) return;
  auto& a = all_.attempts[key];
  if (what == "accepted" && in >> a.id) {
    a.accepted = true;
    ++all_.accepted;
  }
  if (what == "refused") a.refused = true;
  if (what != "told") return;
  told_outcome t;
  if (!(in >> t.id >> how >> t.result >> t.http_status >> t.error)) return;
  t.life = all_.lives;
  t.is_own = how == "own";
  if (a.accepted && a.told.empty()) ++all_.ended;
  a.told.push_back(t);
}

}  // namespace evp::bench
