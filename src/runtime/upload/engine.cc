// The upload engine's transitions: what each event means in each stage.
#include "runtime/upload/engine.h"

#include <algorithm>
#include <cerrno>

namespace evp::runtime::upload {

namespace {
// A hub may keep request ids as 32-bit numbers; the attributes GET owns 10000.
constexpr std::uint64_t first_reqid = 10'001;
constexpr std::uint64_t first_reqid_span = 1U << 30;
constexpr std::size_t max_storages = 64;

/// Else the object was there already, by a transfer whose answer was lost.
bool was_taken(const transfer_result& r) { return r.status < 300; }
}  // namespace

engine::engine(limits l, retry_policy p, std::uint64_t seed, std::set<std::string> certificates)
    : limits_(l), policy_(p), random_(seed), certificates_(std::move(certificates)) {
  // A restarted runtime must not reuse ids whose answers the hub may still remember.
  next_reqid_ = first_reqid + random_() % first_reqid_span;
}

actions engine::step(event e, steady_time now) {
  now_ = std::max(now_, now);
  out_.clear();
  std::visit([this](auto&& what) { on(std::move(what)); }, std::move(e));
  run_due_timers();
  start_what_fits();
  want_timer();
  return std::move(out_);
}

// ---- events ----

void engine::on(submitted e) {
  const auto [op, is_new] = operations_.try_emplace(e.id);
  if (!is_new) return;
  op->second.order = std::move(e.order);
  op->second.deadline = op->second.order.deadline;
  deadlines_.emplace(op->second.deadline, op->first);
  if (op->second.order.sent) {
    op->second.sent = op->second.order.sent->result;
    op->second.grant.grant_id = op->second.order.sent->grant_id;
    op->second.of_earlier_run = !was_taken(op->second.sent);
    begin_report(op);
  } else if (op->second.order.began) {
    auto& began = *op->second.order.began;
    op->second.grant.grant_id = began.grant_id;
    op->second.grant.certificate_id = began.certificate_id;
    op->second.grant.plan = began.plan;
    begin_parts(op);
    auto& p = *op->second.parts;
    for (const auto n : began.done) {
      if (n < 1 || n > p.done.size() || p.done[n - 1]) continue;
      p.done[n - 1] = true;
      ++p.done_count;
      const auto before = (n - 1) * p.plan.part_bytes;
      p.bytes += std::min(p.plan.part_bytes, began.file_bytes - std::min(before, began.file_bytes));
    }
    p.noted = true;
    move(op, stage::ready);
  } else if (op->second.order.own) {
    op->second.grant = *op->second.order.own;
    move(op, stage::ready);
  } else if (op->second.order.kept) {
    use_kept(op);
  } else {
    move(op, stage::waiting);
  }
}

void engine::on(grant_received e) {
  const auto op = find_request(e.reqid, stage::asking);
  if (op == operations_.end()) return;
  if (e.grant.url.empty() && !e.grant.plan) return end_with_errno(op, EINVAL, "the hub's answer holds no URL");
  op->second.grant = std::move(e.grant);
  op->second.tries_on_grant = 0;
  op->second.may_be_there = false;
  op->second.grant_expires.reset();
  if (op->second.grant.expires_in) op->second.grant_expires = now_ + *op->second.grant.expires_in;
  note_offline_answer(op->second);
  if (op->second.grant.offline) out_.push_back(note_grant{op->first, op->second.grant});
  if (op->second.grant.plan) begin_parts(op);
  move(op, stage::ready);  // start_what_fits() asks for the certificate if it lacks
  if (op->second.grant.offline && lacks_certificate(op->second)) want_certificate(op);  // the link may go before that
}

void engine::on(grant_failed e) {
  const auto op = find_request(e.reqid, stage::asking);
  if (op == operations_.end()) return;
  if (e.malformed) return end_with_errno(op, EINVAL, "the hub's answer can't be read: " + e.why.message());
  if (e.why.code() == errc::checksum_required && lacks_checksum(op)) return hash(op);
  if (op->second.asks_offline) return refuse_offline(op, e.why);
  if (is_temporary(e.why.code())) return back_off(op, e.why.retry_after());
  end_with_errno(op, EIO, "the hub refuses: " + e.why.message());
}

void engine::on(certificate_received e) {
  certificates_.insert(e.certificate_id);
  const auto wanted = wanted_certificates_.find(e.certificate_id);
  if (wanted == wanted_certificates_.end()) return;
  const auto waiting = std::move(wanted->second.waiting);
  wanted_certificates_.erase(wanted);
  for (const auto id : waiting) move(operations_.find(id), stage::ready);
}

void engine::on(certificate_failed e) {
  const auto wanted = std::find_if(wanted_certificates_.begin(), wanted_certificates_.end(),
                                   [&](const auto& w) { return w.second.reqid == e.reqid; });
  if (wanted == wanted_certificates_.end()) return;
  if (is_temporary(e.why.code())) {
    wanted->second.reqid = next_reqid_++;
    wanted->second.sends = 0;
    wanted->second.wake = now_ + wait_before_retry(policy_, ++wanted->second.failures, e.why.retry_after(), random_);
    return;
  }
  const auto waiting = std::move(wanted->second.waiting);
  wanted_certificates_.erase(wanted);
  for (const auto id : waiting)
    end_with_errno(operations_.find(id), EPERM, "no certificate for the storage: " + e.why.message());
}

void engine::on(certificate_lost e) { certificates_.erase(e.certificate_id); }

void engine::on(transfer_finished e) {
  const auto running = running_.find({e.id, e.part});
  if (running == running_.end() || running->second.attempt != e.attempt) return;
  auto& storage = storages_[running->second.storage];
  running_.erase(running);
  --storage.running;
  const auto op = operations_.find(e.id);
  if (op == operations_.end()) return note_answer(storage, judge(e.result, {}), e.result);  // ended meanwhile
  if (e.part != 0) return part_finished(op, std::move(e));

  const bool own = op->second.order.own.has_value();
  const auto found = judge(e.result, op->second.grant.expect);
  note_answer(storage, found, e.result);
  if (found == verdict::retry && is_poison(op, storage)) return fail_transfer(op, e.result, true);
  switch (found) {
    case verdict::success:
      op->second.sent = std::move(e.result);
      if (op->second.grant.grant_id.empty() || op->second.order.operation == wire::blob_operation::get) {
        const blob_outcome outcome{blob_outcome::kind::success, unsigned(op->second.sent.status), 0};
        if (!op->second.grant.grant_id.empty() && connected_)
          out_.push_back(send_report{op->first, next_reqid_++, op->second.grant.grant_id, true, op->second.sent});
        return end(op, outcome, {});
      }
      return begin_report(op);
    case verdict::retry:
      op->second.may_be_there = true;
      if (!own && connected_ && op->second.tries_on_grant >= policy_.tries_per_grant) {
        if (would_be_refused(op->second)) return ask_whether_it_arrived(op);
        abandon_grant(op, &e.result);
      }
      return back_off(op, e.result.retry_after);
    case verdict::fresh_grant:
      if (!own && ++op->second.grants_refused < policy_.grants_after_403) {
        if (would_be_refused(op->second)) return ask_whether_it_arrived(op);
        abandon_grant(op, &e.result);
        return back_off(op, e.result.retry_after);
      }
      [[fallthrough]];
    case verdict::final:
      if (!may_be_ours(op->second, e.result)) return fail_transfer(op, e.result);
      op->second.sent = std::move(e.result);
      return begin_report(op);  // the hub finds out whose object it is
  }
}

/// "There is such an object", to a transfer that may only create one, after an earlier one on the same grant whose
/// answer was lost.
bool engine::may_be_ours(const operation& o, const transfer_result& r) const {
  const bool exists = !r.failure && (r.status == 412 || r.status == 409);
  return exists && o.may_be_there && !o.grant.grant_id.empty() && o.order.operation == wire::blob_operation::put;
}

/// A transfer on another grant would be, by what this one may have created.
bool engine::would_be_refused(const operation& o) {
  const bool is_put = o.order.operation == wire::blob_operation::put;
  return is_put && o.grant.create_only && o.may_be_there && !o.grant.grant_id.empty();
}

void engine::ask_whether_it_arrived(operation_map::iterator op) {
  auto& o = op->second;
  o.sent = {};
  o.sent.status = 412;
  o.order.sent = sent_before{o.grant.grant_id, o.sent};
  o.of_earlier_run = true;
  begin_report(op);
}

void engine::ask_for_another_grant(operation_map::iterator op) {
  if (would_be_refused(op->second)) return ask_whether_it_arrived(op);
  move(op, stage::waiting);
}

/// What an answer says of the storage, whatever it says of the file.
void engine::note_answer(storage_state& s, verdict v, const transfer_result& r) {
  if (v == verdict::retry) return s.gate.failed(limits_.breaker, now_, random_);
  if (r.failure) return s.gate.learnt_nothing();  // a matter of this device, or of its trust
  if (v == verdict::success) ++s.successes;
  s.gate.answered(limits_.breaker, now_);
}

/// Its storage takes other files, and this one never.
bool engine::is_poison(operation_map::iterator op, const storage_state& s) {
  auto& o = op->second;
  if (o.storage_failures++ == 0) o.successes_before = s.successes;
  return o.storage_failures >= limits_.quarantine_after && s.successes > o.successes_before;
}

/// `not_before`: when to ask again, if the breaker says no; nothing where a place must become free first.
bool engine::may_start(operation_map::iterator op, std::optional<steady_time>& not_before) {
  auto& s = storages_[op->second.order.storage];
  not_before.reset();
  if (s.running >= limits_.transfers_per_storage) return false;
  not_before = s.gate.refuses(limits_.breaker, now_);
  return !not_before;
}

std::vector<std::string> engine::open_breakers() const {
  std::vector<std::string> out;
  for (const auto& [name, s] : storages_)
    if (s.gate.is_open()) out.push_back(name);
  return out;
}

void engine::fail_transfer(operation_map::iterator op, const transfer_result& why, bool quarantined) {
  const bool answered = !why.failure.has_value();
  const blob_outcome outcome{answered ? blob_outcome::kind::error_http : blob_outcome::kind::error,
                             answered ? unsigned(why.status) : 0, errno_of(why)};
  std::string message =
      answered ? "the storage answered HTTP status " + std::to_string(why.status) : why.failure->message();
  if (quarantined)
    message = "in quarantine after " + std::to_string(op->second.storage_failures) + " tries, the last: " + message;
  abandon_grant(op, &why);
  end(op, outcome, std::move(message), quarantined);
}

void engine::on(report_answered e) {
  const auto op = find_request(e.reqid, stage::reporting);
  if (op == operations_.end()) return;
  const auto status = op->second.sent.status;
  const bool taken = was_taken(op->second.sent);
  if (!e.failure) {
    const blob_outcome outcome{blob_outcome::kind::success, taken ? unsigned(status) : 200U, 0};
    return end(op, outcome, {});
  }
  const bool never_arrived = !is_temporary(e.failure->code()) && op->second.of_earlier_run;
  if (op->second.order.sent && (e.failure->code() == errc::not_found || never_arrived)) {
    // Or the hub has forgotten a grant of an earlier run: whether the file arrived, nobody can say any more.
    op->second.order.sent.reset();
    op->second.grant = {};
    op->second.of_earlier_run = false;
    return move(op, stage::waiting);
  }
  if (never_arrived) {
    // That run may have told the hub that it gave this grant up, and not have lived to remember.
    op->second.of_earlier_run = false;
    return move(op, stage::waiting);
  }
  if (!is_temporary(e.failure->code()) && !taken)
    return end(op, {blob_outcome::kind::error_http, unsigned(status), 0}, e.failure->message());
  if (!is_temporary(e.failure->code()))
    return end_with_errno(op, EIO, "the hub did not find the file as it was sent: " + e.failure->message());
  new_request(op);  // a new one: the hub may answer the old id from memory
  set_wake(op, now_ + wait_before_retry(policy_, ++op->second.failures, e.failure->retry_after(), random_));
}

void engine::on(connected) {
  connected_ = true;
  for (auto& [name, s] : storages_)
    if (!s.gives_offline) s.no_offline_before.reset();  // it may be another hub
  for (const auto& [reqid, id] : requests_) {
    const auto op = operations_.find(id);
    op->second.sends = 0;
    if (op->second.at == stage::asking) ask_again(op);
    if (op->second.at == stage::reporting) report(op);
    if (op->second.at == stage::in_parts) ask_parts_again(op);
  }
  for (auto& [id, wanted] : wanted_certificates_) {
    wanted.sends = 0;
    ask_certificate(id, wanted);
  }
}

void engine::on(disconnected) {
  connected_ = false;
  for (const auto& [reqid, id] : requests_) {
    const auto op = operations_.find(id);
    set_wake(op, std::nullopt);
    if (op->second.at != stage::in_parts) continue;
    op->second.parts->resend.reset();
    want_parts_wake(op);
  }
  for (auto& [id, wanted] : wanted_certificates_) wanted.wake.reset();
}

// ---- time ----

void engine::run_due_timers() {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_)
    end_with_errno(operations_.find(deadlines_.begin()->second), ETIMEDOUT, "not finished within its deadline");
  while (!wakes_.empty() && wakes_.begin()->first <= now_) wake_up(operations_.find(wakes_.begin()->second));
  for (auto& [id, wanted] : wanted_certificates_)
    if (wanted.wake && *wanted.wake <= now_) ask_certificate(id, wanted);
}

