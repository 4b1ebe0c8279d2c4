// A world for tests of the uploader: a scripted hub, one folder as everyone's workspace, a real HTTP client and server.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <deque>

#include "http/server.h"
#include "http/test_certificates.h"
#include "runtime/test_hub.h"
#include "runtime/upload/uploader.h"

namespace evp::runtime::upload {

using kind = blob_outcome::kind;
using testing::IsEmpty;

/// Answers requests as the test says, on the executor.
class scripted_hub final : public hub_requests {
 public:
  void send(wire::device_request r) override { requests.push_back(std::move(r)); }
  template <class T>
  std::vector<T> of_type() const {
    std::vector<T> found;
    for (const auto& r : requests)
      if (const auto* t = std::get_if<T>(&r)) found.push_back(*t);
    return found;
  }
  std::vector<wire::device_request> requests;
};

/// One folder is the workspace of every instance.
class folder_files final : public local_files {
 public:
  explicit folder_files(io::fs::path folder) : folder_(std::move(folder)) {}
  errno_result<opened_source> open_source(const std::string&, const std::string& path) override {
    opened_source s;
    s.fd = std::make_shared<io::unique_fd>(::open((folder_ / path).c_str(), O_RDONLY | O_CLOEXEC));
    struct stat st {};
    if (!*s.fd || ::fstat(s.fd->get(), &st) != 0) return tl::unexpected(errno);
    s.size = std::uint64_t(st.st_size);
    s.mtime_ns = std::int64_t(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec;
    s.inode = st.st_ino;
    return s;
  }
  errno_result<opened_target> open_target(const std::string&, const std::string& path) override {
    auto fd = std::make_shared<io::unique_fd>(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return opened_target{std::move(fd), path};
  }

 private:
  io::fs::path folder_;
};

/// One life of a module: keeps what it hears.
class listening_module final : public blob_listener {
 public:
  void accepted(std::uint64_t, result<std::uint64_t> id) override { answers.push_back(std::move(id)); }
  void ended(std::uint64_t, std::uint64_t id, blob_outcome o) override {
    outcomes.push_back(o);
    ended_ids.push_back(id);
  }
  void ended_earlier(earlier_outcome o) override { earlier.push_back(std::move(o)); }
  void progressed(std::uint64_t, std::uint64_t moved, std::uint64_t total) override {
    progress.emplace_back(moved, total);
  }
  std::vector<result<std::uint64_t>> answers;
  std::vector<blob_outcome> outcomes;
  std::vector<std::uint64_t> ended_ids;
  std::vector<earlier_outcome> earlier;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> progress;
};

class uploader_test : public testing::Test {
 protected:
  uploader_test() {
    EXPECT_TRUE(certificates_.open());
    options_.retry.backoff_first = milliseconds(20);
    options_.retry.backoff_max = milliseconds(50);
    // No request is sent twice, however slow the machine: the tests count them. Where one is to be, the test says so.
    options_.limits.resend_first = options_.limits.resend_max = std::chrono::hours(1);
  }
  ~uploader_test() override {
    if (uploader_) run_task(ctx_, uploader_->stop());
    if (server_) run_task(ctx_, server_->stop(milliseconds(100)));
    disk_.join();
    io::fs::remove_all(folder_);
  }

  void serve(bool tls = false) {
    http::router routes;
    const auto put = [this](http::server_request& r) -> io::task<http::server_response> {
      ++puts_;
      http::server_response answer;
      answer.status = 201;
      if (!statuses_.empty()) {
        answer.status = statuses_.front();
        statuses_.pop_front();
      }
      if (answer.status == 307) answer.fields.push_back({"Location", "/elsewhere"});
      if (answer.status == 201) objects_[r.target] = r.body;
      fields_ = r.fields;
      co_return answer;
    };
    const auto get = [this](http::server_request& r) -> io::task<http::server_response> {
      http::server_response answer;
      const auto found = objects_.find(r.target);
      answer.status = found == objects_.end() ? 404 : 200;
      answer.body = found == objects_.end() ? std::string("not here") : found->second;
      co_return answer;
    };
    routes.add("PUT", "/{name...}", put, http::route_options{.max_body = 1 << 24});
    routes.add("GET", "/{name...}", get);
    http::server_options o;
    if (tls) {
      const auto files = authority_.issue("DNS:localhost,IP:127.0.0.1");
      EXPECT_TRUE(io::write_file_durably(folder_ / "chain.pem", files.certificate_pem));
      EXPECT_TRUE(io::write_file_durably(folder_ / "key.pem", files.key_pem));
      o.tls = http::tls_files{folder_ / "chain.pem", folder_ / "key.pem"};
    }
    server_ = std::make_unique<http::server>(ctx_.get_executor(), std::move(routes), o);
    ASSERT_TRUE(server_->start());
    base_ = std::string(tls ? "https" : "http") + "://127.0.0.1:" + std::to_string(server_->port());
  }
  void start(bool connect = true) {
    options_.folder = folder_ / "queue";
    uploader_ =
        std::make_unique<uploader>(ctx_.get_executor(), clock_, http_, certificates_, hub_, files_, disk_, options_);
    const auto started = uploader_->start();
    ASSERT_TRUE(started) << started.error().message();
    module_ = std::make_shared<listening_module>();
    life_ = uploader_->begin_life("up", module_);
    if (connect) uploader_->hub_connected();
  }
  /// As after a crash: nothing that was under way is finished.
  void restart(bool connect = true) {
    run_task(ctx_, uploader_->stop());
    uploader_.reset();
    hub_.requests.clear();
    start(connect);
  }
  blob_order put_order(const std::string& bytes, const std::string& name = "dir/a b.bin") {
    blob_order o;
    o.instance = "up";
    o.remote_name = name;
    o.path = files_made_++ == 0 ? "source" : "source" + std::to_string(files_made_);
    EXPECT_TRUE(io::write_file_durably(folder_ / o.path, bytes));
    const auto source = *files_.open_source("up", o.path);
    o.source = source.fd;
    o.size = source.size;
    o.mtime_ns = source.mtime_ns;
    o.inode = source.inode;
    return o;
  }
  blob_order get_order(const std::string& url) {
    blob_order o;
    o.instance = "up";
    o.operation = wire::blob_operation::get;
    o.url = secret(url);
    o.path = "target";
    return o;
  }
  void submit(blob_order o) {
    const auto before = module_->answers.size();
    uploader_->submit(life_, ++ticket_, std::move(o));
    ASSERT_TRUE(run_until(ctx_, [&] { return module_->answers.size() > before; }));
    ASSERT_TRUE(module_->answers.back()) << module_->answers.back().error().message();
  }
  template <class T>
  T next_request(std::size_t index = 0) {
    EXPECT_TRUE(run_until(ctx_, [&] { return hub_.of_type<T>().size() > index; }));
    return hub_.of_type<T>().at(index);
  }
  void answer(wire::hub_response r) {
    const std::string id = wire::reqid_of(r);
    uploader_->hub_answered(id, std::move(r));
  }
  wire::storage_token_response grant_for(const wire::storage_token_request& r, const std::string& path) {
    wire::storage_token_response g;
    g.reqid = r.reqid;
    g.url = secret(base_ + path);
    g.headers = {{"x-test", "yes"}};
    return g;
  }
  blob_outcome outcome() {
    auto& outcomes = module_->outcomes;
    EXPECT_TRUE(run_until(ctx_, [&] { return !outcomes.empty(); }));
    EXPECT_EQ(outcomes.size(), 1U);
    return outcomes.empty() ? blob_outcome{} : outcomes[0];
  }
  std::string target() {
    const auto text = io::read_file(folder_ / "target", 1 << 24);
    return text ? *text : "(none)";
  }
  std::vector<std::string> leftovers() {
    std::vector<std::string> found;
    for (const auto& e : io::fs::directory_iterator(folder_))
      if (e.path().extension() == ".part") found.push_back(e.path());
    return found;
  }

  static std::string make_folder() {
    std::string pattern = testing::TempDir() + "uploader-XXXXXX";
    return ::mkdtemp(pattern.data());
  }

  boost::asio::io_context ctx_{1};
  const io::fs::path folder_ = make_folder();
  io::system_clock clock_;
  io::pool disk_{1};
  http::client http_{ctx_.get_executor()};
  http::test_authority authority_;
  certificate_store certificates_{folder_ / "certificates"};
  scripted_hub hub_;
  uploader_options options_;
  std::unique_ptr<http::server> server_;
  std::unique_ptr<uploader> uploader_;
  std::string base_;
  std::map<std::string, std::string> objects_;
  http::headers fields_;
  std::deque<int> statuses_;
  int puts_ = 0;
  folder_files files_{folder_};
  std::shared_ptr<listening_module> module_;
  std::uint32_t life_ = 0;
  std::uint64_t ticket_ = 0;
  int files_made_ = 0;
};

}  // namespace evp::runtime::upload
