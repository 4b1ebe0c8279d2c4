// Turns a request into libcurl options, and libcurl's callbacks into a bounded response.
#include "http/transfer.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/encoding.h"

namespace evp::http {
namespace {

/// Heads are small; this keeps a server that never ends its head from filling our memory.
constexpr std::size_t max_head_bytes = 64 * 1024;
/// One pread, one hash update and one write each. Measured: 128 and 256 KiB cost more CPU (they fall out of the cache).
constexpr long buffer_bytes = 64 * 1024;
constexpr milliseconds report_every{250};

bool is_token(std::string_view s) {  // RFC 9110, 5.6.2
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !s.empty() && std::all_of(s.begin(), s.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || marks.find(c) != marks.npos;
  });
}

bool is_field_value(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7f); });
}

bool needs_body(std::string_view method) { return method == "PUT" || method == "POST" || method == "PATCH"; }

bool is_ip(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 || inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

std::string_view trim(std::string_view s) {
  constexpr std::string_view blank = " \t\r\n";
  const auto from = s.find_first_not_of(blank);
  if (from == s.npos) return {};
  return s.substr(from, s.find_last_not_of(blank) - from + 1);
}

steady_time now() { return std::chrono::steady_clock::now(); }

}  // namespace

transfer::~transfer() = default;

result<void> transfer::check() {
  const std::string_view url = request_.url.reveal();
  const auto bad_url = [](std::string why) { return fail(errc::invalid_argument, "url", std::move(why)); };
  if (!std::all_of(url.begin(), url.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; }))
    return bad_url("the URL holds a space, a control character or a byte beyond ASCII: percent-encode it");
  const auto scheme_end = url.find("://");
  if (scheme_end == url.npos) return bad_url("the URL must begin with http:// or https://");
  const auto scheme = url.substr(0, scheme_end);
  tls_ = same_name(scheme, "https");
  if (!tls_ && !same_name(scheme, "http")) return bad_url("the URL must begin with http:// or https://");
  const auto rest = url.substr(scheme_end + 3);
  const auto authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.empty()) return bad_url("the URL has no host");
  if (authority.find_first_of("@\\%") != authority.npos)
    return bad_url("the URL's host must be a plain name or address");
  if (rest.find('#') != rest.npos) return bad_url("the URL must not have a fragment ('#'): percent-encode it as %23");
  const auto target = rest.substr(authority.size());
  host_ = authority;
  target_ = target.empty() || target.front() == '?' ? "/" + std::string(target) : std::string(target);

  std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  if (curl_url_set(parsed.get(), CURLUPART_URL, request_.url.reveal().c_str(), CURLU_PATH_AS_IS) != CURLUE_OK)
    return bad_url("the URL cannot be parsed: check its host and port");

  if (!is_token(request_.method) || request_.method == "CONNECT")
    return fail(errc::invalid_argument, "method", "not an HTTP method that can be sent");
  if (const auto* text = std::get_if<std::string>(&request_.body)) body_length_ = text->size(), has_body_ = true;
  if (const auto* file = std::get_if<file_range>(&request_.body)) {
    body_length_ = request_.body_prefix.size() + file->length + request_.body_suffix.size(), has_body_ = true;
    if (file->fd < 0) return fail(errc::invalid_argument, "body", "the file to send is not open");
    constexpr auto most = std::uint64_t(std::numeric_limits<off_t>::max());
    if (file->offset > most || file->length > most - file->offset || file->length > most - (1 << 20))
      return fail(errc::invalid_argument, "body", "the file range is beyond what a file can hold");
  }
  has_body_ = has_body_ || needs_body(request_.method);
  if (has_body_ && request_.method == "HEAD") return fail(errc::invalid_argument, "body", "a HEAD request has no body");

  for (const auto& f : request_.fields) {
    if (!is_token(f.name))
      return fail(errc::invalid_argument, "headers", "a header name holds a character that is not allowed");
    if (!is_field_value(f.value))
      return fail(errc::invalid_argument, "headers", "the value of " + f.name + " holds a control character");
    if (same_name(f.name, "Transfer-Encoding"))
      return fail(errc::invalid_argument, "headers",
                  "Transfer-Encoding cannot be set: bodies go out with Content-Length");
    if (same_name(f.name, "Content-Length") && trim(f.value) != std::to_string(body_length_))
      return fail(errc::invalid_argument, "headers", "Content-Length differs from the body's length");
  }
  if (!request_.pinned_address.empty() && !is_ip(request_.pinned_address))
    return fail(errc::invalid_argument, "pinned_address", "must be an IPv4 or IPv6 address without brackets");
  if (request_.via && (request_.via->host.empty() || request_.via->port == 0))
    return fail(errc::invalid_argument, "via", "a proxy needs a host and a port");
  return {};
}