void engine::wake_up(operation_map::iterator op) {
  set_wake(op, std::nullopt);
  switch (op->second.at) {
    case stage::asking:
      if (op->second.sends >= limits_.sends_per_request) return back_off(op, std::nullopt);
      return ask_again(op);
    case stage::reporting: return report(op);
    case stage::in_parts: {
      auto& p = *op->second.parts;
      if (p.resend && *p.resend <= now_) ask_parts_again(op);
      if (p.pause_until && *p.pause_until <= now_) p.pause_until.reset();
      return want_parts_wake(op);
    }
    case stage::backing_off: return usable_grant(op->second) ? move(op, stage::ready) : ask_for_another_grant(op);
    default: return;  // the other stages set no wake
  }
}

void engine::start_what_fits() {
  // Large files leave room for small ones, and small ones leave one place for a large one.
  const auto places = [this] {
    return limits_.transfers > 1 && !in_parts_.empty() ? limits_.transfers - 1 : limits_.transfers;
  };
  for (auto next = ready_.begin(); next != ready_.end() && running_.size() < places();) {
    const auto op = operations_.find(*next++);  // it leaves the set, or stays and waits for a place at its storage
    std::optional<steady_time> not_before;
    if (!usable_grant(op->second)) {
      ask_for_another_grant(op);  // it expired in the queue
    } else if (lacks_certificate(op->second)) {
      want_certificate(op);
    } else if (op->second.parts) {
      move(op, stage::in_parts);
    } else if (may_start(op, not_before)) {
      begin_transfer(op);
    } else if (not_before) {
      move(op, stage::backing_off);
      set_wake(op, not_before);
    }
  }
  for (auto next = in_parts_.begin(); next != in_parts_.end();) {
    const auto op = operations_.find(*next++);  // it may leave the set
    start_parts(op);
  }
  while (connected_ && !waiting_.empty() && ahead_ < limits_.asked_ahead) {
    const auto op = operations_.find(*waiting_.begin());
    ask(op, op->second.stalled && may_ask_offline(op->second));
  }
  ask_offline_ahead();
  if (storages_.size() > max_storages)  // their number is bounded by what is in the engine, not by what ever was
    std::erase_if(storages_, [](const auto& s) { return s.second.running == 0 && s.second.gate.is_new(); });
}

