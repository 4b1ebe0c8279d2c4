// What surrounds the runtime: modules that ask and die, a hub that loses messages, storages that fail, full disks.
#include <cerrno>

#include "base/crypto.h"
#include "base/encoding.h"
#include "world.h"

namespace evp::sim {

using namespace std::chrono_literals;

namespace {
constexpr std::uint64_t part_bytes = 20;
}

void world::disturb() {
  at(milliseconds(pick(1, 2500)), [this] {
    if (!calm_) disturb();
  });
  if (!queue_) return;
  auto& m = modules_[std::size_t(pick(0, int(modules_.size()) - 1))];
  switch (pick(0, 9)) {
    case 0:
      hub_up_ = !hub_up_;
      say(hub_up_ ? "hub: connected" : "hub: gone");
      return step(hub_up_ ? event(connected{}) : event(disconnected{}));
    case 1:
      if (m.life == 0) return start_module(m);
      if (chance(30)) return stop_module(m);
      return;
    case 2: {
      const bool full = chance(30);
      journal_disk_.capacity_bytes = full ? journal_disk_.used_bytes() + std::uint64_t(pick(0, 200)) : 1 << 30;
      spool_disk_.capacity_bytes = chance(20) ? spool_disk_.used_bytes() + std::uint64_t(pick(0, 60)) : 1 << 30;
      return;
    }
    case 3:
      if (chance(15)) wall_ += std::chrono::minutes(pick(-600, 600));
      if (!files_.empty() && chance(10)) {
        auto& f = std::next(files_.begin(), pick(0, int(files_.size()) - 1))->second;
        f.content += "changed";
        ++f.mtime_ns;
      }
      return;
    default: return ask(m);
  }
}

// ---- modules ----

void world::start_module(module& m) {
  if (m.life != 0) return;
  m.life = ++last_life_;
  if (m.acknowledges) {
    later(milliseconds(pick(0, 300)), [this, &m, life = m.life] {
      if (m.life == life) step(wants_outcomes{life, m.instance});
    });
  }
}

void world::stop_module(module& m) {
  say("module " + m.instance + " ends");
  step(life_ended{std::exchange(m.life, 0), m.instance});
}

void world::ask(module& m) {
  if (m.life == 0) return;
  const auto ticket = ++last_ticket_;
  auto& x = asked_[ticket];
  x.name = "f" + std::to_string(ticket);
  x.instance = m.instance;
  x.life = m.life;
  x.acknowledges = m.acknowledges;
  x.spooled = chance(35);
  x.upload = x.spooled || chance(85);
  x.content = std::string(std::size_t(pick(0, 60)), char('a' + ticket % 26)) + x.name;

  journal::accepted what;
  what.operation = x.upload ? journal::operation::put : journal::operation::get;
  what.priority = journal::priority(pick(0, 2));
  what.instance = m.instance;
  what.remote_name = x.name;
  what.acknowledges = x.acknowledges;
  what.spooled = x.spooled;
  if (x.upload) what.size = x.content.size();
  if (!x.spooled) what.path = x.name;
  if (x.upload && !x.spooled) {
    const device_file f{x.content, 1000, ++last_inode_};
    what.mtime_ns = f.mtime_ns;
    what.inode = f.inode;
    files_[x.name] = f;
  }
  if (chance(20)) {
    what.own = "https://own/" + x.name;
    what.storage = "own";
  } else if (chance(30)) {
    what.named = true;
    what.storage = "second";
  }
  step(offered{{m.life, ticket}, std::move(what)});
}

// ---- the hub ----

/// Messages between hub and runtime are lost, late, doubled and out of order.
void world::message(std::function<void()> deliver) {
  if (faulty(15)) return;
  const int copies = faulty(10) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    later(milliseconds(faulty(15) ? pick(0, 8000) : pick(1, 50)), [this, deliver] {
      if (hub_up_) deliver();
    });
  }
}