result<void> transfer::prepare(CURLSH* shared, socket_registry& sockets) {
  easy_.reset(curl_easy_init());
  if (!easy_) return fail(errc::internal, "out of memory");
  auto* e = easy_.get();
  began_ = last_byte_ = now();

  sockets_ = &sockets;
  sockets.watch(e);
  curl_easy_setopt(e, CURLOPT_SHARE, shared);
  curl_easy_setopt(e, CURLOPT_PRIVATE, this);
  curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);  // never wait for a stuck resolver when an exchange is cancelled
  curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(e, CURLOPT_HTTP_VERSION, long(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(e, CURLOPT_BUFFERSIZE, buffer_bytes);
  curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, buffer_bytes);
  curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                   long(std::max<milliseconds::rep>(request_.connect_timeout.count(), 1)));
  curl_easy_setopt(e, CURLOPT_URL, request_.url.reveal().c_str());
  curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);

  curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, &transfer::on_header);
  curl_easy_setopt(e, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, &transfer::on_body);
  curl_easy_setopt(e, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, &transfer::on_transfer);
  curl_easy_setopt(e, CURLOPT_XFERINFODATA, this);
  curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, &transfer::on_connected);
  curl_easy_setopt(e, CURLOPT_PREREQDATA, this);

  set_body();
  set_trust();
  set_route();
  if (!add_fields()) return fail(errc::internal, "out of memory");
  return {};
}

void transfer::set_body() {
  auto* e = easy_.get();
  if (request_.method == "HEAD") {
    curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    return;
  }
  if (has_body_) {
    curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, curl_off_t(body_length_));
    if (request_.max_send_rate > 0)
      curl_easy_setopt(e, CURLOPT_MAX_SEND_SPEED_LARGE,
                       curl_off_t(std::min<std::uint64_t>(request_.max_send_rate, INT64_MAX)));
    curl_easy_setopt(e, CURLOPT_READFUNCTION, &transfer::on_read);
    curl_easy_setopt(e, CURLOPT_READDATA, this);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, &transfer::on_seek);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, this);
    if (request_.hash_body) hash_ = std::make_unique<body_hash>(body_length_);
  }
  curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
}

void transfer::set_trust() {
  auto* e = easy_.get();
  curl_easy_setopt(e, CURLOPT_SSLVERSION, long(CURL_SSLVERSION_TLSv1_2));
  if (request_.ca_pem.empty()) return;
  curl_blob pem{.data = request_.ca_pem.data(), .len = request_.ca_pem.size(), .flags = CURL_BLOB_COPY};
  curl_easy_setopt(e, CURLOPT_CAINFO, nullptr);
  curl_easy_setopt(e, CURLOPT_CAPATH, nullptr);  // the blob replaces the system's file, but not its directory
  curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &pem);
}

void transfer::set_route() {
  auto* e = easy_.get();
  if (!request_.pinned_address.empty()) {
    const bool v6 = request_.pinned_address.find(':') != std::string::npos;
    const auto entry = "::" + (v6 ? "[" + request_.pinned_address + "]" : request_.pinned_address) + ":";
    connect_to_.reset(curl_slist_append(nullptr, entry.c_str()));
    curl_easy_setopt(e, CURLOPT_CONNECT_TO, connect_to_.get());
  }
  // An empty proxy and an empty list of exceptions keep libcurl from asking the environment.
  curl_easy_setopt(e, CURLOPT_NOPROXY, "");
  curl_easy_setopt(e, CURLOPT_PROXY, "");
  if (request_.via) {
    const auto& via = *request_.via;
    const bool v6 = via.host.find(':') != std::string::npos && via.host.front() != '[';
    curl_easy_setopt(e, CURLOPT_PROXY, ("http://" + (v6 ? "[" + via.host + "]" : via.host)).c_str());
    curl_easy_setopt(e, CURLOPT_PROXYPORT, long(via.port));
    if (!via.username.empty()) {
      curl_easy_setopt(e, CURLOPT_PROXYAUTH, long(CURLAUTH_BASIC));
      curl_easy_setopt(e, CURLOPT_PROXYUSERNAME, via.username.c_str());
      curl_easy_setopt(e, CURLOPT_PROXYPASSWORD, via.password.reveal().c_str());
    }
  }
  // A proxy without a tunnel wants the whole URL (RFC 9112, 3.2.2); CONNECT_TO makes libcurl tunnel.
  const bool absolute = request_.via && !tls_ && request_.pinned_address.empty();
  curl_easy_setopt(e, CURLOPT_REQUEST_TARGET, absolute ? request_.url.reveal().c_str() : target_.c_str());
}