void engine::want_timer() {
  std::optional<steady_time> first;
  const auto consider = [&](steady_time t) { first = first ? std::min(*first, t) : t; };
  if (!wakes_.empty()) consider(wakes_.begin()->first);
  if (!deadlines_.empty()) consider(deadlines_.begin()->first);
  for (const auto& [id, wanted] : wanted_certificates_)
    if (wanted.wake) consider(*wanted.wake);
  if (first == timer_) return;
  timer_ = first;
  out_.push_back(set_timer{first});
}

// ---- what operations do ----

void engine::ask(operation_map::iterator op, bool offline) {
  op->second.asks_offline = offline;
  if (offline) storages_[op->second.order.storage].offline_probe = op->first;
  const auto storage = storages_.find(op->second.order.storage);
  if (storage != storages_.end() && storage->second.wants_checksum && lacks_checksum(op)) return hash(op);
  move(op, stage::asking);
  new_request(op);
  ask_again(op);
}

void engine::ask_again(operation_map::iterator op) {
  out_.push_back(request_grant{op->first, op->second.reqid, op->second.asks_offline});
  set_wake(op, now_ + resend_wait(++op->second.sends));
}

void engine::want_certificate(operation_map::iterator op) {
  move(op, stage::certificate);
  const auto [wanted, is_new] = wanted_certificates_.try_emplace(op->second.grant.certificate_id);
  wanted->second.waiting.insert(op->first);
  if (!is_new) return;
  wanted->second.reqid = next_reqid_++;
  ask_certificate(wanted->first, wanted->second);
}

