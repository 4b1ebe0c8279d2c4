// Drives the durable queue with the real disk, HTTP client, hub, files and timers.
#include "runtime/upload/uploader.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <charconv>

#include "base/encoding.h"
#include "runtime/log_text.h"
#include "runtime/upload/download_file.h"
#include "runtime/upload/file_hash.h"
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

constexpr std::size_t max_failures = 20;  // shown in the status

opened_source look_at(const std::shared_ptr<io::unique_fd>& fd) {
  struct stat st {};
  if (::fstat(fd->get(), &st) != 0) return {};
  return {fd, std::uint64_t(st.st_size), std::int64_t(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec,
          st.st_ino};
}

/// Puts the file's bytes on their way to the disk. Without `whole` the flush is left to the journal's own sync, which
/// on journalling file systems takes them along: a file is the module's, and a flush costs as much as the upload of a
/// small one.
void write_out(int fd, bool whole) {
  if (whole) {
    if (::fsync(fd) != 0) spdlog::warn("a module's file cannot be flushed: {}", errno_error(errno, "fsync").message());
    return;
  }
  ::sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

/// The host of a URL, which is no secret: what a module brings itself is told apart by it.
std::string host_of(const secret& url) {
  std::string_view rest = url.reveal();
  const auto scheme = rest.find("://");
  if (scheme != rest.npos) rest.remove_prefix(scheme + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  const auto user = rest.rfind('@');
  if (user != rest.npos) rest.remove_prefix(user + 1);
  return std::string(rest.substr(0, 255));
}

bool is_unchanged(const opened_source& now, const journal::accepted& then) {
  return now.size == then.size && (then.spooled || (now.mtime_ns == then.mtime_ns && now.inode == then.inode));
}

transfer_result changed() {
  return failed(error(errc::data_corrupt, "the file has changed since the module asked to send it"), ESTALE);
}

/// The parts as the engine knows them. Errors: invalid_argument (they don't cut the file as the plan says).
result<std::vector<part>> checked_parts(std::vector<wire::grant_part> all, std::uint64_t part_bytes, unsigned count,
                                        std::uint64_t size) {
  const auto bad = [](const char* why) { return fail(errc::invalid_argument, "plan", why); };
  if (part_bytes == 0 || (size > 0 ? (size - 1) / part_bytes + 1 : 1) != count)
    return bad("the plan's part size and number don't make up the file");
  std::vector<part> out;
  for (auto& p : all) {
    const auto offset = std::uint64_t(p.number - 1) * part_bytes;
    if (p.number > count || p.offset != offset || p.length != std::min(part_bytes, size - offset))
      return bad("a part is not the range of the file that its number means");
    part x;
    x.number = p.number;
    x.method = std::move(p.method);
    x.url = std::move(p.url);
    for (auto& h : p.headers) x.fields.push_back({std::move(h.name), std::move(h.value)});
    x.offset = p.offset;
    x.length = p.length;
    x.expect = std::move(p.expect);
    x.body_prefix = std::move(p.body_prefix);
    x.body_suffix = std::move(p.body_suffix);
    out.push_back(std::move(x));
  }
  return out;
}

/// Of a request for the rest of an object: what may be meant for its Range, so that the whole object is another matter.
bool refuses_range(int status) {
  return status >= 400 && status < 500 && status != 401 && status != 403 && status != 404 && status != 408 &&
         status != 410 && status != 429;
}

queue::parts parts_of(const uploader_options& o, const std::set<std::string>& certificates, const secret& key) {
  queue::parts p;
  p.queue = o.queue;
  p.engine = o.limits;
  p.retry = o.retry;
  p.seed = o.seed;
  p.certificates = certificates;
  p.open_own = [&key](const journal::accepted& a) { return store::unseal(key, store::own_url_of(a.instance), a.own); };
  p.seal_kept = [&key](operation_id id, const grant& g) {
    return store::seal(key, store::kept_grant_of(id), g.url, g.fields);
  };
  p.open_kept = [&key](operation_id id, std::string_view sealed) {
    return store::unseal(key, store::kept_grant_of(id), sealed);
  };
  return p;
}
}  // namespace

uploader::uploader(io::executor ex, const io::clock& clock, http::transport& storage, certificate_store& certificates,
                   hub_requests& hub, local_files& files, io::pool& disk, uploader_options options)
    : ex_(ex),
      clock_(clock),
      storage_(storage),
      certificates_(certificates),
      hub_(hub),
      files_(files),
      disk_(disk),
      options_(std::move(options)),
      queue_(parts_of(options_, certificates.ids(), key_)),
      timer_(ex),
      tasks_(ex) {}

result<void> uploader::start() {
  TRY(store_, store::open(options_.folder));
  key_ = store_->key();
  TRY(auto records, store_->recover());
  drive(recovered{std::move(records)});
  CHECK(store_->clean_spool([this](operation_id id) { return queue_.needs_spooled(id); }));
  if (queue_.live() > 0) spdlog::info("{} file operations of an earlier run go on", queue_.live());
  return {};
}

// ---- lives of modules ----

std::uint32_t uploader::begin_life(const std::string& instance, std::weak_ptr<blob_listener> who) {
  lives_[++last_life_] = life{instance, std::move(who)};
  return last_life_;
}

void uploader::end_life(std::uint32_t number) {
  const auto node = lives_.extract(number);
  if (!node.empty()) drive(life_ended{number, node.mapped().instance});
}

void uploader::want_outcomes(std::uint32_t number) {
  const auto found = lives_.find(number);
  if (found != lives_.end()) drive(wants_outcomes{number, found->second.instance});
}

void uploader::acknowledge(std::uint32_t number, std::uint64_t id) {
  const auto found = lives_.find(number);
  if (found != lives_.end()) drive(acknowledged{found->second.instance, id});
}

void uploader::later(std::uint32_t number, std::function<void(blob_listener&)> call) {
  asio::post(ex_, [this, number, call = std::move(call)] {
    const auto found = lives_.find(number);
    const auto who = found == lives_.end() || stopping_ ? nullptr : found->second.who.lock();
    if (who) call(*who);
  });
}

void uploader::submit(std::uint32_t number, std::uint64_t ticket, blob_order order) {
  const asker who{number, ticket};
  const bool is_put = order.operation == wire::blob_operation::put;
  journal::accepted what;
  what.operation = is_put ? journal::operation::put : journal::operation::get;
  what.priority = journal::priority(int(order.priority));
  what.acknowledges = order.acknowledges;
  what.instance = order.instance;
  what.remote_name = std::move(order.remote_name);
  what.path = std::move(order.path);
  if (is_put) {
    what.size = order.size;
    what.mtime_ns = order.mtime_ns;
    what.inode = order.inode;
    what.spooled = order.spool;
    if (what.spooled) what.path.clear();
  }
  if (!order.url.empty()) {
    what.own = store::seal(key_, store::own_url_of(what.instance), order.url, order.fields);
    what.storage = host_of(order.url);
  } else if (order.storage_name) {
    what.named = true;
    what.storage = std::move(*order.storage_name);
  }
  if (is_put && order.source) {
    offered_[{number, ticket}] = order.source;
    if (!what.spooled) unsynced_sources_.push_back(std::move(order.source));
  }
  drive(offered{who, std::move(what)});
}

io::task<void> uploader::stop() {
  stopping_ = true;
  timer_.cancel();
  co_await tasks_.stop();
  lives_.clear();
}

void uploader::drive(queue_event e) {
  if (stopping_) return;
  events_.push_back(std::move(e));
  if (driving_) return;  // an action led to another event: it waits its turn
  driving_ = true;
  while (!events_.empty()) {
    queue_event next = std::move(events_.front());
    events_.pop_front();
    auto todo = queue_.step(std::move(next), {clock_.steady(), clock_.now()});
    for (auto& a : todo) std::visit([this](auto& what) { act(what); }, a);
  }
  driving_ = false;
}

// ---- the disk ----

void uploader::act(prepare& a) {
  const auto found = offered_.find({a.asker.life, a.asker.ticket});
  if (found == offered_.end())
    return drive(prepared{a.id, error(errc::invalid_argument, "an upload needs an open file"), {}});
  tasks_.spawn(spool(a.id, found->second, queue_.details(a.id)->size));
}

io::task<void> uploader::spool(operation_id id, source from, std::uint64_t size) {
  auto work = [s = store_, id, from, size] { return s->spool(id, from->get(), size); };
  auto done = co_await io::run_on(disk_, std::move(work));
  prepared p{id, std::nullopt, {}};
  if (done) {
    p.sha256 = std::move(*done);
  } else {
    p.failure = std::move(done).error();
  }
  drive(std::move(p));
}

void uploader::act(drop_spooled& a) {
  asio::post(disk_, [s = store_, id = a.id] { s->drop_spooled(id); });
}

void uploader::act(write& a) { tasks_.spawn(carry_out(std::move(a), std::exchange(unsynced_sources_, {}))); }

io::task<void> uploader::carry_out(write w, std::vector<source> sources) {
  auto work = [s = store_, w = std::move(w), sources = std::move(sources), whole = options_.sync_sources] {
    for (const auto& f : sources) write_out(f->get(), whole);
    return s->carry_out(w);
  };
  auto done = co_await io::run_on(disk_, std::move(work));
  written end;
  if (!done) {
    spdlog::error("the queue's journal cannot be written: {}", done.error().message());
    end.failure = std::move(done).error();
  }
  drive(std::move(end));
}

// ---- what modules hear ----

void uploader::act(answer& a) {
  const auto node = offered_.extract({a.asker.life, a.asker.ticket});
  if (!a.accepted && !node.empty()) std::erase(unsynced_sources_, node.mapped());
  later(a.asker.life,
        [ticket = a.asker.ticket, r = std::move(a.accepted)](blob_listener& who) { who.accepted(ticket, r); });
}

void uploader::act(tell& a) {
  later(a.asker.life, [a](blob_listener& who) { who.ended(a.asker.ticket, a.id, a.outcome); });
}

void uploader::act(tell_earlier& a) {
  earlier_outcome o;
  o.id = a.what.id;
  o.operation = a.what.operation == journal::operation::put ? wire::blob_operation::put : wire::blob_operation::get;
  o.remote_name = a.what.remote_name;
  o.outcome = {blob_outcome::kind(int(a.outcome.result)), a.outcome.http_status, int(a.outcome.error)};
  later(a.life, [o = std::move(o)](blob_listener& who) { who.ended_earlier(o); });
}

void uploader::act(drained& a) {
  if (!on_drained) return;
  asio::post(ex_, [this, name = std::move(a.instance)] {
    if (!stopping_ && on_drained) on_drained(name);
  });
}

void uploader::act(note_end& a) {
  std::erase_if(asking_, [&](const auto& asked) { return asked.second.id == a.id; });
  if (a.outcome.result == blob_outcome::kind::success) return;
  const auto what = queue_.details(a.id);
  if (what && what->operation == journal::operation::get)
    if (const auto target = files_.open_target(what->instance, what->path))
      download_file::remove(*target->folder, a.id);
  failures_.push_front(
      {clock_.now(), a.id, a.instance, what ? log_text(what->remote_name) : std::string(), log_text(a.message)});
  if (failures_.size() > max_failures) failures_.pop_back();
  spdlog::warn("file operation {} of instance {} failed: {}", a.id, a.instance, log_text(a.message));
}

// ---- actions of the engine ----

void uploader::act(request_grant& a) {
  const auto what = queue_.details(a.id);
  if (!what) return;
  wire::storage_token_request r;
  r.reqid = std::to_string(a.reqid);
  r.filename = what->remote_name;
  r.instance = what->instance;
  if (what->named) r.key = what->storage;
  r.operation = what->operation == journal::operation::put ? wire::blob_operation::put : wire::blob_operation::get;
  if (what->operation == journal::operation::put) r.size = what->size;
  if (!what->sha256.empty()) r.sha256 = to_hex(what->sha256);
  r.accept = {"certificate/1", "report/1", "plan/1", "sha256/1", "offline/1"};
  r.offline = a.offline;
  asking_[a.reqid] = {a.id};
  hub_.send(std::move(r));
}

void uploader::act(hash_file& a) {
  if (auto what = queue_.details(a.id)) tasks_.spawn(hash(a.id, std::move(*what)));
}

void uploader::act(request_certificate& a) {
  wire::certificate_request r;
  r.reqid = std::to_string(a.reqid);
  r.certificate_id = a.certificate_id;
  hub_.send(std::move(r));
}

void uploader::act(request_parts& a) {
  wire::grant_renew_request r;
  r.reqid = std::to_string(a.reqid);
  r.grant_id = a.grant_id;
  r.first_part = a.first;
  r.last_part = a.last;
  asking_[a.reqid] = {a.id, a.part_bytes, a.part_count};
  hub_.send(std::move(r));
}

void uploader::act(start_transfer& a) {
  if (auto what = queue_.details(a.id)) tasks_.spawn(transfer(std::move(a), std::move(*what)));
}

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
    if (!stopped) drive(event(tick{}));
  });
}