bool transfer::add_fields() {
  const auto add = [this](const std::string& line) {
    auto* longer = curl_slist_append(fields_.get(), line.c_str());
    if (longer == nullptr) return false;
    (void)fields_.release();
    fields_.reset(longer);
    return true;
  };
  for (const auto& f : request_.fields) {
    if (same_name(f.name, "Content-Length")) continue;  // equal to libcurl's own
    if (!add(trim(f.value).empty() ? f.name + ";" : f.name + ": " + f.value)) return false;
  }
  for (const char* name : {"Accept", "Expect", "User-Agent", "Content-Type"}) {
    const bool listed = std::any_of(request_.fields.begin(), request_.fields.end(),
                                    [&](const header& h) { return same_name(h.name, name); });
    if (!listed && !add(std::string(name) + ":")) return false;
  }
  return curl_easy_setopt(easy_.get(), CURLOPT_HTTPHEADER, fields_.get()) == CURLE_OK;
}

bool transfer::stop(error e) {
  if (!failure_) failure_ = std::move(e);
  return false;
}

/// What is left of the text before or after the file's bytes, where the body is there now.
std::string_view transfer::text_around() const {
  const std::string_view before = request_.body_prefix.reveal(), after = request_.body_suffix.reveal();
  if (body_given_ < before.size()) return before.substr(body_given_);
  const auto file_end = body_length_ - after.size();
  return body_given_ < file_end ? std::string_view() : after.substr(body_given_ - file_end);
}

std::size_t transfer::on_read(char* buffer, std::size_t size, std::size_t count, void* self) {
  auto& t = *static_cast<transfer*>(self);
  const auto want = std::size_t(std::min<std::uint64_t>(size * count, t.body_length_ - t.body_given_));
  if (want == 0) return 0;
  std::size_t got = want;
  bool is_content = true;
  if (const auto* text = std::get_if<std::string>(&t.request_.body)) {
    std::memcpy(buffer, text->data() + t.body_given_, want);
  } else if (const auto around = t.text_around(); !around.empty()) {
    got = std::min(want, around.size());
    std::memcpy(buffer, around.data(), got);
    is_content = false;
  } else {
    const auto& file = std::get<file_range>(t.request_.body);
    const auto at = t.body_given_ - t.request_.body_prefix.size();
    ssize_t n;
    do n = ::pread(file.fd, buffer, std::min<std::uint64_t>(want, file.length - at), off_t(file.offset + at));
    while (n < 0 && errno == EINTR);
    if (n < 0) t.stop(errno_error(errno, "read the file to send"));
    if (n == 0)
      t.stop(error(errc::data_corrupt, "the file became shorter while it was sent: " +
                                           std::to_string(t.body_length_ - t.body_given_) + " bytes are missing"));
    if (n <= 0) return CURL_READFUNC_ABORT;
    got = std::size_t(n);
  }
  if (t.hash_ && is_content) t.hash_->update({buffer, got});
  t.body_given_ += got;
  return got;
}

int transfer::on_seek(void* self, curl_off_t offset, int origin) {
  auto& t = *static_cast<transfer*>(self);
  if (offset != 0 || origin != SEEK_SET) return CURL_SEEKFUNC_FAIL;
  t.body_given_ = 0;
  if (t.hash_) t.hash_ = std::make_unique<body_hash>(t.body_length_);
  return CURL_SEEKFUNC_OK;
}

std::size_t transfer::on_header(char* line, std::size_t size, std::size_t count, void* self) {
  auto& t = *static_cast<transfer*>(self);
  const auto bytes = size * count;
  t.last_byte_ = now();
  return t.read_header({line, bytes}) ? bytes : 0;
}

bool transfer::read_header(std::string_view line) {
  if (head_complete_) return true;  // trailers of a chunked body
  head_bytes_ += line.size();
  if (head_bytes_ > max_head_bytes) return stop(error(errc::too_large, "the answer's head is longer than 64 KiB"));
  if (line.starts_with("HTTP/")) {
    response_.fields.clear();
    const auto space = line.find(' ');
    if (space != line.npos) std::from_chars(line.data() + space + 1, line.data() + line.size(), response_.status);
    return true;
  }
  if ((line.front() == ' ' || line.front() == '\t') && !response_.fields.empty()) {  // obs-fold, RFC 9112, 5.2
    response_.fields.back().value.append(" ").append(trim(line));
    return true;
  }
  const auto text = trim(line);
  if (text.empty()) {
    head_complete_ = response_.status >= 200;
    std::uint64_t length = 0;
    const auto told = find(response_.fields, "Content-Length");
    std::from_chars(told.data(), told.data() + told.size(), length);
    if (head_complete_ && request_.method != "HEAD" && length > request_.max_response_bytes)
      return stop(error(errc::too_large,
                        "the answer is longer than " + std::to_string(request_.max_response_bytes) + " bytes"));
    const bool is_kept = head_complete_ && request_.response_fd >= 0 && response_.status < 300;
    if (is_kept && request_.on_head)
      if (auto ok = request_.on_head(response_); !ok) return stop(std::move(ok).error());
    return true;
  }
  const auto colon = text.find(':');
  if (colon != text.npos)
    response_.fields.push_back({std::string(trim(text.substr(0, colon))), std::string(trim(text.substr(colon + 1)))});
  return true;
}

