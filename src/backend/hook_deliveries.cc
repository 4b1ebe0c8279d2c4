#include "backend/hook_deliveries.h"

#include <spdlog/spdlog.h>

#include "backend/unix_ms.h"
#include "storage/drivers/requests.h"
#include "storage/webhook_signature.h"

namespace evp::backend {
namespace {

constexpr milliseconds idle{3'600'000};        // a look at the outbox without a reason
constexpr milliseconds database_again{5'000};  // after a failure of the database
constexpr std::size_t answer_max = 1 << 20;    // nobody reads it

}  // namespace

hook_deliveries::hook_deliveries(io::executor ex, hook_deliveries_context context)
    : context_(std::move(context)), random_(std::random_device()()), ex_(ex), running_(ex) {}
hook_deliveries::~hook_deliveries() = default;

io::task<void> hook_deliveries::stop() { return running_.stop(); }

io::task<void> hook_deliveries::run_forever() {
  for (;;) {
    const auto seen = context_.outbox.count();
    for (const auto& name : context_.known.names())
      if (working_.insert(name).second) running_.spawn(work(name));
    co_await context_.outbox.wait(seen, idle);
    const bool over = co_await io::is_cancelled();
    if (over) co_return;
  }
}

// A task is cancelled once: what begins after that would not end. So it looks before each wait.
io::task<void> hook_deliveries::work(std::string hook) {
  const auto under_way = std::make_shared<std::set<std::int64_t>>();
  auto one = [](hook_deliveries& self, sql::delivery_row row, auto busy) -> io::task<void> {
    const auto sequence = row.sequence;
    co_await self.deliver_one(std::move(row));
    busy->erase(sequence);
    self.context_.outbox.notify();  // a place is free
  };
  for (;;) {
    const auto seen = context_.outbox.count();
    auto found = co_await next_round(hook);
    const bool over = co_await io::is_cancelled();
    if (over || !context_.known.find(hook)) break;
    milliseconds wait = idle;
    if (!found) {
      spdlog::error("hook {}: its deliveries cannot be read: {}", hook, found.error().message());
      wait = database_again;
    } else {
      for (auto& row : found->due)
        if (under_way->size() < context_.limits.parallel && under_way->insert(row.sequence).second)
          running_.spawn(one(*this, std::move(row), under_way));
      if (found->next) wait = std::clamp(*found->next - context_.clock.now(), milliseconds(1), idle);
    }
    co_await context_.outbox.wait(seen, wait);
  }
  working_.erase(hook);
}

io::task<result<hook_deliveries::round>> hook_deliveries::next_round(std::string hook) {
  if (!context_.leads()) co_return round();  // another backend delivers; the outbox is notified when it is our turn
  // At the end, as the ends of deliveries are: those that share its transaction are not read as due once more.
  auto rows = std::make_shared<std::vector<sql::delivery_row>>();
  std::function<result<void>(sql::connection&)> read =
      [hook, rows, limit = std::int64_t(context_.limits.batch)](sql::connection& c) {
        c.at_end([hook, rows, limit](sql::connection& last) -> result<void> {
          TRY(*rows, sql::list_deliveries(last, hook, limit));
          return {};
        });
        return result<void>();
      };
  CO_CHECK(co_await context_.db.run<void>(std::move(read)));
  round out;
  const auto now = to_ms(context_.clock.now());
  // Later than any wait can be: the wall clock was set back.
  const auto never = now + (context_.limits.retry_most + idle).count();
  for (auto& row : *rows) {
    if (row.next_at <= now || row.next_at > never) {
      out.due.push_back(std::move(row));
    } else if (!out.next) {
      out.next = timestamp(milliseconds(row.next_at));
    }
  }
  co_return out;
}

io::task<void> hook_deliveries::deliver_one(sql::delivery_row row) {
  std::function<result<std::optional<sql::upload_event_row>>(sql::connection&)> read =
      [sequence = row.sequence](sql::connection& c) { return sql::find_upload_event(c, sequence); };
  auto found = co_await context_.db.run<std::optional<sql::upload_event_row>>(std::move(read));
  const auto to = context_.known.find(row.hook);
  if (!found) co_await io::sleep_for(database_again);
  if (!found || !to) co_return;  // tried again; or removed meanwhile
  if (!*found) {
    co_await give_up(std::move(row), "the upload is in the ledger no more");
    co_return;
  }
  hook_message m;
  m.hook = row.hook;
  m.event = event_of(std::move(**found));
  m.id = m.event.what.grant_id + "." + std::to_string(row.sequence);
  auto body = context_.write(m);
  auto outcome = co_await send(*to, std::move(m.id), std::move(body));
  if (!outcome && outcome.error().code() == errc::cancelled) co_return;  // the backend stops
  co_await record(std::move(row), std::move(outcome));
}

io::task<result<void>> hook_deliveries::send(const live_hook& to, std::string id, std::string body) {
  http::request r;
  r.method = "POST";
  r.url = secret(to.url);
  r.ca_pem = to.certificate;
  r.fields = storage::webhook_signature(to.key, body, context_.clock.now());
  r.fields.push_back({"Content-Type", "application/json"});
  r.fields.push_back({"X-OpenEVP-Delivery", std::move(id)});
  r.body = std::move(body);
  r.max_response_bytes = answer_max;
  r.total_timeout = context_.limits.answer_within;
  CO_TRY(const auto answer, co_await context_.transport.send(std::move(r)));
  if (answer.status >= 200 && answer.status <= 299) co_return result<void>();
  error refusal(errc::unavailable, "the receiver answered with HTTP status " + std::to_string(answer.status));
  const auto wait = storage::error_of_answer(answer, "take a delivery", "").retry_after();
  if (wait) (void)std::move(refusal).after(*wait);
  co_return fail(std::move(refusal));
}

io::task<void> hook_deliveries::record(sql::delivery_row row, result<void> outcome) {
  const auto now = to_ms(context_.clock.now());
  if (!outcome && now - row.created_at >= context_.limits.give_up_after.count()) {
    co_await give_up(std::move(row), outcome.error().message());
    co_return;
  }
  std::function<result<void>(sql::connection&)> note = [row, now](sql::connection& c) -> result<void> {
    c.at_end([=](sql::connection& last) { return sql::finish_delivery(last, row, now); });
    return {};
  };
  if (!outcome) {
    ++row.attempts;
    const auto asked = outcome.error().retry_after().value_or(milliseconds(0));
    row.next_at = now + std::max(wait_after(row.attempts), asked).count();
    note = [row, now, why = outcome.error().message()](sql::connection& c) -> result<void> {
      c.at_end([=](sql::connection& last) { return sql::postpone_delivery(last, row, why, now); });
      return {};
    };
  }
  const auto noted = co_await context_.db.run<void>(std::move(note));
  if (noted) co_return;
  spdlog::error("hook {}: a delivery will be repeated: {}", row.hook, noted.error().message());
  co_await io::sleep_for(database_again);  // a full disk must not become a flood of repetitions
}

io::task<void> hook_deliveries::give_up(sql::delivery_row row, std::string why) {
  spdlog::warn("hook {}: a delivery is given up after {} attempts: {}", row.hook, row.attempts + 1, why);
  std::function<result<void>(sql::connection&)> drop =
      [row, why, now = to_ms(context_.clock.now())](sql::connection& c) -> result<void> {
    c.at_end([=](sql::connection& last) { return sql::give_up_delivery(last, row, why, now); });
    return {};
  };
  const auto dropped = co_await context_.db.run<void>(std::move(drop));
  if (!dropped) spdlog::error("hook {}: a delivery cannot be given up: {}", row.hook, dropped.error().message());
}

// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("full jitter")
milliseconds hook_deliveries::wait_after(std::int64_t attempts) {
  const auto& l = context_.limits;
  auto bound = l.retry_first;
  for (std::int64_t i = 1; i < attempts && bound < l.retry_most; ++i) bound *= 2;
  bound = std::min(bound, l.retry_most);
  std::uniform_int_distribution<milliseconds::rep> draw(0, bound.count());
  return std::max(milliseconds(draw(random_)), l.retry_least);
}

}  // namespace evp::backend