// ---- answers of the hub ----

void uploader::hub_answered(std::string_view topic_id, result<wire::hub_response> answer) {
  if (!answer) {
    // Reports and certificates are simply asked again; a token that can't be read is EINVAL for the module.
    if (const auto reqid = number_of(topic_id)) drive(event(grant_failed{*reqid, std::move(answer).error(), true}));
    return;
  }
  const auto reqid = number_of(wire::reqid_of(*answer));
  if (!reqid) return;
  std::visit([&](auto& r) { answered(std::move(r), *reqid); }, *answer);
}

void uploader::answered(wire::storage_token_response r, std::uint64_t reqid) {
  const auto asked = asking_.find(reqid);
  if (asked == asking_.end() || asked->second.part_bytes != 0) return;
  const auto what = queue_.details(asked->second.id);
  asking_.erase(asked);
  if (!what) return;
  const auto refuse = [&](error why, bool malformed) { drive(event(grant_failed{reqid, std::move(why), malformed})); };
  if (r.failure) return refuse(std::move(*r.failure), false);
  const bool wants_get = what->operation == journal::operation::get;
  if ((r.operation == wire::blob_operation::get) != wants_get)
    return refuse(error(errc::unsupported, "this hub grants no downloads by name"), false);
  grant g;
  g.url = std::move(r.url);
  if (r.multifile) {
    auto url = url_beneath_prefix(g.url.reveal(), what->remote_name);
    if (!url) return refuse(std::move(url).error(), true);
    g.url = secret(std::move(*url));
  }
  if (!r.certificate_id.empty()) {
    if (auto good = check_certificate_id(r.certificate_id); !good) return refuse(std::move(good).error(), true);
  }
  for (auto& h : r.headers) g.fields.push_back({std::move(h.name), std::move(h.value)});
  g.expect = std::move(r.expect);
  g.grant_id = std::move(r.grant_id);
  g.certificate_id = std::move(r.certificate_id);
  // expiresAtMillis is the hub's wall clock, and a device's own is often wrong: only the relative form is used. A
  // grant that has expired shows as a 403, and a fresh one is asked for.
  g.expires_in = r.expires_in;
  g.offline = r.offline;
  g.create_only = r.create_only;
  if (r.plan) {
    plan p;
    p.part_bytes = r.plan->part_bytes;
    p.part_count = r.plan->part_count;
    p.parallel = r.plan->parallel;
    auto parts = checked_parts(std::move(r.plan->parts), p.part_bytes, p.part_count, what->size);
    if (!parts) return refuse(std::move(parts).error(), true);
    p.parts = std::move(*parts);
    g.plan = std::move(p);
  }
  drive(event(grant_received{reqid, std::move(g)}));
}

