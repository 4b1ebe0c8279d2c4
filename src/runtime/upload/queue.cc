// The durable queue: how operations are accepted, wait, end and are forgotten. What is written, and when:
// queue_writes.cc.
#include "runtime/upload/queue.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/encoding.h"

namespace evp::runtime::upload {

namespace {

// A wall clock before this has not been set: what it says about how long ago something was is worth nothing.
constexpr std::int64_t clock_is_set_ms = 1'704'067'200'000;  // 2024-01-01

// A spooled file beyond this is not left lying until something else is synced.
constexpr std::uint64_t lazily_dropped_bytes = 1 << 20;

constexpr milliseconds longest_nap{600'000};

/// What tells one storage from another.
std::string storage_of(const journal::accepted& what) {
  return (what.own.empty() ? what.named ? "=" : "" : "url ") + what.storage;
}

std::int64_t to_ms(steady_time t) { return std::chrono::ceil<milliseconds>(t.time_since_epoch()).count(); }
steady_time to_steady(std::int64_t ms) { return steady_time(milliseconds(ms)); }

journal::outcome_kind to_journal(blob_outcome::kind k) { return journal::outcome_kind(int(k)); }
blob_outcome to_outcome(const journal::ended& e) {
  return {blob_outcome::kind(int(e.result)), e.http_status, int(e.error)};
}

}  // namespace

queue::queue(parts p)
    : limits_(p.queue),
      offline_grants_(p.engine.offline_grants),
      open_own_(std::move(p.open_own)),
      seal_kept_(std::move(p.seal_kept)),
      open_kept_(std::move(p.open_kept)),
      engine_(p.engine, p.retry, p.seed, std::move(p.certificates)),
      random_(p.seed + 1) {
  lanes_.resize(1);  // the first one is shared by the storages beyond the bound
  lanes_[0].needs_hub = false;
}

queue::~queue() = default;

queue_actions queue::step(queue_event e, times now) {
  now.steady = std::max(now.steady, now_.steady);
  now_ = now;
  out_.clear();
  std::visit([this](auto&& what) { on(std::move(what)); }, std::move(e));
  run_connecting();
  run_deadlines();
  activate_what_fits();
  flush();
  want_timer();
  return std::move(out_);
}

// ---- accepting ----

void queue::on(offered e) {
  if (auto why = refusal(e)) {
    ++counters_.refused;
    out_.push_back(answer{e.asker, fail(std::move(*why))});
    return;
  }
  const auto id = next_id_++;
  e.what.id = id;
  e.what.accepted_ms = wall_ms();
  e.what.deadline_ms = e.what.accepted_ms + limits_.deadline.count();
  auto& x = add(e.what);
  x.ticket = e.asker.ticket;
  x.life = e.asker.life;
  x.deadline_ms = to_ms(now_.steady + limits_.deadline);
  if (!x.spooled) return accepted_now(id);
  out_.push_back(prepare{id, e.asker});
}

std::optional<error> queue::refusal(const offered& e) {
  const auto& what = e.what;
  if (no_write_before_) return error(errc::unavailable, "the runtime cannot write its queue now: is the disk full?");
  if (what.size > limits_.bytes || (what.spooled && what.size > limits_.spool_bytes))
    return error(errc::too_large, "the file is larger than the runtime's whole queue may be");
  const auto known = instances_.find(what.instance);
  if (known != instances_.end() && known->second->live >= limits_.files_per_instance)
    return error(errc::rate_limited, "instance " + what.instance + " has " + std::to_string(known->second->live) +
                                         " file operations under way: wait for one to end");
  if (!make_room(what)) return error(errc::rate_limited, "the runtime's queue is full: wait for operations to end");
  return std::nullopt;
}

/// Drops waiting operations as the policy says until this one has room. False: not enough may be dropped, none is.
bool queue::make_room(const journal::accepted& what) {
  const auto over = [](std::uint64_t have, std::uint64_t more, std::uint64_t limit) {
    return have + more > limit ? have + more - limit : 0;
  };
  std::uint64_t files = over(live_files_, 1, limits_.files), bytes = over(live_file_bytes_, what.size, limits_.bytes);
  std::uint64_t spooled = what.spooled ? over(spooled_bytes_, what.size, limits_.spool_bytes) : 0;
  if (files + bytes + spooled == 0) return true;
  if (limits_.policy == when_full::refuse) return false;

  const bool by_priority = limits_.policy == when_full::drop_lowest_priority;
  std::vector<std::pair<journal::priority, operation_id>> candidates;
  for (const auto& [id, x] : entries_) {
    if (x.at != state::waiting || (by_priority && x.priority > what.priority)) continue;
    candidates.emplace_back(by_priority ? x.priority : journal::priority::low, id);
  }
  std::sort(candidates.begin(), candidates.end());
  std::vector<operation_id> victims;
  for (const auto& [p, id] : candidates) {
    if (files + bytes + spooled == 0) break;
    const auto d = *details(id);
    if (files + bytes == 0 && !d.spooled) continue;  // would not help
    victims.push_back(id);
    files -= std::min<std::uint64_t>(files, 1);
    bytes -= std::min(bytes, d.size);
    if (d.spooled) spooled -= std::min(spooled, d.size);
  }
  if (files + bytes + spooled > 0) return false;
  for (const auto id : victims) {
    ++counters_.dropped;
    leave_lane(entries_.at(id));
    end(id, {blob_outcome::kind::error, 0, ENOBUFS}, "dropped: the queue is full and newer files take its place");
  }
  return true;
}

queue::entry& queue::add(const journal::accepted& what) {
  const auto bytes = journal::encode(what);
  entry& x = entries_[what.id];
  x.packed = std::make_unique_for_overwrite<char[]>(bytes.size());
  std::memcpy(x.packed.get(), bytes.data(), bytes.size());
  packed_bytes_ += bytes.size();
  x.instance = &instance_of(what.instance);
  ++x.instance->entries;
  ++x.instance->live;
  x.priority = what.priority;
  x.acknowledges = what.acknowledges;
  x.spooled = what.spooled;
  x.lane = lane_of(what);
  ++lanes_[x.lane].live;
  ++live_files_;
  live_file_bytes_ += what.size;
  if (what.spooled) spooled_bytes_ += what.size;
  return x;
}

void queue::on(prepared e) {
  const auto found = entries_.find(e.id);
  if (found == entries_.end() || found->second.at != state::preparing) return;
  if (e.failure) return give_up_accepting(e.id, *e.failure);
  if (!e.sha256.empty()) {
    auto d = *details(e.id);
    d.sha256 = std::move(e.sha256);
    repack(found->second, d);
  }
  accepted_now(e.id);
}

void queue::accepted_now(operation_id id) {
  auto& x = entries_.at(id);
  x.at = state::accepting;
  pending_.records += packed(x);
  pending_.sync = true;
  pending_.accepts.push_back(id);
}

/// Nothing was promised yet: the operation was never there.
void queue::give_up_accepting(operation_id id, const error& why) {
  const auto& x = entries_.at(id);
  out_.push_back(answer{{x.life, x.ticket}, fail(why)});
  if (x.spooled) out_.push_back(drop_spooled{id});
  subtract(id);
  settle(id);
  erase(id);
}

// ---- waiting, and on to the engine ----

void queue::enqueue(operation_id id, entry& x) {
  x.at = state::waiting;
  lane& l = lanes_[x.lane];
  purge(l);
  l.waiting[int(x.priority)].push_back(id);
  ++l.waiting_count;
  deadlines_.emplace_back(x.deadline_ms, id);
  std::push_heap(deadlines_.begin(), deadlines_.end(), std::greater<>());
}

void queue::leave_lane(const entry& x) { --lanes_[x.lane].waiting_count; }

/// Ids of the dead must not pile up behind a head that never moves.
void queue::purge(lane& l) {
  const auto is_dead = [this](operation_id id) {
    const auto found = entries_.find(id);
    return found == entries_.end() || found->second.at != state::waiting;
  };
  const auto queued = l.waiting[0].size() + l.waiting[1].size() + l.waiting[2].size();
  if (queued > 64 && queued > 2 * l.waiting_count)
    for (auto& w : l.waiting) std::erase_if(w, is_dead);
  if (deadlines_.size() > 64 && deadlines_.size() > 2 * entries_.size()) {
    std::erase_if(deadlines_, [&](const auto& d) { return is_dead(d.second); });
    std::make_heap(deadlines_.begin(), deadlines_.end(), std::greater<>());
  }
}

void queue::activate_what_fits() {
  if (!connected_) activate_kept();
  while (activate_one()) {}
}

bool queue::activate_one() {
  lane* best = nullptr;
  std::pair<std::int64_t, operation_id> rank;  // the smallest goes first
  int best_priority = 0;
  for (auto& l : lanes_) {
    if (l.waiting_count == 0 || is_full(l) || (l.needs_hub && !connected_)) continue;
    for (int p = 2; p >= 0; --p) {
      auto& w = l.waiting[p];
      while (!w.empty() && !is_waiting(w.front())) w.pop_front();
      if (w.empty() || !may_begin(journal::priority(p))) continue;
      // As if it had come earlier: so a low priority, too, is the first one day.
      const std::pair mine(entries_.at(w.front()).deadline_ms - p * limits_.ageing.count(), w.front());
      if (!best || mine < rank) best = &l, rank = mine, best_priority = p;
    }
  }
  if (!best) return false;
  best->waiting[best_priority].pop_front();
  activate(rank.second);
  return true;
}

bool queue::may_begin(journal::priority p) const {
  return p == journal::priority::high || (!limits_.metered && limits_.windows.is_open(now_.wall));
}

bool queue::is_waiting(operation_id id) const {
  const auto found = entries_.find(id);
  return found != entries_.end() && found->second.at == state::waiting;
}

void queue::activate(operation_id id) {
  auto& x = entries_.at(id);
  leave_lane(x);
  const auto what = *details(id);
  order o;
  o.operation = what.operation == journal::operation::put ? wire::blob_operation::put : wire::blob_operation::get;
  o.deadline = to_steady(x.deadline_ms);
  o.storage = storage_of(what);
  o.has_checksum = !what.sha256.empty();
  if (!what.own.empty()) {
    auto own = open_own_(what);
    if (!own) return end(id, {blob_outcome::kind::error, 0, EINVAL}, own.error().message());
    o.own = std::move(*own);
  }
  if (const auto s = sent_.find(id); s != sent_.end()) {
    o.sent.emplace();
    o.sent->grant_id = s->second.what.grant_id;
    o.sent->result.status = s->second.what.status;
    o.sent->result.bytes = s->second.what.bytes;
    o.sent->result.sha256 = s->second.what.sha256;
  }
  if (const auto p = plans_.find(id); p != plans_.end() && !o.sent) {
    const auto& begun = p->second.what;
    o.began.emplace();
    o.began->grant_id = begun.grant_id;
    o.began->certificate_id = begun.certificate_id;
    o.began->plan.part_bytes = begun.part_bytes;
    o.began->plan.part_count = begun.part_count;
    o.began->plan.parallel = begun.parallel;
    o.began->file_bytes = what.size;
    for (const auto& part : p->second.parts) o.began->done.push_back(part.number);
  }
  if (!o.sent && !o.began) o.kept = take_kept(id);
  x.at = state::active;
  ++lanes_[x.lane].active;
  drive_engine(submitted{id, std::move(o)});
}

void queue::on(event e) {
  if (std::holds_alternative<connected>(e)) {
    const bool was_outage = away_since_ && now_.steady - *away_since_ >= limits_.outage;
    away_since_.reset();
    const auto most = was_outage ? limits_.reconnect_jitter.count() : 0;
    connect_at_ = now_.steady + milliseconds(std::uniform_int_distribution<std::int64_t>(0, most)(random_));
    return;
  }
  if (std::holds_alternative<disconnected>(e)) {
    if (!away_since_) away_since_ = now_.steady;
    connect_at_.reset();
    if (!std::exchange(connected_, false)) return;
  }
  if (const auto* hashed = std::get_if<file_hashed>(&e)) keep_checksum(*hashed);
  drive_engine(std::move(e));
}

/// For this run: what was accepted says nothing of the bytes, so the next run computes it anew.
void queue::keep_checksum(const file_hashed& e) {
  const auto found = entries_.find(e.id);
  const auto digest = from_hex(e.result.sha256);
  if (found == entries_.end() || found->second.at != state::active || e.result.failure || !digest) return;
  auto d = *details(e.id);
  d.sha256 = *digest;
  repack(found->second, d);
}

void queue::run_connecting() {
  if (!connect_at_ || now_.steady < *connect_at_) return;
  connect_at_.reset();
  connected_ = true;
  drive_engine(connected{});
}

void queue::drive_engine(event e) {
  for (auto& a : engine_.step(std::move(e), now_.steady)) std::visit([this](auto& what) { take(what); }, a);
}

void queue::take(note_plan& a) {
  journal::plan_begun b;
  b.id = a.id;
  b.part_bytes = a.plan.plan.part_bytes;
  b.part_count = a.plan.plan.part_count;
  b.parallel = a.plan.plan.parallel;
  b.grant_id = std::move(a.plan.grant_id);
  b.certificate_id = std::move(a.plan.certificate_id);
  record(b, false);  // the first part's record makes it durable
  plans_.insert_or_assign(a.id, begun_plan{std::move(b), {}});
}

void queue::take(note_part& a) {
  const auto found = plans_.find(a.id);
  if (found == plans_.end() || found->second.what.grant_id != a.grant_id) return;
  journal::part_sent p{a.id, a.number, from_hex(a.sha256).value_or("")};
  record(p, true);
  found->second.parts.push_back(std::move(p));
}

void queue::take(finish& a) {
  const auto found = entries_.find(a.id);
  if (found == entries_.end() || found->second.at != state::active) return;
  --lanes_[found->second.lane].active;
  end(a.id, a.outcome, std::move(a.message), a.quarantined);
}

// ---- ending ----

void queue::end(operation_id id, blob_outcome outcome, std::string message, bool quarantined) {
  auto& x = entries_.at(id);
  x.at = state::ending;
  plans_.erase(id);
  let_kept_go(id);
  if (const auto s = sent_.find(id); s != sent_.end()) s->second.held.reset();
  if (quarantined) ++counters_.quarantined;
  subtract(id);
  ++(outcome.result == blob_outcome::kind::success ? counters_.succeeded : counters_.failed);
  journal::ended e{id,
                   to_journal(outcome.result),
                   std::uint16_t(outcome.http_status),
                   std::uint16_t(outcome.error),
                   wall_ms(),
                   quarantined,
                   message};
  out_.push_back(note_end{id, outcome, x.instance->name, std::move(message)});

  const auto s = sent_.find(id);
  // A success that the hub has confirmed comes out the same when the report is made again after a power cut; a module
  // that would hear it twice gets it only when it is durable.
  const bool may_be_told_first = outcome.result == blob_outcome::kind::success && !x.acknowledges && s != sent_.end() &&
                                 s->second.durable && (!x.spooled || details(id)->size <= lazily_dropped_bytes);
  record(e, !may_be_told_first);
  ended_.insert_or_assign(id, std::move(e));
  if (may_be_told_first) {
    if (x.spooled) pending_.drops.push_back(id);
    ended_now(id);
  } else {
    pending_.ends.push_back(id);
  }
}

/// The outcome is durable, or as good as that.
void queue::ended_now(operation_id id) {
  auto& x = entries_.at(id);
  x.at = state::ended;
  settle(id);
  ++x.instance->kept;
  hear(id, x);
}

void queue::hear(operation_id id, entry& x) {
  const auto& outcome = ended_.at(id);
  if (x.life == 0 && x.acknowledges && x.instance->listener != 0) {
    x.life = x.instance->listener;
    x.told = true;
    out_.push_back(tell_earlier{x.life, *details(id), outcome});
  } else if (x.life != 0 && !x.told) {
    x.told = true;
    out_.push_back(tell{{x.life, x.ticket}, id, to_outcome(outcome)});
  }
  if (!x.acknowledges) return forget(id);
  if (x.instance->kept > limits_.kept_outcomes) forget_oldest(*x.instance);
}

void queue::forget_oldest(const instance_info& of) {
  operation_id oldest = 0;
  for (const auto& [id, e] : ended_) {
    const auto& x = entries_.at(id);
    if (x.instance == &of && x.at == state::ended && (oldest == 0 || id < oldest)) oldest = id;
  }
  ++counters_.lost_outcomes;
  forget(oldest);
}

void queue::on(acknowledged e) {
  const auto found = entries_.find(e.id);
  if (found == entries_.end() || found->second.at != state::ended || found->second.instance->name != e.instance) return;
  forget(e.id);
}

void queue::on(wants_outcomes e) {
  auto& i = instance_of(e.instance);
  i.listener = e.life;
  std::vector<operation_id> ids;
  for (const auto& [id, x] : entries_)
    if (x.instance == &i && x.at == state::ended && x.life == 0) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  for (const auto id : ids) hear(id, entries_.at(id));
}

void queue::on(life_ended e) {
  for (auto& [id, x] : entries_) {
    if (x.life != e.life) continue;
    x.life = 0;
    x.told = false;
  }
  const auto i = instances_.find(e.instance);
  if (i == instances_.end()) return;
  if (i->second->listener == e.life) i->second->listener = 0;
  if (i->second->entries == 0 && i->second->listener == 0) instances_.erase(i);
}

void queue::on(instance_removed e) {
  std::vector<operation_id> ids;
  for (const auto& [id, x] : entries_)
    if (x.at == state::ended && x.instance->name == e.instance) ids.push_back(id);
  for (const auto id : ids) forget(id);
}

void queue::forget(operation_id id) {
  record(journal::forgotten{id}, false);
  erase(id);
}

void queue::erase(operation_id id) {
  const auto found = entries_.find(id);
  auto* i = found->second.instance;
  if (found->second.at == state::ended) --i->kept;
  packed_bytes_ -= packed(found->second).size();
  entries_.erase(found);
  ended_.erase(id);
  sent_.erase(id);
  if (--i->entries == 0 && i->listener == 0) instances_.erase(i->name);
}

/// It does not count towards the queue's bounds any more.
void queue::subtract(operation_id id) {
  const auto d = *details(id);
  --lanes_[entries_.at(id).lane].live;
  --live_files_;
  live_file_bytes_ -= d.size;
  if (d.spooled) spooled_bytes_ -= d.size;
}

/// Its instance has one operation less.
void queue::settle(operation_id id) {
  auto* i = entries_.at(id).instance;
  if (--i->live == 0) out_.push_back(drained{i->name});
}

// ---- what an earlier run has left ----

void queue::on(recovered e) {
  std::map<operation_id, journal::accepted> found;
  for (auto& r : e.records) {
    if (auto* a = std::get_if<journal::accepted>(&r)) {
      next_id_ = std::max(next_id_, a->id + 1);
      found.insert_or_assign(a->id, std::move(*a));
    } else if (auto* s = std::get_if<journal::sent>(&r)) {
      let_kept_go(s->id);
      sent_.insert_or_assign(s->id, sent_file{std::move(*s), true});
    } else if (auto* k = std::get_if<journal::grant_kept>(&r)) {
      recover_kept(std::move(*k));
    } else if (auto* b = std::get_if<journal::plan_begun>(&r)) {
      const bool usable = b->part_count >= 1 && b->part_count <= wire::max_plan_parts && b->parallel >= 1;
      if (usable) plans_.insert_or_assign(b->id, begun_plan{std::move(*b), {}});
    } else if (auto* part = std::get_if<journal::part_sent>(&r)) {
      if (const auto p = plans_.find(part->id); p != plans_.end()) p->second.parts.push_back(std::move(*part));
    } else if (auto* end = std::get_if<journal::ended>(&r)) {
      ended_.insert_or_assign(end->id, std::move(*end));
    } else if (const auto* f = std::get_if<journal::forgotten>(&r)) {
      found.erase(f->id);
    } else if (const auto* n = std::get_if<journal::next_id>(&r)) {
      next_id_ = std::max(next_id_, n->id);
    }
  }
  std::erase_if(sent_, [&](const auto& s) { return !found.contains(s.first); });
  std::erase_if(ended_, [&](const auto& x) { return !found.contains(x.first); });
  std::erase_if(plans_, [&](const auto& p) { return !found.contains(p.first) || ended_.contains(p.first); });
  std::vector<operation_id> stale;
  for (const auto& [id, k] : kept_)
    if (!found.contains(id) || ended_.contains(id)) stale.push_back(id);
  for (const auto id : stale) let_kept_go(id);
  for (const auto& [id, what] : found) {
    auto& x = add(what);
    x.deadline_ms = to_ms(deadline_after_restart(what));
    if (!ended_.contains(id)) {
      enqueue(id, x);
      continue;
    }
    subtract(id);
    ended_now(id);
  }
}

steady_time queue::deadline_after_restart(const journal::accepted& r) const {
  const milliseconds full = std::clamp(milliseconds(r.deadline_ms - r.accepted_ms), milliseconds(0), limits_.deadline);
  return now_.steady + std::max(milliseconds(0), full - gone_since(r.accepted_ms));
}

/// As far as a wall clock can tell that may not have been set, or have gone back.
milliseconds queue::gone_since(std::int64_t then_ms) const {
  if (then_ms < clock_is_set_ms) return milliseconds(0);
  return milliseconds(std::max<std::int64_t>(0, wall_ms() - then_ms));
}

// ---- time ----

void queue::run_deadlines() {
  const auto now_ms = to_ms(now_.steady);
  for (const auto* next = next_deadline(); next && next->first <= now_ms; next = next_deadline()) {
    const auto id = next->second;
    leave_lane(entries_.at(id));
    end(id, {blob_outcome::kind::error, 0, ETIMEDOUT}, "not finished within its deadline");
  }
}

/// The earliest deadline of those that wait: an operation in the engine has its own there.
const std::pair<std::int64_t, operation_id>* queue::next_deadline() {
  while (!deadlines_.empty() && !is_waiting(deadlines_.front().second)) {
    std::pop_heap(deadlines_.begin(), deadlines_.end(), std::greater<>());
    deadlines_.pop_back();
  }
  return deadlines_.empty() ? nullptr : &deadlines_.front();
}

void queue::want_timer() {
  auto first = engine_timer_;
  const auto consider = [&](steady_time t) { first = first ? std::min(*first, t) : t; };
  if (const auto* next = next_deadline()) consider(to_steady(next->first));
  if (connect_at_) consider(*connect_at_);
  // Windows are told by the wall clock, which may jump: it is looked at again now and then.
  if (!limits_.windows.is_open(now_.wall) && live_files_ > 0)
    consider(now_.steady + std::min(limits_.windows.until_open(now_.wall), longest_nap));
  if (no_write_before_ && !writing_) consider(*no_write_before_);
  if (first == timer_) return;
  timer_ = first;
  out_.push_back(set_timer{first});
}

// ---- look-ups ----

std::optional<journal::accepted> queue::details(operation_id id) const {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return std::nullopt;
  std::string_view bytes = packed(found->second);
  auto r = journal::take_record(bytes);
  return std::get<journal::accepted>(std::move(**r));  // our own bytes: they are whole
}

asker queue::asker_of(operation_id id) const {
  const auto found = entries_.find(id);
  const bool is_live = found != entries_.end() && found->second.at < state::ending;
  return is_live ? asker{found->second.life, found->second.ticket} : asker();
}

std::uint64_t queue::sent_in_parts(operation_id id) const {
  const auto plan = plans_.find(id);
  const auto what = plan == plans_.end() ? std::nullopt : details(id);
  if (!what) return 0;
  std::uint64_t sum = 0;
  for (const auto& p : plan->second.parts) {
    const auto offset = (p.number - 1) * plan->second.what.part_bytes;
    sum += std::min(plan->second.what.part_bytes, what->size - std::min(offset, what->size));
  }
  return sum;
}

std::vector<queue::storage_load> queue::storages() const {
  std::vector<storage_load> out;
  for (const auto& l : lanes_)
    if (l.live > 0) out.push_back({l.storage, l.waiting_count, l.active});
  return out;
}

bool queue::holds(const std::string& instance) const {
  const auto found = instances_.find(instance);
  return found != instances_.end() && found->second->live > 0;
}

bool queue::needs_spooled(operation_id id) const {
  const auto found = entries_.find(id);
  return found != entries_.end() && found->second.spooled && found->second.at != state::ended;
}

queue::instance_info& queue::instance_of(const std::string& name) {
  auto& i = instances_[name];
  if (!i) {
    i = std::make_unique<instance_info>();
    i->name = name;
  }
  return *i;
}

std::uint8_t queue::lane_of(const journal::accepted& what) {
  const std::string storage = storage_of(what);
  std::size_t unused = 0;
  for (std::size_t i = 1; i < lanes_.size(); ++i) {
    if (lanes_[i].storage == storage) return std::uint8_t(i);
    if (unused == 0 && lanes_[i].live == 0) unused = i;
  }
  if (unused == 0 && lanes_.size() >= limits_.storages) return 0;
  if (unused == 0) {
    unused = lanes_.size();
    lanes_.emplace_back();
  }
  lanes_[unused] = lane();
  lanes_[unused].storage = storage;
  lanes_[unused].needs_hub = what.own.empty();
  return std::uint8_t(unused);
}

}  // namespace evp::runtime::upload
