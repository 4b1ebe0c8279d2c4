// The test of a storage access service: a canary object goes through its whole life.
#include "backend/services.h"
#include "base/crypto.h"

namespace evp::backend {
namespace {

constexpr milliseconds step_limit{4'000};  // five steps in 20 s
constexpr std::size_t canary_bytes = 64;

class canary {
 public:
  canary(storage::driver& d, const io::clock& clock, verification verify)
      : driver_(d),
        clock_(clock),
        looks_(verify == verification::head),
        object_("evp-canary/" + random_id(16)),
        text_(random_id(canary_bytes)) {}

  io::task<service_test_report> live() {
    const bool prepared = co_await step("prepare", driver_.prepare());
    if (!prepared) co_return std::move(report_);
    const bool put = co_await step("put", driver_.put(object_, text_));
    if (put && looks_) {
      const bool seen = co_await step("stat", check_stat());
      if (seen) co_await step("get", check_get());
    }
    co_await step("remove", driver_.remove(object_));
    co_return std::move(report_);
  }

 private:
  io::task<bool> step(std::string name, io::task<result<void>> work) {
    const auto began = clock_.steady();
    const auto done = co_await io::with_deadline(std::move(work), step_limit, name);
    test_step s;
    s.name = std::move(name);
    if (!done) s.failure = done.error();
    s.took = std::chrono::duration_cast<milliseconds>(clock_.steady() - began);
    report_.steps.push_back(std::move(s));
    co_return done.has_value();
  }

  io::task<result<void>> check_stat() {
    CO_TRY(const auto info, co_await driver_.stat(object_));
    if (info.size != text_.size())
      co_return fail(errc::data_corrupt, "the storage says that the object has another size than was put");
    co_return result<void>();
  }

  io::task<result<void>> check_get() {
    CO_TRY(const auto read, co_await driver_.get(object_, canary_bytes));
    if (read != text_) co_return fail(errc::data_corrupt, "the storage gave other bytes than were put");
    co_return result<void>();
  }

  storage::driver& driver_;
  const io::clock& clock_;
  const bool looks_;  ///< else the credentials may write only
  std::string object_, text_;
  service_test_report report_;
};

}  // namespace

bool service_test_report::ok() const noexcept {
  for (const auto& s : steps)
    if (s.failure) return false;
  return true;
}

io::task<result<service_test_report>> services::test(std::string name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) co_return fail(errc::not_found, "there is no storage access service of that name");
  const auto service = found->second;  // stays alive, whatever happens to the name meanwhile
  canary one(*service->driver, context_.clock, service->view.verify);
  auto outcome = co_await one.live();
  co_return outcome;
}

}  // namespace evp::backend
