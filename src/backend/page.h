// Lists in pages: what every list of the backend takes and gives.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace evp::backend {

inline constexpr std::size_t default_page = 100;
inline constexpr std::size_t max_page = 1000;

struct page_request {
  std::size_t limit = default_page;  ///< 1 to max_page; else invalid_argument at "limit"
  std::string cursor;                ///< next_cursor of the page before; empty: the first page
};

template <class T>
struct page {
  std::vector<T> items;
  std::string next_cursor;  ///< empty: this is the last page
};

}  // namespace evp::backend
