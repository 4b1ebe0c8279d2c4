// Many requests over a few connections.
#include "rest_load.h"

#include <charconv>
#include <memory>
#include <vector>

#include "programs.h"

namespace evp::bench {

namespace {

struct work {
  std::string token;
  std::size_t count = 0, begun = 0, ended = 0;
  const std::function<rest_request(std::size_t)>& next;
  const std::function<void(std::size_t, std::string_view)>& answered;
};

constexpr std::string_view length_field = "\r\nContent-Length: ";
constexpr auto limit = std::chrono::minutes(10);

class client final : public connection {
 public:
  client(loop& l, std::uint16_t port, work& w) : connection(l), work_(w) { open(port); }
  void on_open() override { send_next(); }
  std::size_t on_bytes(std::string_view bytes) override {
    const auto head = bytes.find("\r\n\r\n");
    if (head == bytes.npos) return 0;
    std::size_t length = 0;
    const auto at = bytes.substr(0, head).find(length_field);
    if (at != bytes.npos) std::from_chars(bytes.data() + at + length_field.size(), bytes.data() + head, length);
    const auto body = head + 4;
    if (bytes.size() - body < length) return 0;
    if (!bytes.starts_with("HTTP/1.1 2")) give_up("the backend answered: " + std::string(bytes.substr(0, 600)));
    ++work_.ended;
    work_.answered(number_, bytes.substr(body, length));
    send_next();
    return body + length;
  }
  std::string name() const override { return "a REST connection"; }

 private:
  void send_next() {
    if (work_.begun == work_.count) return;
    number_ = work_.begun++;
    const auto r = work_.next(number_);
    std::string out = r.method + " " + r.path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + work_.token;
    if (r.method != "GET")
      out += "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(r.body.size());
    send(out + "\r\n\r\n" + r.body);
  }

  work& work_;
  std::size_t number_ = 0;
};

}  // namespace

double rest_many(loop& l, std::uint16_t port, const std::string& token, std::size_t count, std::size_t connections,
                 const std::function<rest_request(std::size_t)>& next,
                 const std::function<void(std::size_t, std::string_view body)>& answered) {
  work w{token, count, 0, 0, next, answered};
  std::vector<std::unique_ptr<client>> all;
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < connections; ++i) all.push_back(std::make_unique<client>(l, port, w));
  if (!l.run_until([&] { return w.ended == count; }, limit)) give_up("the REST API does not keep up");
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace evp::bench
