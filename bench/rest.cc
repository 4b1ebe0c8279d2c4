#include "rest.h"

#include <boost/json/parse.hpp>
#include <fstream>
#include <sstream>

#include "http/test_run.h"

namespace evp::bench {

std::string text_of(const io::fs::path& path) {
  std::ifstream in(path);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

rest::rest(std::string url, std::string token) : url_(std::move(url)), token_(std::move(token)) {
  while (!token_.empty() && token_.back() == '\n') token_.pop_back();
}

json::value rest::call(std::string method, const std::string& path, std::string body, bool may_fail) {
  http::request r;
  r.method = method;
  r.url = secret(url_ + path);
  r.fields = {{"Authorization", "Bearer " + token_}};
  if (method != "GET") r.body = std::move(body);
  r.stall_timeout = milliseconds(120'000);
  r.max_response_bytes = 16 << 20;
  auto answer = http::run(ctx_, client_.send(std::move(r)));
  if (!answer) give_up(method + " " + path + ": " + answer.error().message());
  if (answer->status > 299 && !may_fail) give_up(method + " " + path + ": " + answer->body);
  json::error_code ignored;
  return json::parse(answer->body, ignored);
}

}  // namespace evp::bench
