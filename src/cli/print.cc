// Answers for people.
#include "cli/print.h"

#include <algorithm>
#include <vector>

namespace evp::cli {
namespace {

namespace json = boost::json;

std::string shown(const json::value& v) {
  if (v.is_null()) return "-";
  if (v.is_bool()) return v.get_bool() ? "yes" : "no";
  if (v.is_string()) return printable(std::string(v.get_string().data(), v.get_string().size()));
  if (v.is_object())
    if (const auto* message = v.get_object().if_contains("message"); message && message->is_string())
      return shown(*message);
  return printable(json::serialize(v));
}

/// Columns on the screen: UTF-8 continuation bytes take none.
std::size_t width(std::string_view text) {
  return std::size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

void print_table(std::ostream& out, const json::array& rows, std::span<const column> columns) {
  std::vector<std::vector<std::string>> lines(1);
  for (const auto& c : columns) lines[0].emplace_back(c.title);
  for (const auto& row : rows) {
    auto& line = lines.emplace_back();
    for (const auto& c : columns) {
      const auto* v =
          row.is_object() ? row.get_object().if_contains(json::string_view(c.field.data(), c.field.size())) : nullptr;
      line.push_back(v ? shown(*v) : "-");
    }
  }
  std::vector<std::size_t> widths(columns.size());
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      out << line[i];
      if (i + 1 < line.size()) out << std::string(widths[i] - width(line[i]) + 2, ' ');
    }
    out << '\n';
  }
}

void print_line(std::ostream& out, const json::object& o, std::span<const column> columns) {
  std::string line;
  for (const auto& c : columns) {
    const auto* v = o.if_contains(json::string_view(c.field.data(), c.field.size()));
    line.append(line.empty() ? "" : "  ").append(v ? shown(*v) : "-");
  }
  out << line << '\n';
}

void print_fields(std::ostream& out, const json::object& o) {
  std::size_t widest = 0;
  for (const auto& field : o) widest = std::max<std::size_t>(widest, field.key().size());
  for (const auto& field : o) {
    const std::string name(field.key().data(), field.key().size());
    out << printable(name) << std::string(widest - name.size() + 2, ' ') << shown(field.value()) << '\n';
  }
}

}  // namespace evp::cli