void uploader::answered(wire::grant_renew_response r, std::uint64_t reqid) {
  const auto node = asking_.extract(reqid);
  if (node.empty() || node.mapped().part_bytes == 0) return;
  const auto what = queue_.details(node.mapped().id);
  if (!what) return;
  if (r.failure) return drive(event(parts_failed{reqid, std::move(*r.failure)}));
  auto parts = checked_parts(std::move(r.parts), node.mapped().part_bytes, node.mapped().part_count, what->size);
  if (!parts) return drive(event(parts_failed{reqid, std::move(parts).error()}));
  drive(event(parts_received{reqid, std::move(*parts), r.expires_in}));
}

void uploader::answered(wire::certificate_response r, std::uint64_t reqid) {
  if (r.failure) return drive(event(certificate_failed{reqid, std::move(*r.failure)}));
  // Once for each new bundle, a few kilobytes: not worth a trip to the disk's thread.
  if (auto kept = certificates_.put(r.certificate_id, r.pem); !kept) {
    spdlog::error("certificate {}: {}", log_text(r.certificate_id), kept.error().message());
    return drive(event(certificate_failed{reqid, std::move(kept).error()}));
  }
  drive(event(certificate_received{std::move(r.certificate_id)}));
}

void uploader::answered(wire::transfer_report_response r, std::uint64_t reqid) {
  drive(event(report_answered{reqid, std::move(r.failure)}));
}

