// What the tests of engine and queue do with the actions that came out.
#pragma once

#include <utility>
#include <variant>
#include <vector>

namespace evp::runtime::upload {

/// Takes the actions of one type out of all, in order.
template <class T, class Action>
std::vector<T> take_out(std::vector<Action>& all) {
  std::vector<T> found;
  std::erase_if(all, [&](Action& a) {
    auto* t = std::get_if<T>(&a);
    if (t) found.push_back(std::move(*t));
    return t != nullptr;
  });
  return found;
}

}  // namespace evp::runtime::upload