std::size_t transfer::on_body(char* bytes, std::size_t size, std::size_t count, void* self) {
  auto& t = *static_cast<transfer*>(self);
  const auto length = size * count;
  t.last_byte_ = now();
  if (length > t.request_.max_response_bytes - t.response_.bytes_received) {
    t.stop(error(errc::too_large,
                 "the answer is longer than " + std::to_string(t.request_.max_response_bytes) + " bytes"));
    return 0;
  }
  t.response_.bytes_received += length;
  if (t.request_.response_fd < 0 || t.response_.status < 200 || t.response_.status > 299) {
    t.response_.body.append(bytes, length);
    return length;
  }
  for (std::size_t written = 0; written < length;) {
    const auto n = ::write(t.request_.response_fd, bytes + written, length - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      t.stop(errno_error(errno, "write the answer to its file"));
      return 0;
    }
    written += std::size_t(n);
  }
  return length;
}

// Called when the connection is there, new or kept, before the request goes out.
int transfer::on_connected(void* self, char*, char* local_ip, int, int local_port) {
  auto& t = *static_cast<transfer*>(self);
  t.connected_ = true;
  if (t.has_body_) t.socket_ = t.sockets_->find(local_ip, local_port);
  t.last_byte_ = now();
  return CURL_PREREQFUNC_OK;
}

// libcurl calls this after each piece that went over the socket, and once more before it closes a failed connection.
int transfer::on_transfer(void* self, curl_off_t, curl_off_t received, curl_off_t, curl_off_t sent) {
  auto& t = *static_cast<transfer*>(self);
  const auto time = now();
  if (sent + received != t.moved_) {
    t.moved_ = sent + received;
    t.last_byte_ = time;
  }
  const auto moved = t.request_.response_fd >= 0 ? received : sent;
  if (t.report && time - t.last_report_ >= report_every && moved != t.reported_) {
    t.last_report_ = time;
    t.reported_ = moved;
    t.report(std::uint64_t(moved));
  }
  if (t.socket_ >= 0 && t.head_bytes_ == 0 && !t.early_ && !t.failure_ && std::uint64_t(sent) < t.body_length_) {
    auto early = read_early_answer(t.socket_, t.easy_.get(), max_head_bytes, t.request_.max_response_bytes);
    t.early_ = std::move(early.refusal);
    if (early.consumed && !t.early_)
      t.stop(error(errc::unavailable, t.host_ + ": the connection broke while the request was sent"));
    if (early.consumed) return 1;
  }
  return 0;
}

steady_time transfer::deadline() const noexcept {
  auto end = steady_time::max();
  if (request_.total_timeout.count() > 0) end = std::min(end, began_ + request_.total_timeout);
  if (connected_ && request_.stall_timeout.count() > 0) end = std::min(end, last_byte_ + request_.stall_timeout);
  return end;
}

error transfer::overdue(steady_time time) const {
  if (request_.total_timeout.count() > 0 && time >= began_ + request_.total_timeout)
    return error(errc::deadline_exceeded,
                 "the exchange with " + host_ + " took longer than " + format_iso8601_duration(request_.total_timeout));
  return error(errc::deadline_exceeded,
               host_ + " moved no byte for " + format_iso8601_duration(request_.stall_timeout));
}

result<response> transfer::finish(CURLcode code) {
  curl_off_t sent = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_SIZE_UPLOAD_T, &sent);
  const bool unsent = has_body_ && std::uint64_t(sent) < body_length_;
  if (early_) {
    early_->bytes_sent = std::uint64_t(sent);
    return std::move(*early_);
  }
  if (failure_) return fail(std::move(*failure_));
  // A refusal before the end of the body may be followed by a reset; what came of it is the answer all the same.
  const bool refused = unsent && head_complete_ && response_.status >= 300;
  const bool cut = code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_PARTIAL_FILE;
  if (code != CURLE_OK && !(refused && cut)) return fail(explain(code));
  // libcurl lets some status lines pass that are none.
  if (response_.status < 200 || response_.status > 999)
    return fail(errc::unavailable, host_ + ": the server's answer is not HTTP");
  response_.bytes_sent = std::uint64_t(sent);
  if (hash_) response_.sent_sha256 = to_hex(hash_->finish());
  return std::move(response_);
}

}  // namespace evp::http
