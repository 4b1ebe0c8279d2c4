// Drives the upload engine with the real HTTP client, hub, files and timers.
#include "runtime/upload/uploader.h"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "runtime/log_text.h"
#include "runtime/upload/download_file.h"
#include "runtime/upload/target_url.h"

namespace evp::runtime::upload {

namespace {
namespace asio = boost::asio;

std::optional<std::uint64_t> number_of(std::string_view reqid) {
  std::uint64_t n = 0;
  const auto [end, problem] = std::from_chars(reqid.data(), reqid.data() + reqid.size(), n);
  if (reqid.empty() || problem != std::errc() || end != reqid.data() + reqid.size()) return std::nullopt;
  return n;
}

transfer_result failed(error why, int number = 0) {
  transfer_result r;
  r.failure = std::move(why);
  r.failure_errno = number;
  return r;
}

const char* name_of(wire::blob_operation operation) {
  return operation == wire::blob_operation::put ? "upload" : "download";
}
}  // namespace

uploader::uploader(io::executor ex, const io::clock& clock, http::transport& storage, certificate_store& certificates,
                   hub_requests& hub, io::pool& disk, uploader_options options)
    : ex_(ex),
      clock_(clock),
      storage_(storage),
      certificates_(certificates),
      hub_(hub),
      disk_(disk),
      options_(std::move(options)),
      engine_(options_.limits, options_.retry, options_.seed, certificates.ids()),
      timer_(ex),
      transfers_(ex) {}

result<std::uint64_t> uploader::submit(blob_order order, std::function<void(blob_outcome)> done) {
  const bool is_put = order.operation == wire::blob_operation::put;
  if (is_put ? !order.source : (!order.target_folder || order.target_name.empty()))
    return fail(errc::invalid_argument, "a file operation needs an open file, or an open folder and a name");
  if (stopping_) return fail(errc::unavailable, "the runtime is shutting down");

  upload::order wanted;
  wanted.instance = order.instance;
  wanted.operation = order.operation;
  if (!order.url.empty()) {
    wanted.own.emplace();
    wanted.own->url = order.url;
    wanted.own->fields = order.fields;
  }
  const auto id = ++last_id_;
  entries_.emplace(id, entry{std::move(order), std::move(done)});
  auto todo = engine_.step(submitted{id, std::move(wanted)}, clock_.steady());
  for (auto& a : todo) {
    auto* refused = std::get_if<refuse>(&a);
    if (!refused) continue;
    auto why = std::move(refused->why);
    entries_.erase(id);
    perform(std::move(todo));
    return fail(std::move(why));
  }
  perform(std::move(todo));
  return id;
}

void uploader::forget_callbacks(const std::string& instance) {
  for (auto& [id, e] : entries_)
    if (e.order.instance == instance) e.done = nullptr;
}

io::task<void> uploader::stop() {
  stopping_ = true;
  timer_.cancel();
  co_await transfers_.stop();
  entries_.clear();
}

void uploader::drive(event e) {
  if (stopping_) return;
  events_.push_back(std::move(e));
  if (driving_) return;  // an action led to another event: it waits its turn
  driving_ = true;
  while (!events_.empty()) {
    event next = std::move(events_.front());
    events_.pop_front();
    perform(engine_.step(std::move(next), clock_.steady()));
  }
  driving_ = false;
}

void uploader::perform(actions all) {
  for (auto& a : all) std::visit([this](auto& what) { act(what); }, a);
}

// ---- actions ----

void uploader::act(request_grant& a) {
  const auto& order = entries_.at(a.id).order;
  wire::storage_token_request r;
  r.reqid = std::to_string(a.reqid);
  r.filename = order.remote_name;
  r.instance = order.instance;
  r.key = order.storage_name;
  r.operation = order.operation;
  if (order.operation == wire::blob_operation::put) r.size = order.size;
  r.accept = {"certificate/1", "report/1"};
  asking_[a.reqid] = a.id;
  hub_.send(std::move(r));
}

void uploader::act(request_certificate& a) {
  wire::certificate_request r;
  r.reqid = std::to_string(a.reqid);
  r.certificate_id = a.certificate_id;
  hub_.send(std::move(r));
}

void uploader::act(start_transfer& a) { transfers_.spawn(transfer(a, entries_.at(a.id).order)); }

void uploader::act(send_report& a) {
  wire::transfer_report r;
  r.reqid = std::to_string(a.reqid);
  r.grant_id = a.grant_id;
  r.done = a.done;
  r.http_status = a.result.status;
  r.bytes = a.result.bytes;
  r.sha256 = a.result.sha256;
  if (a.result.failure) r.message = a.result.failure->message();
  hub_.send(std::move(r));
}

void uploader::act(set_timer& a) {
  if (!a.at) {
    timer_.cancel();
    return;
  }
  timer_.expires_after(*a.at - clock_.steady());
  timer_.async_wait([this](boost::system::error_code stopped) {
    if (!stopped) drive(tick{});
  });
}

void uploader::act(finish& a) {
  const auto found = entries_.find(a.id);
  if (found == entries_.end()) return;
  auto done = std::move(found->second.done);
  if (a.outcome.result != blob_outcome::kind::success)
    spdlog::warn("{} {} of instance {} failed: {}", name_of(found->second.order.operation), a.id,
                 found->second.order.instance, log_text(a.message));
  entries_.erase(found);
  std::erase_if(asking_, [&](const auto& asked) { return asked.second == a.id; });
  if (done) asio::post(ex_, [done = std::move(done), outcome = a.outcome] { done(outcome); });
}

// ---- answers of the hub ----

void uploader::hub_answered(std::string_view topic_id, result<wire::hub_response> answer) {
  if (!answer) {
    // Reports and certificates are simply asked again; a token that can't be read is EINVAL for the module.
    if (const auto reqid = number_of(topic_id)) drive(grant_failed{*reqid, std::move(answer).error(), true});
    return;
  }
  const auto reqid = number_of(wire::reqid_of(*answer));
  if (!reqid) return;
  std::visit([&](auto& r) { answered(std::move(r), *reqid); }, *answer);
}

void uploader::answered(wire::storage_token_response r, std::uint64_t reqid) {
  const auto asked = asking_.find(reqid);
  if (asked == asking_.end()) return;
  const auto found = entries_.find(asked->second);
  asking_.erase(asked);
  if (found == entries_.end()) return;
  if (r.failure) return drive(grant_failed{reqid, std::move(*r.failure)});
  const auto& order = found->second.order;
  if (r.operation != order.operation)
    return drive(grant_failed{reqid, error(errc::unsupported, "this hub grants no downloads by name")});
  grant g;
  g.url = std::move(r.url);
  if (r.multifile) {
    auto url = url_beneath_prefix(g.url.reveal(), order.remote_name);
    if (!url) return drive(grant_failed{reqid, std::move(url).error(), true});
    g.url = secret(std::move(*url));
  }
  if (!r.certificate_id.empty()) {
    if (auto good = check_certificate_id(r.certificate_id); !good)
      return drive(grant_failed{reqid, std::move(good).error(), true});
  }
  for (auto& h : r.headers) g.fields.push_back({std::move(h.name), std::move(h.value)});
  g.expect = std::move(r.expect);
  g.grant_id = std::move(r.grant_id);
  g.certificate_id = std::move(r.certificate_id);
  // expiresAtMillis is the hub's wall clock, and a device's own is often wrong: only the relative form is used. A
  // grant that has expired shows as a 403, and a fresh one is asked for.
  g.expires_in = r.expires_in;
  drive(grant_received{reqid, std::move(g)});
}

void uploader::answered(wire::certificate_response r, std::uint64_t reqid) {
  if (r.failure) return drive(certificate_failed{reqid, std::move(*r.failure)});
  // Once for each new bundle, a few kilobytes: not worth a trip to the disk's thread.
  if (auto kept = certificates_.put(r.certificate_id, r.pem); !kept) {
    spdlog::error("certificate {}: {}", log_text(r.certificate_id), kept.error().message());
    return drive(certificate_failed{reqid, std::move(kept).error()});
  }
  drive(certificate_received{std::move(r.certificate_id)});
}

void uploader::answered(wire::transfer_report_response r, std::uint64_t reqid) {
  drive(report_answered{reqid, std::move(r.failure)});
}

// ---- transfers ----

io::task<void> uploader::transfer(start_transfer t, blob_order order) {
  co_await asio::post(ex_, asio::use_awaitable);  // never inside the step that started it
  transfer_result end;
  http::request r;
  auto trusted = trust_of(t.grant.certificate_id);
  if (!trusted) {
    drive(certificate_lost{t.grant.certificate_id});
    end = failed(error(errc::unavailable, "the storage's certificate must be fetched again"));
  } else {
    r.url = std::move(t.grant.url);
    r.fields = std::move(t.grant.fields);
    r.ca_pem = std::move(*trusted);
    r.via = options_.via;
    r.connect_timeout = options_.connect_timeout;
    r.stall_timeout = options_.stall_timeout;
    r.total_timeout = t.time_left;
    r.hash_body = !t.grant.grant_id.empty();
    if (order.operation == wire::blob_operation::put) {
      auto sent = co_await put(std::move(r), std::move(order));
      end = std::move(sent);
    } else {
      auto received = co_await get(std::move(r), std::move(order));
      end = std::move(received);
    }
  }
  drive(transfer_finished{t.id, t.attempt, std::move(end)});
}

io::task<transfer_result> uploader::put(http::request r, blob_order order) {
  r.method = "PUT";
  r.body = http::file_range{order.source->get(), 0, order.size};
  auto answer = co_await storage_.send(std::move(r));
  co_return to_result(std::move(answer));
}

io::task<transfer_result> uploader::get(http::request r, blob_order order) {
  r.method = "GET";
  r.hash_body = false;
  r.max_response_bytes = options_.max_download_bytes;
  int number = 0;
  auto file = download_file::create(order.target_folder, order.target_name, number);
  if (!file) co_return failed(std::move(file).error(), number);
  r.response_fd = file->descriptor();
  auto answer = co_await storage_.send(std::move(r));
  auto end = to_result(std::move(answer));
  if (end.failure || end.status < 200 || end.status > 299) co_return end;
  auto work = [&file, &number] { return file->commit(number); };
  auto kept = co_await io::run_on(disk_, std::move(work));
  if (!kept) co_return failed(std::move(kept).error(), number);
  co_return end;
}

transfer_result uploader::to_result(result<http::response> answer) const {
  if (!answer) return failed(std::move(answer).error());
  transfer_result r;
  r.status = answer->status;
  r.bytes = answer->bytes_sent > 0 ? answer->bytes_sent : answer->bytes_received;
  r.sha256 = std::move(answer->sent_sha256);
  r.retry_after = parse_retry_after(http::find(answer->fields, "Retry-After"), clock_.now());
  return r;
}

result<std::string> uploader::trust_of(const std::string& certificate_id) {
  if (certificate_id.empty()) return options_.default_ca_pem;
  const auto known = bundles_.find(certificate_id);
  if (known != bundles_.end()) return known->second;
  TRY(auto pem, certificates_.read(certificate_id));
  if (bundles_.size() >= 64) bundles_.clear();
  return bundles_.emplace(certificate_id, std::move(pem)).first->second;
}

}  // namespace evp::runtime::upload
