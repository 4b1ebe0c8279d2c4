#include "devices.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

#include "storage/endpoint.h"
#include "storage/local_store.h"

namespace evp {
namespace {

class runtime_device final : public device {
 public:
  runtime_device(http::transport& transport, std::string ca_pem) : transport_(transport), ca_pem_(std::move(ca_pem)) {}
  io::task<result<http::response>> send(std::string method, std::string url, http::headers fields,
                                        std::string body) override {
    http::request r;
    r.method = std::move(method);
    r.url = secret(std::move(url));
    r.fields = std::move(fields);
    if (r.method == "PUT" || r.method == "POST") r.body = std::move(body);
    r.ca_pem = ca_pem_;
    co_return co_await transport_.send(std::move(r));
  }

 private:
  http::transport& transport_;
  std::string ca_pem_;
};

result<std::string> converse(const storage::endpoint& to, const std::string& bytes) {
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(to.port)};
  if (inet_pton(AF_INET, to.host.c_str(), &address.sin_addr) != 1) return fail(errc::unsupported, "IPv4 only");
  const io::unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{.tv_sec = 10};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(errno_error(errno, "connect"));
  for (std::string_view rest = bytes; !rest.empty();) {
    const auto n = ::send(fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n <= 0) return fail(errno_error(errno, "send"));
    rest.remove_prefix(std::size_t(n));
  }
  std::string answer;
  for (char piece[4096];;) {
    const auto n = ::recv(fd.get(), piece, sizeof piece, 0);
    if (n < 0) return fail(errno_error(errno, "receive"));
    if (n == 0) return answer;
    answer.append(piece, std::size_t(n));
  }
}

class agent_device final : public device {
 public:
  io::task<result<http::response>> send(std::string method, std::string url, http::headers fields,
                                        std::string body) override {
    CO_TRY(const auto to, storage::parse_url(url));
    std::string head = method + " " + to.target + " HTTP/1.1\r\nhost: " + to.host + "\r\n";
    for (const auto& f : fields) head += f.name + ": " + f.value + "\r\n";
    if (method == "PUT") head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    head += "Connection: close\r\nUser-Agent: NuttX/6.xx.x (; http://www.nuttx.org/)\r\n\r\n";
    if (head.size() > 2176) co_return fail(errc::too_large, "the public agent cannot send such a request head");
    CO_TRY(const auto answer, converse(to, method == "PUT" ? head + body : head));
    http::response r;
    const auto end_of_head = answer.find("\r\n\r\n");
    if (!answer.starts_with("HTTP/1.") || end_of_head == answer.npos)
      co_return fail(errc::unavailable, "no HTTP answer");
    std::from_chars(answer.data() + 9, answer.data() + 12, r.status);
    r.body = answer.substr(end_of_head + 4);
    co_return r;
  }
};

class local_device final : public device {
 public:
  local_device(secret key, std::filesystem::path root, const io::clock& clock)
      : key_(std::move(key)), root_(std::move(root)), clock_(clock) {}
  io::task<result<http::response>> send(std::string method, std::string url, http::headers, std::string body) override {
    CO_TRY(const auto to, storage::parse_url(url));
    const auto mark = std::min(to.target.find('?'), to.target.size());
    const auto query = mark < to.target.size() ? to.target.substr(mark + 1) : std::string();
    http::response r;
    const auto access = storage::verify_local_url(key_, method, to.target.substr(0, mark), query, clock_.now());
    if (!access) {
      r.status = http_status(access.error().code());
      co_return r;
    }
    storage::local_store store(root_, access->container);
    if (method == "PUT") {
      storage::put_conditions conditions;
      conditions.content_length = body.size();
      const auto stored = store_object(store, *access, conditions, body);
      // As the route of /objects/ answers.
      const bool is_corrupt = !stored && stored.error().code() == errc::data_corrupt;
      r.status = stored ? 201 : is_corrupt ? 400 : http_status(stored.error().code());
    } else {
      const auto bytes = store.read(access->object, 8 << 20);
      r.status = bytes ? 200 : http_status(bytes.error().code());
      if (bytes) r.body = *bytes;
    }
    co_return r;
  }

 private:
  static result<void> store_object(storage::local_store& store, const storage::local_access& access,
                                   storage::put_conditions conditions, const std::string& body) {
    CHECK(storage::demand(access, conditions));
    TRY(auto upload, access.parts_id.empty() ? store.begin(access.object, conditions)
                                             : store.begin_part(access.parts_id, access.part, conditions));
    CHECK(upload.write(body));
    CHECK(upload.commit());
    return {};
  }

  secret key_;
  std::filesystem::path root_;
  const io::clock& clock_;
};

}  // namespace

std::unique_ptr<device> make_runtime_device(http::transport& transport, std::string ca_pem) {
  return std::make_unique<runtime_device>(transport, std::move(ca_pem));
}
std::unique_ptr<device> make_agent_device() { return std::make_unique<agent_device>(); }
std::unique_ptr<device> make_local_device(secret key, std::filesystem::path root, const io::clock& clock) {
  return std::make_unique<local_device>(std::move(key), std::move(root), clock);
}

}  // namespace evp
