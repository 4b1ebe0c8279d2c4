// Text that must never be printed, logged or compared by accident: keys, tokens, passwords, signed URLs.
#pragma once

#include <openssl/crypto.h>

#include <string>
#include <string_view>

namespace evp {

/// Holds secret text. It has no operator<<, no formatter and no conversion to std::string: whoever needs the bytes
/// says reveal() at the one place that uses them. The memory is wiped when the value dies.
class secret {
 public:
  secret() = default;
  explicit secret(std::string text) : text_(std::move(text)) {}
  secret(const secret&) = default;
  secret(secret&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }
  secret& operator=(const secret& other) {
    if (this != &other) {
      wipe();
      text_ = other.text_;
    }
    return *this;
  }
  secret& operator=(secret&& other) noexcept {
    if (this != &other) {
      wipe();
      text_ = std::move(other.text_);
      other.wipe();
    }
    return *this;
  }
  ~secret() { wipe(); }

  const std::string& reveal() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }
  std::size_t size() const noexcept { return text_.size(); }

  /// Takes time that does not depend on where the texts differ.
  friend bool operator==(const secret& a, const secret& b) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.text_.data(), b.text_.data(), a.size()) == 0;
  }

 private:
  void wipe() noexcept {
    if (!text_.empty()) OPENSSL_cleanse(text_.data(), text_.size());
    text_.clear();
  }

  std::string text_;
};

}  // namespace evp