void engine::ask_certificate(const std::string& id, wanted_certificate& w) {
  w.wake.reset();
  if (!connected_) return;  // asked on reconnect
  out_.push_back(request_certificate{w.reqid, id});
  w.wake = now_ + resend_wait(++w.sends);
}

void engine::begin_transfer(operation_map::iterator op) {
  move(op, stage::transferring);
  ++op->second.tries_on_grant;
  ++storages_[op->second.order.storage].running;
  running_.emplace(std::pair(op->first, 0U), running_transfer{++op->second.attempt, op->second.order.storage});
  const auto left = std::chrono::ceil<milliseconds>(op->second.deadline - now_);
  const auto& g = op->second.grant;
  if (g.create_only && !g.grant_id.empty()) {
    transfer_result refused;
    refused.status = 412;
    out_.push_back(note_sent{op->first, g.grant_id, std::move(refused)});
  }
  out_.push_back(start_transfer{op->first, op->second.attempt, g, left, std::nullopt});
}

void engine::begin_report(operation_map::iterator op) {
  out_.push_back(note_sent{op->first, op->second.grant.grant_id, op->second.sent});
  move(op, stage::reporting);
  op->second.failures = 0;
  new_request(op);
  report(op);
}

void engine::report(operation_map::iterator op) {
  set_wake(op, std::nullopt);
  if (!connected_) return;  // sent on reconnect
  out_.push_back(send_report{op->first, op->second.reqid, op->second.grant.grant_id, true, op->second.sent});
  set_wake(op, now_ + resend_wait(++op->second.sends));
}

