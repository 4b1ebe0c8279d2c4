// The engine's uploads in parts: which part is sent next, when a page is asked for, and what a failed part means.
#include <algorithm>
#include <cerrno>

#include "runtime/upload/engine.h"

namespace evp::runtime::upload {

void engine::begin_parts(operation_map::iterator op) {
  auto p = std::make_unique<parts_state>();
  p->plan = std::move(*op->second.grant.plan);
  op->second.grant.plan.reset();
  p->done.resize(p->plan.part_count);
  for (auto& x : p->plan.parts) p->page.emplace(x.number, std::move(x));
  p->plan.parts.clear();
  p->page_expires = op->second.grant_expires;
  op->second.parts = std::move(p);
}

void engine::start_parts(operation_map::iterator op) {
  auto& o = op->second;
  if (o.parts->done_count == o.parts->plan.part_count) {
    o.sent = {};
    o.sent.status = o.parts->last_status;
    o.sent.bytes = o.parts->bytes;
    if (o.parts->plan.part_count == 1) o.sent.sha256 = o.parts->last_sha256;
    return begin_report(op);
  }
  if (lacks_certificate(o)) return want_certificate(op);
  while (running_.size() < limits_.transfers && o.parts->running.size() < o.parts->plan.parallel && start_part(op)) {}
}

/// False: nothing can be started now.
bool engine::start_part(operation_map::iterator op) {
  auto& o = op->second;
  auto& p = *o.parts;
  if (p.pause_until) return false;
  unsigned n = 1;
  while (n <= p.plan.part_count && (p.done[n - 1] || p.running.contains(n))) ++n;
  if (n > p.plan.part_count) return false;
  if (p.page_expires && now_ + limits_.expiry_margin >= *p.page_expires) p.page.clear();
  const auto found = p.page.find(n);
  if (found == p.page.end()) {
    ask_parts(op, n);
    return false;
  }
  std::optional<steady_time> not_before;
  if (!may_start(op, not_before)) {
    if (not_before) p.pause_until = not_before;
    want_parts_wake(op);
    return false;
  }
  if (!p.noted) {
    p.noted = true;
    out_.push_back(note_plan{op->first, {o.grant.grant_id, o.grant.certificate_id, p.plan, {}, 0}});
  }
  p.running.emplace(n, found->second.expect);
  ++storages_[o.order.storage].running;
  running_.emplace(std::pair(op->first, n), running_transfer{++o.attempt, o.order.storage});
  const auto left = std::chrono::ceil<milliseconds>(o.deadline - now_);
  out_.push_back(start_transfer{op->first, o.attempt, o.grant, left, found->second});
  return true;
}

void engine::part_finished(operation_map::iterator op, transfer_finished e) {
  auto& o = op->second;
  auto& storage = storages_[o.order.storage];
  if (!o.parts || !o.parts->running.contains(e.part))  // of a plan that was given up
    return note_answer(storage, judge(e.result, {}), e.result);
  auto& p = *o.parts;
  const auto running = p.running.extract(e.part);
  const auto found = judge(e.result, running.mapped());
  note_answer(storage, found, e.result);
  if (found == verdict::retry && is_poison(op, storage)) return fail_transfer(op, e.result, true);
  const auto pause = [&] {
    p.pause_until = now_ + wait_before_retry(policy_, ++o.failures, e.result.retry_after, random_);
  };
  switch (found) {
    case verdict::success:
      p.done[e.part - 1] = true;
      ++p.done_count;
      p.last_status = e.result.status;
      p.bytes += e.result.bytes;
      p.page.erase(e.part);
      p.last_sha256 = e.result.sha256;
      o.failures = o.grants_refused = o.storage_failures = 0;
      out_.push_back(note_part{op->first, o.grant.grant_id, e.part, std::move(e.result.sha256)});
      break;
    case verdict::retry: pause(); break;
    case verdict::fresh_grant:
      if (++o.grants_refused >= policy_.grants_after_403) return fail_transfer(op, e.result);
      p.page.clear();  // its signatures are worth nothing: others are asked for
      pause();
      break;
    case verdict::final: return fail_transfer(op, e.result);
  }
  if (o.at == stage::in_parts) want_parts_wake(op);
}

void engine::ask_parts(operation_map::iterator op, unsigned first) {
  auto& o = op->second;
  if (o.reqid != 0) return;  // asked already
  o.parts->asked_first = first;
  o.parts->asked_last = std::min<unsigned>(o.parts->plan.part_count, first + unsigned(wire::max_page_parts) - 1);
  new_request(op);
  ask_parts_again(op);
}

void engine::ask_parts_again(operation_map::iterator op) {
  auto& o = op->second;
  auto& p = *o.parts;
  p.resend.reset();
  if (connected_) {  // else: on reconnect
    out_.push_back(request_parts{op->first, o.reqid, o.grant.grant_id, p.asked_first, p.asked_last, p.plan.part_bytes,
                                 p.plan.part_count});
    p.resend = now_ + resend_wait(++o.sends);
  }
  want_parts_wake(op);
}

void engine::on(parts_received e) {
  const auto op = find_request(e.reqid, stage::in_parts);
  if (op == operations_.end()) return;
  auto& p = *op->second.parts;
  requests_.erase(std::exchange(op->second.reqid, 0));
  p.resend.reset();
  p.page.clear();
  for (auto& x : e.parts) {
    const auto n = x.number;
    if (n >= 1 && n <= p.plan.part_count && !p.done[n - 1]) p.page.emplace(n, std::move(x));
  }
  p.page_expires.reset();
  // A page that lives shorter than the margin is begun while it lives at all.
  if (e.expires_in) p.page_expires = now_ + std::max(*e.expires_in, 2 * limits_.expiry_margin);
  want_parts_wake(op);
}

void engine::on(parts_failed e) {
  const auto op = find_request(e.reqid, stage::in_parts);
  if (op == operations_.end()) return;
  auto& p = *op->second.parts;
  requests_.erase(std::exchange(op->second.reqid, 0));
  p.resend.reset();
  if (e.why.code() == errc::not_found) return forget_plan(op);
  if (!is_temporary(e.why.code())) return end_with_errno(op, EIO, "the hub refuses: " + e.why.message());
  p.pause_until = now_ + wait_before_retry(policy_, ++op->second.failures, e.why.retry_after(), random_);
  want_parts_wake(op);
}

/// The hub does not know the upload any more: from the beginning, with a fresh grant.
void engine::forget_plan(operation_map::iterator op) {
  op->second.order.began.reset();
  op->second.grant = {};
  op->second.parts.reset();
  back_off(op, std::nullopt);
}

void engine::want_parts_wake(operation_map::iterator op) {
  const auto& p = *op->second.parts;
  auto wake = p.resend;
  if (p.pause_until && (!wake || *p.pause_until < *wake)) wake = p.pause_until;
  set_wake(op, wake);
}

}  // namespace evp::runtime::upload
