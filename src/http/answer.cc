// Writes heads of answers and the errors that the server itself answers.
#include "http/answer.h"

#include <fmt/chrono.h>

namespace evp::http {
namespace {

bool is_safe(const header& h) {
  const auto bad = [](const std::string& s) { return s.find_first_of(std::string_view("\r\n\0", 3)) != s.npos; };
  return !h.name.empty() && !bad(h.name) && !bad(h.value) && h.name.find_first_of(": \t") == h.name.npos;
}

bool is_ours(const header& h) {
  return same_name(h.name, "Content-Length") || same_name(h.name, "Connection") ||
         same_name(h.name, "Transfer-Encoding") || same_name(h.name, "Date");
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 416: return "Range Not Satisfiable";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "";  // optional, RFC 9112, 4
  }
}

}  // namespace

bool may_have_body(int status) { return status >= 200 && status != 204 && status != 304; }

std::optional<std::uint64_t> length_of(const server_response& answer) {
  if (const auto* text = std::get_if<std::string>(&answer.body)) return text->size();
  if (const auto* file = std::get_if<file_body>(&answer.body)) return file->length;
  return std::nullopt;
}

std::string head_of(const server_response& answer, bool keep_alive, timestamp now) {
  auto head = fmt::format("HTTP/1.1 {} {}\r\nDate: {:%a, %d %b %Y %H:%M:%S} GMT\r\n", answer.status,
                          reason_of(answer.status), fmt::gmtime(timestamp::clock::to_time_t(now)));
  for (const auto& h : answer.fields)
    if (is_safe(h) && !is_ours(h)) head.append(h.name).append(": ").append(h.value).append("\r\n");
  const auto length = length_of(answer);
  if (may_have_body(answer.status) && length)
    head.append("Content-Length: ").append(std::to_string(*length)).append("\r\n");
  else if (may_have_body(answer.status))
    head.append("Transfer-Encoding: chunked\r\n");
  head.append(keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
  return head;
}

server_response plain_error(int status, const error& e) {
  server_response r;
  r.status = status;
  r.fields = {{"Content-Type", "text/plain; charset=utf-8"}};
  r.body = e.message() + "\n";
  return r;
}

}  // namespace evp::http