void engine::back_off(operation_map::iterator op, std::optional<milliseconds> retry_after) {
  move(op, stage::backing_off);
  set_wake(op, now_ + wait_before_retry(policy_, ++op->second.failures, retry_after, random_));
}

void engine::abandon_grant(operation_map::iterator op, const transfer_result* why) {
  auto& grant = op->second.grant;
  if (!grant.grant_id.empty() && connected_)  // so that the hub's ledger shows why; nobody waits for the answer
    out_.push_back(send_report{op->first, next_reqid_++, grant.grant_id, false, *why});
  forget_offline(op);
  grant = {};
  op->second.stalled = true;
  op->second.of_earlier_run = false;
  op->second.parts.reset();
}

void engine::end(operation_map::iterator op, blob_outcome outcome, std::string message, bool quarantined) {
  out_.push_back(finish{op->first, outcome, std::move(message), quarantined});
  op->second.grant = {};
  move(op, stage::transferring);  // leaves every queue and count
  deadlines_.erase({op->second.deadline, op->first});
  operations_.erase(op);
}

void engine::end_with_errno(operation_map::iterator op, int number, std::string message) {
  end(op, blob_outcome{blob_outcome::kind::error, 0, number}, std::move(message));
}

// ---- bookkeeping ----

void engine::move(operation_map::iterator op, stage to) {
  operation& o = op->second;
  if (o.at == stage::certificate) {
    // Whatever has become of its grant meanwhile: nobody else may be moved when the certificate comes.
    for (auto w = wanted_certificates_.begin(); w != wanted_certificates_.end();) {
      const bool was_last = w->second.waiting.erase(op->first) > 0 && w->second.waiting.empty();
      w = was_last ? wanted_certificates_.erase(w) : std::next(w);
    }
  }
  if (o.at == stage::ready) ready_.erase(op->first);
  if (o.at == stage::waiting) waiting_.erase(op->first);
  if (o.at == stage::in_parts) in_parts_.erase(op->first);
  if (o.reqid != 0) requests_.erase(std::exchange(o.reqid, 0));
  set_wake(op, std::nullopt);
  o.at = to;
  if (to != stage::hashing && to != stage::asking) o.asks_offline = false;
  if (to == stage::waiting) {
    if (!o.grant.url.empty()) o.stalled = true;
    forget_offline(op);
    waiting_.insert(op->first);
  }
  if (to == stage::ready) ready_.insert(op->first);
  if (to == stage::in_parts) in_parts_.insert(op->first);
  if (o.counted == share::ahead) --ahead_;
  if (o.counted == share::offline) --offline_;
  o.counted = share_of(o);
  if (o.counted == share::ahead) ++ahead_;
  if (o.counted == share::offline) ++offline_;
}