// ---- transfers ----

io::task<void> uploader::transfer(start_transfer t, journal::accepted what) {
  co_await asio::post(ex_, asio::use_awaitable);  // never inside the step that started it
  const unsigned part_number = t.part ? t.part->number : 0;
  transfer_result end;
  http::request r;
  auto trusted = trust_of(t.grant.certificate_id);
  if (!trusted) {
    drive(event(certificate_lost{t.grant.certificate_id}));
    end = failed(error(errc::unavailable, "the storage's certificate must be fetched again"));
  } else {
    r.url = t.part ? std::move(t.part->url) : std::move(t.grant.url);
    r.fields = t.part ? std::move(t.part->fields) : std::move(t.grant.fields);
    r.ca_pem = std::move(*trusted);
    r.via = options_.via;
    r.connect_timeout = options_.connect_timeout;
    r.stall_timeout = options_.stall_timeout;
    r.total_timeout = t.time_left;
    if (options_.bytes_per_second > 0)
      r.max_send_rate = std::max<std::uint64_t>(1, options_.bytes_per_second / options_.limits.transfers);
    r.hash_body = !t.grant.grant_id.empty() || !what.sha256.empty();
    progress_.begin(t.id, part_number, clock_.steady());
    if (what.operation == journal::operation::put) {
      auto sent = co_await put(std::move(r), std::move(what), std::move(t.part));
      end = std::move(sent);
    } else {
      auto received = co_await get(std::move(r), std::move(what));
      end = std::move(received);
    }
    progress_.end(t.id, part_number, end.bytes);
  }
  drive(event(transfer_finished{t.id, t.attempt, std::move(end), part_number}));
}

