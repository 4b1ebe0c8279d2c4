// Lists: whole ones, and pages with limit and cursor of the query and nextCursor of the answer.
#pragma once

#include "api/json.h"
#include "backend/page.h"

namespace evp::api {

/// From "limit" and "cursor". Errors: invalid_argument at "limit".
inline result<backend::page_request> read_page(const std::map<std::string, std::string>& query) {
  backend::page_request out;
  if (const auto limit = query.find("limit"); limit != query.end()) {
    const auto n = wire::parse_decimal(limit->second);
    if (!n || *n < 1 || *n > backend::max_page)
      return fail(errc::invalid_argument, "limit", "limit must be 1 to " + std::to_string(backend::max_page));
    out.limit = std::size_t(*n);
  }
  if (const auto cursor = query.find("cursor"); cursor != query.end()) out.cursor = cursor->second;
  return out;
}

/// {"<name>": [...]}
template <class T, class Write>
json::object write_list(std::string_view name, const std::vector<T>& all, Write write) {
  json::array items;
  for (const auto& item : all) items.emplace_back(write(item));
  json::object body;
  body.emplace(json::string_view(name.data(), name.size()), std::move(items));
  return body;
}

template <class T, class Write>
json::object write_page(std::string_view name, const backend::page<T>& p, Write write) {
  auto body = write_list(name, p.items, write);
  if (!p.next_cursor.empty()) body.emplace("nextCursor", as_json(p.next_cursor));
  return body;
}

}  // namespace evp::api
