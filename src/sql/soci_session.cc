#include "sql/soci_session.h"

namespace evp::sql {
namespace {

constexpr std::size_t max_prepared = 128;  // lists have texts that depend on their filters

value value_at(const soci::row& r, std::size_t i) {
  if (r.get_indicator(i) == soci::i_null) return {};
  switch (r.get_properties(i).get_data_type()) {
    case soci::dt_integer: return std::int64_t(r.get<int>(i));
    case soci::dt_long_long: return std::int64_t(r.get<long long>(i));
    default: return r.get<std::string>(i);
  }
}

}  // namespace

soci_session::bound::bound(soci::session& s, std::string_view text, const parameters& p, bool gives_rows)
    : statement(s) {
  for (const parameter& one : p) {
    const std::string name(one.name);
    if (std::holds_alternative<std::int64_t>(one.v))
      statement.exchange(soci::use(integers.emplace_back(), name));
    else if (std::holds_alternative<std::string>(one.v))
      statement.exchange(soci::use(texts.emplace_back(), name));
    else
      statement.exchange(soci::use(texts.emplace_back(), null, name));
  }
  if (gives_rows) statement.exchange(soci::into(fetched));
  statement.alloc();
  statement.prepare(std::string(text));
  statement.define_and_bind();
}

void soci_session::bound::assign(const parameters& p) {
  auto integer = integers.begin();
  auto t = texts.begin();
  for (const parameter& one : p) {
    if (const auto* n = std::get_if<std::int64_t>(&one.v))
      *integer++ = *n;
    else if (const auto* text = std::get_if<std::string>(&one.v))
      *t++ = *text;
    else
      ++t;
  }
}

soci_session::bound& soci_session::prepared(std::string_view text, const parameters& p, bool gives_rows) {
  std::string key(1, gives_rows ? 'r' : 'x');
  for (const parameter& one : p) key += char('0' + one.v.index());
  key += text;
  running_ = key;
  auto found = prepared_.find(key);
  if (found == prepared_.end()) {
    if (prepared_.size() >= max_prepared) prepared_.clear();
    found = prepared_.emplace(std::move(key), std::make_unique<bound>(*soci_, text, p, gives_rows)).first;
  }
  found->second->assign(p);
  return *found->second;
}

tl::unexpected<error> soci_session::failed() {
  auto why = from_current_exception();
  const auto found = prepared_.find(running_);
  if (found != prepared_.end()) {
    failed_.push_back(std::move(found->second));
    prepared_.erase(found);
  }
  return fail(std::move(why));
}

result<rows> soci_session::query(std::string_view text, const parameters& p) try {
  rows out;
  auto& s = prepared(text, p, true);
  for (bool more = s.statement.execute(true); more; more = s.statement.fetch()) {
    row& r = out.emplace_back();
    r.columns.reserve(s.fetched.size());
    for (std::size_t i = 0; i < s.fetched.size(); ++i)
      r.columns.emplace_back(s.fetched.get_properties(i).get_name(), value_at(s.fetched, i));
  }
  return out;
} catch (...) { return failed(); }

result<std::int64_t> soci_session::execute(std::string_view text, const parameters& p) try {
  auto& s = prepared(text, p, false);
  s.statement.execute(true);
  return s.statement.get_affected_rows();
} catch (...) { return failed(); }

}  // namespace evp::sql
