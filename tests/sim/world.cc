// The simulated world: time, the runtime's driver with crashes between any two actions, and the checks.
#include "world.h"

#include <cerrno>
#include <cstdio>

#include "base/crypto.h"

namespace evp::sim {

namespace {
using namespace std::chrono_literals;
using kind = blob_outcome::kind;

constexpr auto disturbed_time = 25s;
constexpr auto calm_time = 12min;  // every wait of the runtime is shorter

queue_limits bounds() {
  queue_limits l;
  l.files = 8;
  l.files_per_instance = 6;
  l.spool_bytes = 400;
  l.active_per_storage = 4;
  l.deadline = 30min;
  l.rewrite_bytes = 2048;
  l.write_retry_max = 8s;
  return l;
}
limits engine_bounds() {
  limits l;
  l.transfers = 2;
  l.asked_ahead = 2;
  l.offline_grants = 3;
  l.offline_pause = 20s;
  return l;
}
retry_policy policy() {
  retry_policy p;
  p.backoff_max = 20s;
  return p;
}
}  // namespace

std::string spool_name(operation_id id) { return std::to_string(id); }

verdict_of_world run(const scenario& s) { return world(s).run(); }

world::world(const scenario& s)
    : scenario_(s), random_(s.seed), wall_(std::chrono::sys_days(std::chrono::year(2026) / 11 / 22)) {
  const auto hook = [this](io::forgetful_disk::call c, const std::string& name) -> std::optional<error> {
    static constexpr const char* names[] = {"list", "read",   "create", "append",     "truncate",
                                            "sync", "rename", "remove", "sync folder"};
    say(std::string("disk: ") + names[int(c)] + " " + name);
    boundary();
    if (faulty(1)) {
      say("disk: an error");
      return errno_error(EIO, "disk");
    }
    return std::nullopt;
  };
  journal_disk_.before = spool_disk_.before = hook;
  const auto k = s.ignored;
  journal_disk_.ignores = [this, k](io::forgetful_disk::call c, const std::string& name) {
    if (c == io::forgetful_disk::call::sync_folder)
      return k == (opening_ ? sync_kind::recovered_folder : sync_kind::journal_folder);
    if (opening_) return k == sync_kind::recovered_journal;
    return k == (name.ends_with(".tmp") ? sync_kind::journal_rewrite : sync_kind::journal_append);
  };
  spool_disk_.ignores = [k](io::forgetful_disk::call c, const std::string&) {
    return k == (c == io::forgetful_disk::call::sync_folder ? sync_kind::spool_folder : sync_kind::spool_file);
  };
  modules_.push_back({"plain", false, 0});
  modules_.push_back({"keeps", true, 0});
}

verdict_of_world world::run() {
  boot();
  run_until(now_ + disturbed_time, [] { return false; });

  say("-- the faults stop");
  calm_ = true;
  crash_at_ = 0;
  journal_disk_.capacity_bytes = spool_disk_.capacity_bytes = 1 << 30;
  const auto quiet = [this] { return queue_ && queue_->live() == 0 && queue_->kept_outcomes() == 0; };
  for (int round = 0; round < 2; ++round) {
    if (!queue_) boot();
    hub_up_ = true;
    step(event(connected{}));
    for (auto& m : modules_)
      if (m.life == 0) start_module(m);
    run_until(now_ + calm_time, quiet);
    if (!quiet())
      violated("no progress after the faults stopped: " + std::to_string(queue_->live()) + " live, " +
               std::to_string(queue_->kept_outcomes()) + " not acknowledged");
    if (round == 0) {
      power_cut_ = true;
      crash();
    }
  }
  check_end();
  return std::move(verdict_);
}

// ---- time ----

void world::at(milliseconds from_now, std::function<void()> what) {
  agenda_.emplace(now_ + from_now, ++order_, std::move(what));
}

void world::later(milliseconds from_now, std::function<void()> what) {
  at(from_now, [this, boot = boots_, what = std::move(what)] {
    if (queue_ && boots_ == boot) what();
  });
}

void world::run_until(steady_time end, const std::function<bool()>& done) {
  if (!calm_) at(milliseconds(1), [this] { disturb(); });
  while (!agenda_.empty() && !done()) {
    const auto [when, number, what] = agenda_.top();
    if (when > end) break;
    agenda_.pop();
    wall_ += std::chrono::ceil<milliseconds>(std::max(when, now_) - now_);
    now_ = std::max(when, now_);
    try {
      what();
    } catch (const io::simulated_crash&) { crash(); }
  }
  if (!done()) {
    wall_ += std::chrono::ceil<milliseconds>(std::max(end, now_) - now_);
    now_ = std::max(end, now_);
  }
}

// ---- the runtime's life ----

void world::boot() {
  ++boots_;
  if (!calm_ && (scenario_.restless || chance(80))) {
    static constexpr int within[] = {15, 40, 300};  // soon after a boot is where two crashes meet
    crash_at_ = verdict_.boundaries + std::size_t(pick(1, within[pick(0, scenario_.restless ? 1 : 2)]));
    power_cut_ = chance(50);
  }
  queue::parts p;
  p.queue = bounds();
  p.queue.policy = when_full(scenario_.seed % 3);
  p.engine = engine_bounds();
  p.retry = policy();
  p.seed = random_();
  p.open_own = [](const journal::accepted& a) -> result<grant> {
    grant g;
    g.url = secret(a.own);
    return g;
  };
  p.seal_kept = [](operation_id id, const grant& g) { return std::to_string(id) + " " + g.url.reveal(); };
  p.open_kept = [this](operation_id id, std::string_view sealed) -> result<grant> {
    const auto whose = std::to_string(id) + " ";
    if (!sealed.starts_with(whose)) violated("a grant is kept for another operation");
    grant g;
    g.url = secret(std::string(sealed.substr(std::min(whose.size(), sealed.size()))));
    ++verdict_.kept_grants;
    return g;
  };
  queue_ = std::make_unique<queue>(std::move(p));
  journal_ = std::make_unique<journal::journal>(journal_disk_);
  events_.clear();
  driving_ = false;
  timer_.reset();
  try {
    opening_ = true;
    auto found = journal_->open();
    opening_ = false;
    if (!found) {
      say("the journal cannot be opened: " + found.error().message());
      return crash();
    }
    if (!found->damaged.empty()) violated("damage in a journal that only lost power");
    say("boot " + std::to_string(boots_) + ": " + std::to_string(found->records.size()) + " records, " +
        std::to_string(found->torn_bytes) + " torn bytes");
    step(recovered{std::move(found->records)});
    const auto spooled = spool_disk_.list();
    if (!spooled) return crash();
    for (const auto& f : spooled.value())
      if (!queue_->needs_spooled(std::stoull(f.name))) (void)spool_disk_.remove(f.name);
    if (hub_up_) step(event(connected{}));
  } catch (const io::simulated_crash&) { return crash(); }
  for (auto& m : modules_) later(milliseconds(pick(0, 500)), [this, &m] { start_module(m); });
}

void world::crash() {
  opening_ = false;
  say(power_cut_ ? "** power cut" : "** crash");
  ++verdict_.crashes;
  crash_at_ = 0;
  queue_.reset();
  journal_.reset();
  for (auto& m : modules_) m.life = 0;  // they die with the runtime
  if (power_cut_) {
    journal_disk_.power_cut(random_);
    spool_disk_.power_cut(random_);
    if (!calm_ && chance(20)) wall_ += std::chrono::hours(pick(-48, 48));
  }
  power_cut_ = false;
  if (calm_) return;
  at(milliseconds(pick(10, 5000)), [this] {
    if (!queue_) boot();
  });
}

void world::boundary() {
  if (++verdict_.boundaries == crash_at_) throw io::simulated_crash();
}

void world::step(queue_event e) {
  if (!queue_) return;
  events_.push_back(std::move(e));
  if (driving_) return;
  driving_ = true;
  while (!events_.empty()) {
    auto next = std::move(events_.front());
    events_.pop_front();
    for (auto& a : queue_->step(std::move(next), now())) {
      boundary();
      std::visit([this](auto& what) { act(what); }, a);
    }
    check_bounds();
  }
  driving_ = false;
}

void world::act(set_timer& a) {
  timer_ = a.at;
  if (!a.at) return;
  const auto wait = std::chrono::ceil<milliseconds>(*a.at - now_);
  later(std::max(wait, 0ms), [this, mine = *a.at] {
    if (timer_ == mine) step(event(tick{}));
  });
}

// ---- the disk ----

void world::act(write& a) {
  later(milliseconds(pick(0, 20)), [this, w = std::move(a)] {
    auto done = w.replace ? journal_->rewrite(w.records) : journal_->append(w.records, w.sync);
    written end;
    if (!done) {
      lost_writes_ = true;
      end.failure = std::move(done).error();
    }
    step(std::move(end));
  });
}

void world::act(prepare& a) {
  const auto content = asked_.at(a.asker.ticket).content;
  later(milliseconds(pick(0, 20)), [this, id = a.id, content] { spool(id, content); });
}

void world::spool(operation_id id, const std::string& content) {
  const auto name = spool_name(id);
  const auto work = [&]() -> result<void> {
    CHECK(spool_disk_.create(name));
    CHECK(spool_disk_.append(name, content));
    CHECK(spool_disk_.sync(name));
    return spool_disk_.sync_folder();
  };
  auto done = work();
  prepared p{id, std::nullopt, {}};
  if (done) {
    p.sha256 = sha256(content);
  } else {
    p.failure = std::move(done).error();
  }
  step(std::move(p));
}

void world::act(drop_spooled& a) {
  later(milliseconds(pick(0, 20)), [this, id = a.id] { (void)spool_disk_.remove(spool_name(id)); });
}

// ---- what modules hear ----

void world::act(answer& a) {
  auto& x = asked_.at(a.asker.ticket);
  if (!a.accepted) {
    x.refused = true;
    return say(x.name + " refused: " + a.accepted.error().message());
  }
  for (const auto& m : modules_)
    if (m.life != 0 && m.life == a.asker.life) x.id = *a.accepted;
  if (x.id == 0) return;
  ++verdict_.accepted;
  ticket_of_[x.id] = a.asker.ticket;
  say(x.name + " accepted as " + std::to_string(x.id));
}

void world::act(tell& a) {
  auto& x = asked_.at(a.asker.ticket);
  for (auto& m : modules_) {
    if (m.life == 0 || m.life != a.asker.life) continue;
    say(x.name + " told: " + std::to_string(int(a.outcome.result)) + " " + std::to_string(a.outcome.error));
    if (x.id != a.id) violated(x.name + " told under another id");
    if (x.life != m.life) violated(x.name + " told to a process that did not ask");
    if (!x.told.empty()) violated(x.name + " told twice");
    x.told.push_back(a.outcome);
    x.told_in.insert(m.life);
    check_outcome(x, a.outcome);
    if (m.acknowledges) {
      later(milliseconds(pick(0, 2000)), [this, &m, life = m.life, id = a.id] {
        if (m.life == life) step(acknowledged{m.instance, id});
      });
    }
  }
}

void world::act(tell_earlier& a) {
  // The asking process may never have learnt that it was accepted, or even have been refused by a write whose failure
  // left the record on the disk: then nothing was promised, and the outcome is told all the same.
  auto* x = &asked_.at(std::stoull(a.what.remote_name.substr(1)));
  const blob_outcome o{kind(int(a.outcome.result)), a.outcome.http_status, int(a.outcome.error)};
  for (auto& m : modules_) {
    if (m.life == 0 || m.life != a.life) continue;
    say(x->name + " told to a later life: " + std::to_string(int(o.result)) + " " + std::to_string(o.error));
    if (!x->acknowledges || x->instance != m.instance) violated(x->name + " told to whom it does not belong");
    if (!x->told_in.insert(m.life).second) violated(x->name + " told twice in one life");
    x->told_earlier.push_back(o);
    check_outcome(*x, o);
    later(milliseconds(pick(0, 2000)), [this, &m, life = m.life, id = a.what.id] {
      if (m.life == life) step(acknowledged{m.instance, id});
    });
  }
}

void world::act(note_end& a) {
  if (auto* x = find(a.id)) x->decided = true;
}

world::asked_for* world::find(operation_id id) {
  const auto found = ticket_of_.find(id);
  return found == ticket_of_.end() ? nullptr : &asked_.at(found->second);
}

// ---- checks ----

void world::check_outcome(asked_for& x, const blob_outcome& o) {
  ++(o.result == kind::success ? verdict_.succeeded : verdict_.failed);
  for (const auto& all : {x.told, x.told_earlier})
    for (const auto& other : all)
      if (other.result != o.result || other.error != o.error || other.http_status != o.http_status)
        violated(x.name + " has two outcomes");
  if (o.result == kind::success && x.upload) {
    const auto object = objects_.find(x.name);
    if (object == objects_.end()) return violated(x.name + " succeeded without an object");
    if (object->second != x.content) violated(x.name + " succeeded with wrong bytes");
  }
  if (o.result == kind::error && o.error == 0) violated(x.name + " failed without a reason");
  if (x.spooled && !x.refused && (o.error == ENOENT || o.error == ESTALE))
    violated(x.name + ": the runtime's own copy was lost");
}

void world::check_bounds() {
  const auto l = bounds();
  if (queue_->live() > l.files) violated("more operations than the bound");
  if (queue_->spooled_bytes() > l.spool_bytes) violated("more spooled bytes than the bound");
  if (queue_->transferring() > engine_bounds().transfers) violated("more transfers than the bound");
  if (journal_disk_.used_bytes() > 40'000) violated("the journal grows beyond its bound");
}

void world::check_end() {
  for (const auto& [ticket, x] : asked_) {
    if (x.id == 0) continue;
    if (!x.decided) violated(x.name + " was accepted and never had an outcome");
    if (x.acknowledges && x.told.empty() && x.told_earlier.empty()) violated(x.name + ": its outcome was never told");
  }
  if (spool_disk_.used_bytes() > bounds().spool_bytes) violated("spooled files were left behind");
}

void world::violated(std::string what) {
  say("!! " + what);
  if (verdict_.violations.size() < 20) verdict_.violations.push_back(std::move(what));
}

void world::say(const std::string& what) const {
  if (scenario_.verbose)
    std::printf("%10.3f  %s\n", std::chrono::duration<double>(now_.time_since_epoch() - 1h).count(), what.c_str());
}

}  // namespace evp::sim
