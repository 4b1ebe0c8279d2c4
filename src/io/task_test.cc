#include "io/task.h"

#include <gmock/gmock.h>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "io/pool.h"

namespace evp::io {
namespace {

using namespace std::chrono_literals;

task<result<int>> answer_after(milliseconds d) {
  const bool slept = co_await sleep_for(d);
  if (!slept) co_return fail(errc::cancelled, "cancelled");
  co_return 42;
}

template <class T>
T run(asio::io_context& ctx, task<T> t) {
  std::optional<T> out;
  asio::co_spawn(ctx, std::move(t), [&](std::exception_ptr e, T v) {
    ASSERT_FALSE(e);
    out.emplace(std::move(v));
  });
  ctx.restart();
  ctx.run();
  return std::move(*out);
}

TEST(with_deadline, gives_the_answer_when_it_comes_in_time) {
  asio::io_context ctx;
  EXPECT_EQ(run(ctx, with_deadline(answer_after(1ms), 10s, "the answer")).value(), 42);
}

TEST(with_deadline, cancels_the_task_and_says_what_was_late) {
  asio::io_context ctx;
  const auto r = run(ctx, with_deadline(answer_after(1h), 5ms, "the answer"));
  EXPECT_EQ(r.error().code(), errc::deadline_exceeded);
  EXPECT_EQ(r.error().message(), "the answer took longer than PT0.005S");
}

task<bool> stop_all(group& g) {
  co_await g.stop();
  co_return true;
}

TEST(groups, who_was_busy_when_it_was_cancelled_sleeps_no_more) {
  asio::io_context ctx;
  group g(ctx.get_executor());
  bool slept = true;
  const auto busy = [](group& own, bool& out) -> task<void> {
    const auto here = co_await asio::this_coro::executor;
    asio::co_spawn(here, own.stop(), asio::detached);
    co_await asio::post(here, asio::use_awaitable);  // comes behind that, and does not end by it
    out = co_await sleep_for(1h);
  };
  g.spawn(busy(g, slept));
  ctx.run_for(5s);
  EXPECT_FALSE(slept);
  EXPECT_EQ(g.size(), 0U);
}

TEST(groups, stop_ends_every_task_and_waits_for_the_last) {
  asio::io_context ctx;
  group g(ctx.get_executor());
  int ended = 0;
  const auto wait = [](int& n) -> task<void> {
    co_await sleep_for(1h);
    ++n;
  };
  g.spawn(wait(ended));
  g.spawn(wait(ended));
  ctx.poll();
  EXPECT_EQ(g.size(), 2u);
  EXPECT_TRUE(run(ctx, stop_all(g)));
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(g.size(), 0u);
}

task<bool> blocking_work(pool& p, std::thread::id& worked_on) {
  auto work = [] { return std::this_thread::get_id(); };
  worked_on = co_await run_on(p, work);
  co_return true;
}

TEST(pools, run_blocking_work_elsewhere_and_resume_here) {
  asio::io_context ctx;
  pool p(1);
  std::thread::id worked_on;
  EXPECT_TRUE(run(ctx, blocking_work(p, worked_on)));
  EXPECT_TRUE(worked_on != std::this_thread::get_id());
}

}  // namespace
}  // namespace evp::io