void world::act(request_grant& a) {
  const auto what = queue_->details(a.id);
  if (!what || !hub_up_) return;
  const bool is_put = what->operation == journal::operation::put;
  for (const auto& [id, g] : grants_)
    if (g.name == what->remote_name && g.created && !g.judged && !lost_writes_)
      violated(g.name + ": another grant is asked for, and the object of the first is not looked for");
  const bool lacks_checksum = is_put && what->sha256.empty() && chance(15);
  message([this, name = what->remote_name, size = what->size, reqid = a.reqid, is_put, lacks_checksum,
           offline = a.offline] {
    if (lacks_checksum)
      return message([this, reqid] {
        step(event(grant_failed{reqid, error(errc::checksum_required, "with sha256, please"), false}));
      });
    if (faulty(12)) {
      const bool final = chance(25);
      const bool malformed = chance(20);
      const auto code = !final ? errc::unavailable : offline ? errc::unsupported : errc::not_found;
      return message([this, reqid, code, malformed] {
        step(event(grant_failed{reqid, error(code, "the hub"), malformed}));
      });
    }
    grant g;
    g.url = secret("https://storage/" + name);
    if (chance(75)) {
      g.grant_id = "g" + std::to_string(++last_grant_);
      auto& x = grants_[g.grant_id] = {name, size, 0, {}};
      if (is_put && size > 0 && !offline && chance(40)) {
        x.part_count = unsigned((size - 1) / part_bytes + 1);
        g.url = {};
        g.plan.emplace();
        g.plan->part_bytes = part_bytes;
        g.plan->part_count = x.part_count;
        g.plan->parallel = unsigned(pick(1, 3));
        g.plan->parts = page(x, 1, unsigned(pick(1, 3)));
      } else if (is_put && std::hash<std::string>()(name) % 2 == 0) {
        g.create_only = x.create_only = true;
      }
    }
    if (faulty(20)) g.certificate_id = "sha256:" + std::to_string(pick(1, 3));
    if (chance(50)) g.expires_in = milliseconds(faulty(30) ? pick(1, 8000) : 60'000);
    if (offline && chance(85)) {
      g.offline = true;
      g.expires_in = milliseconds(faulty(20) ? pick(1, 8000) : 3'600'000);
    }
    message([this, reqid, g] { step(event(grant_received{reqid, g})); });
  });
}

std::vector<part> world::page(const issued& g, unsigned first, unsigned last) {
  std::vector<part> all;
  for (unsigned n = first; n <= std::min(last, g.part_count); ++n) {
    part p;
    p.number = n;
    p.url = secret("https://storage/" + g.name);
    p.offset = (n - 1) * part_bytes;
    p.length = std::min(part_bytes, g.size - p.offset);
    all.push_back(std::move(p));
  }
  return all;
}

void world::act(request_parts& a) {
  if (!hub_up_) return;
  message([this, r = a] {
    if (faulty(5)) grants_.erase(r.grant_id);
    const auto g = grants_.find(r.grant_id);
    if (faulty(10) || g == grants_.end()) {
      const auto code = g == grants_.end() ? errc::not_found : errc::unavailable;
      return message([this, r, code] { step(event(parts_failed{r.reqid, error(code, "the hub")})); });
    }
    auto parts = page(g->second, r.first, r.first + unsigned(pick(0, 2)));
    message([this, r, parts = std::move(parts)] { step(event(parts_received{r.reqid, parts, 60s})); });
  });
}

void world::act(request_certificate& a) {
  if (!hub_up_) return;
  message([this, id = a.certificate_id, reqid = a.reqid] {
    if (faulty(15)) return step(event(certificate_failed{reqid, error(errc::unavailable, "the hub")}));
    step(event(certificate_received{id}));
  });
}

void world::act(send_report& a) {
  if (!hub_up_) return;
  message([this, r = a] {
    if (!r.done) {
      if (const auto g = grants_.find(r.grant_id); g != grants_.end()) g->second.given_up = true;
      return;
    }
    std::optional<error> failure;
    const auto g = grants_.find(r.grant_id);
    const bool exists = r.result.status == 412;
    if (g != grants_.end() && g->second.part_count > 0 && g->second.parts.size() == g->second.part_count) {
      auto& object = objects_[g->second.name];
      object.clear();
      for (const auto& [n, bytes] : g->second.parts) object += bytes;
    }
    if (faulty(10)) {
      failure = error(errc::unavailable, "the check failed for now");
    } else if (g == grants_.end()) {
      failure = error(errc::not_found, "no such grant");
    } else if (g->second.given_up) {
      failure = error(errc::data_corrupt, "given up by the device");
    } else if (const auto o = objects_.find(g->second.name);
               o == objects_.end() || o->second.size() != g->second.size) {
      failure = error(errc::data_corrupt, "not the file that was reported");
    } else if (!exists && r.result.bytes != g->second.size) {
      violated(g->second.name + " is in the storage, and reported with another size");
    }
    if (g != grants_.end() && (!failure || failure->code() != errc::unavailable)) g->second.judged = true;
    message([this, reqid = r.reqid, failure] { step(event(report_answered{reqid, failure})); });
  });
}

// ---- storages ----

void world::act(start_transfer& a) {
  const auto what = queue_->details(a.id);
  if (!what) return;
  // The file is opened now and read until the end of the transfer; what the real driver checks is checked here.
  later(milliseconds(faulty(10) ? pick(1000, 40'000) : pick(1, 300)), [this, t = a, what = *what] {
    auto r = what.operation == journal::operation::put ? put(t, what) : answer_of_storage();
    step(event(transfer_finished{t.id, t.attempt, std::move(r), t.part ? t.part->number : 0}));
  });
}

transfer_result world::answer_of_storage() {
  transfer_result r;
  if (faulty(20)) {
    r.failure = error(chance(85) ? errc::unavailable : errc::permission_denied, "connection");
    return r;
  }
  static constexpr int statuses[] = {403, 404, 408, 413, 429, 500, 503, 307};
  r.status = faulty(25) ? statuses[pick(0, int(std::size(statuses)) - 1)] : 201;
  if (r.status >= 400 && chance(30)) r.retry_after = milliseconds(pick(0, 9000));
  return r;
}

void world::act(hash_file& a) {
  const auto what = queue_->details(a.id);
  if (!what) return;
  later(milliseconds(pick(1, 300)), [this, id = a.id, what = *what] {
    std::string bytes;
    file_hashed end{id, {}};
    if (auto problem = read(what, bytes))
      end.result = std::move(*problem);
    else
      end.result.sha256 = to_hex(sha256(bytes));
    step(event(std::move(end)));
  });
}

std::optional<transfer_result> world::read(const journal::accepted& what, std::string& bytes) {
  const auto fail_with = [](int number) {
    transfer_result r;
    r.failure = error(errc::data_corrupt, "the file");
    r.failure_errno = number;
    return r;
  };
  if (what.spooled) {
    const auto found = spool_disk_.read(spool_name(what.id), 1 << 20);
    if (!found && found.error().code() == errc::not_found) return fail_with(ENOENT);
    if (!found) {
      transfer_result r;
      r.failure = error(errc::unavailable, "the disk cannot be read now");
      return r;
    }
    bytes = *found;
  } else {
    const auto f = files_.find(what.path);
    if (f == files_.end()) return fail_with(ENOENT);
    if (f->second.mtime_ns != what.mtime_ns || f->second.inode != what.inode) return fail_with(ESTALE);
    bytes = f->second.content;
  }
  if (bytes.size() != what.size) return fail_with(ESTALE);
  return std::nullopt;
}

transfer_result world::put(const start_transfer& t, const journal::accepted& what) {
  std::string bytes;
  if (auto problem = read(what, bytes)) return std::move(*problem);
  auto r = answer_of_storage();
  const bool lost_answer = r.failure && chance(30);  // the storage has it, and we don't know
  if (t.part) bytes = bytes.substr(t.part->offset, t.part->length);
  const auto g = grants_.find(t.grant.grant_id);
  const bool arrives = r.status == 201 || lost_answer;
  const auto name = t.grant.url.reveal().substr(t.grant.url.reveal().rfind('/') + 1);
  const bool refused = t.grant.create_only && objects_.contains(name);
  if (arrives && t.part && g != grants_.end()) {
    g->second.parts[t.part->number] = bytes;
  } else if (arrives && !t.part && !refused) {
    objects_[name] = bytes;
    if (t.grant.create_only) g->second.created = true;
  } else if (r.status == 201 && refused) {
    r.status = 412;
  }
  if (!t.part && !r.failure && !what.sha256.empty() && sha256(bytes) != what.sha256) {
    r.failure = error(errc::data_corrupt, "the file");
    r.failure_errno = ESTALE;
    return r;
  }
  r.bytes = bytes.size();
  r.sha256 = to_hex(sha256(bytes));
  return r;
}

}  // namespace evp::sim