/// Of the stage that it is in.
engine::share engine::share_of(const operation& o) {
  switch (o.at) {
    case stage::hashing:
    case stage::asking: return o.asks_offline ? share::offline : share::ahead;
    case stage::certificate:
    case stage::ready: return o.order.own ? share::none : o.grant.offline ? share::offline : share::ahead;
    case stage::transferring:
    case stage::backing_off: return o.grant.offline ? share::offline : share::none;
    default: return share::none;
  }
}

void engine::set_wake(operation_map::iterator op, std::optional<steady_time> at) {
  auto& wake = op->second.wake;
  if (wake) wakes_.erase({*wake, op->first});
  wake = at;
  if (wake) wakes_.emplace(*wake, op->first);
}

engine::operation_map::iterator engine::find_request(std::uint64_t reqid, stage at) {
  const auto request = requests_.find(reqid);
  if (request == requests_.end()) return operations_.end();
  const auto op = operations_.find(request->second);
  return op != operations_.end() && op->second.at == at ? op : operations_.end();
}

void engine::new_request(operation_map::iterator op) {
  if (op->second.reqid != 0) requests_.erase(op->second.reqid);
  op->second.reqid = next_reqid_++;
  op->second.sends = 0;
  requests_.emplace(op->second.reqid, op->first);
}

milliseconds engine::resend_wait(unsigned sends) const {
  return std::min(limits_.resend_max, limits_.resend_first * (std::int64_t{1} << std::min(sends - 1, 20U)));
}

bool engine::usable_grant(const operation& op) const {
  if (op.order.own || op.parts) return true;  // parts that expire are asked for anew
  if (op.grant.url.empty()) return false;
  // A grant that lives shorter than the margin is begun while it lives at all.
  const auto margin = std::min(limits_.expiry_margin, op.grant.expires_in.value_or(limits_.expiry_margin) / 2);
  return !op.grant_expires || now_ + margin < *op.grant_expires;
}

}  // namespace evp::runtime::upload