errno_result<opened_source> uploader::open_source(const journal::accepted& what) {
  if (!what.spooled) return files_.open_source(what.instance, what.path);
  auto fd = store_->open_spooled(what.id);
  if (!fd) return tl::unexpected(ENOENT);
  return look_at(*fd);
}

io::task<void> uploader::hash(operation_id id, journal::accepted what) {
  co_await asio::post(ex_, asio::use_awaitable);  // never inside the step that started it
  auto source = open_source(what);
  file_hashed end{id, {}};
  if (!source) {
    end.result = failed(errno_error(source.error(), "open the file"), source.error());
  } else if (!is_unchanged(*source, what)) {
    end.result = changed();
  } else {
    auto digest = co_await hash_of_file(disk_, source->fd, what.size);
    if (!digest)
      end.result = failed(std::move(digest).error());
    else if (!is_unchanged(look_at(source->fd), what))
      end.result = changed();
    else
      end.result.sha256 = std::move(*digest);
  }
  drive(event(std::move(end)));
}

io::task<transfer_result> uploader::put(http::request r, journal::accepted what, std::optional<part> only) {
  auto source = open_source(what);
  if (!source) co_return failed(errno_error(source.error(), "open the file"), source.error());
  if (!is_unchanged(*source, what)) co_return changed();
  r.method = "PUT";
  r.body = http::file_range{source->fd->get(), 0, what.size};
  if (only) {
    r.method = std::move(only->method);
    r.body = http::file_range{source->fd->get(), only->offset, only->length};
    r.body_prefix = std::move(only->body_prefix);
    r.body_suffix = std::move(only->body_suffix);
  }
  watch(r, what, only ? only->number : 0, 0);
  const auto around = r.body_prefix.size() + r.body_suffix.size();
  auto answer = co_await storage_.send(std::move(r));
  auto end = to_result(std::move(answer));
  if (end.failure) co_return end;
  if (!is_unchanged(look_at(source->fd), what)) co_return changed();
  // A storage may refuse before it has seen all: then what it says counts.
  const bool was_all_sent = end.bytes == what.size + around;
  const bool is_whole = !only && was_all_sent && !what.sha256.empty() && !end.sha256.empty();
  if (is_whole && end.sha256 != to_hex(what.sha256)) co_return changed();
  end.bytes -= std::min<std::uint64_t>(end.bytes, around);
  co_return end;
}

io::task<transfer_result> uploader::get(http::request r, journal::accepted what) {
  r.method = "GET";
  r.hash_body = false;
  int number = 0;
  auto target = files_.open_target(what.instance, what.path);
  if (!target) co_return failed(errno_error(target.error(), "open the target's folder"), target.error());
  auto file = download_file::open(std::move(target->folder), std::move(target->name), what.id, number);
  if (!file) co_return failed(std::move(file).error(), number);
  const auto present = file->present();
  r.max_response_bytes = options_.max_download_bytes - std::min(present, options_.max_download_bytes);
  file->ask(r);
  watch(r, what, 0, present);
  auto answer = co_await storage_.send(std::move(r));
  auto end = to_result(std::move(answer));
  if (end.failure) co_return end;  // what has arrived stays for the next attempt
  if (present > 0 && refuses_range(end.status)) {
    file->begin_anew();
    co_return failed(error(errc::unavailable, "the storage does not go on in the middle of the object"));
  }
  if (end.status < 200 || end.status > 299) co_return end;
  if (end.status == 206) {  // the object is whole now, as a 200 would have brought it
    end.status = 200;
    end.bytes += present;
  }
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
