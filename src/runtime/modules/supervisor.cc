// The driver of reconcile(): it carries out one plan after the other until nothing is left to do.
#include "runtime/modules/supervisor.h"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>

#include "runtime/modules/download.h"

namespace evp::runtime {
namespace {

constexpr std::size_t max_states_per_instance = 64;

std::string prefix_of(const std::string& name) { return name + "/"; }

}  // namespace

supervisor::supervisor(io::executor ex, instances_options o, http::transport& http, blobs& transfers)
    : ex_(ex), options_(std::move(o)), http_(http), transfers_(transfers), tasks_(ex), all_gone_(ex) {
  all_gone_.expires_at(steady_time::max());
  transfers_.on_drained = [this](const std::string& name) {
    if (!wanted_.instances.contains(name)) turn();  // its workspace may go now
  };
}

result<std::unique_ptr<supervisor>> supervisor::create(io::executor ex, instances_options o, http::transport& http,
                                                       blobs& transfers) {
  CHECK(prepare_data_folder(o));
  if (!o.separate_users)
    spdlog::warn("modules run as the runtime's own user: start evp-runtime as root to give each a user of its own");
  return std::unique_ptr<supervisor>(new supervisor(std::move(ex), std::move(o), http, transfers));
}

supervisor::~supervisor() {
  transfers_.on_drained = nullptr;
  disk_.join();
}

void supervisor::apply(wire::deployment wanted) {
  if (stopping_) return;
  wanted_ = std::move(wanted);
  deployed_ = true;
  looking_ = true;
  start_errors_.clear();
  tasks_.spawn(look_at_files(++generation_));
  changed();
}

/// What is on disk is believed only after its hash has been computed once in this life of the runtime.
io::task<void> supervisor::look_at_files(std::uint64_t generation) {
  std::vector<std::string> ids;
  for (const auto& [id, m] : wanted_.modules)
    if (refusal(m).empty() && !files_.contains(id)) ids.push_back(id);
  for (const auto& id : ids) {
    auto work = [path = module_file(options_, id)] { return hash_of_file(path); };
    const auto hash = co_await io::run_on(disk_, std::move(work));
    if (generation != generation_) co_return;  // a newer deployment looks by itself
    files_.emplace(id, hash);
  }
  if (generation != generation_) co_return;
  looking_ = false;
  turn();
}

void supervisor::turn() {
  if (stopping_ || looking_ || !deployed_) return;
  std::map<std::string, actual_instance> actual;
  for (const auto& [name, r] : actual_) actual.emplace(name, actual_instance{r.is, r.stopping});
  const auto plan = reconcile(wanted_, actual, files_);
  for (const auto& name : plan.stop) stop(name);
  for (const auto& id : plan.fetch) begin_fetch(id);
  for (const auto& name : plan.start) start(name);
  if (plan.settled) clean();
  changed();
}

void supervisor::start(const std::string& name) {
  if (start_errors_.contains(name)) return;
  auto place = place_instance(options_, name);
  if (!place) {
    spdlog::error("instance {}: {}", name, place.error().message());
    start_errors_[name] = place.error().message();
    return;
  }
  record r;
  const auto& spec = wanted_.instances.at(name);
  r.is = identity_of(wanted_, spec);
  r.runs = std::make_unique<instance>(ex_, options_, module_file(options_, spec.module_id).string(), std::move(*place),
                                      ports_of(name), [this] { changed(); });
  actual_.emplace(name, std::move(r));
}

void supervisor::stop(const std::string& name) {
  auto& r = actual_.at(name);
  if (r.stopping) return;
  r.stopping = true;
  spdlog::info("instance {}: stopping", name);
  r.runs->stop([this, name] {
    // Called from within the instance: it goes on the next turn.
    asio::post(ex_, [this, name, alive = std::weak_ptr<int>(lives_)] {
      if (alive.expired()) return;
      actual_.erase(name);
      if (actual_.empty()) all_gone_.cancel();
      turn();
    });
  });
}

void supervisor::begin_fetch(const std::string& id) {
  auto& f = fetches_[id];
  const auto& hash = wanted_.modules.at(id).hash;
  if (f.running) return;
  if (f.hash != hash) f = {};
  f.hash = hash;
  f.running = true;
  tasks_.spawn(fetch(id));
}

io::task<void> supervisor::fetch(std::string id) {
  if (const auto wait = fetches_[id].not_before - std::chrono::steady_clock::now(); wait.count() > 0) {
    const bool slept = co_await io::sleep_for(std::chrono::ceil<milliseconds>(wait));
    if (!slept) co_return;
  }
  auto& f = fetches_[id];
  const auto m = wanted_.modules.find(id);
  if (m == wanted_.modules.end() || m->second.hash != f.hash) {
    f.running = false;
    co_return turn();
  }
  spdlog::info("module {}: downloading", id);
  const auto hash = f.hash;
  auto r = co_await fetch_module(options_, http_, disk_, id, m->second);
  auto& now = fetches_[id];
  now.running = false;
  if (r) {
    files_[id] = hash;
    fetches_.erase(id);
  } else {
    now.failure = r.error().message();
    now.backoff = now.backoff.count() == 0 ? options_.backoff_first : std::min(now.backoff * 2, options_.backoff_max);
    now.not_before = std::chrono::steady_clock::now() + now.backoff;
    spdlog::warn("module {}: {}; trying again in {} ms", id, now.failure, now.backoff.count());
  }
  turn();
}

/// A deployment has been reached: what only older ones needed goes.
void supervisor::clean() {
  for (const auto& name : placed_instances(options_)) {
    if (wanted_.instances.contains(name)) continue;
    if (transfers_.holds(name)) {
      spdlog::info("instance {}: its workspace stays until its files have been sent", name);
      continue;
    }
    spdlog::info("instance {}: removed with its workspace", name);
    remove_instance(options_, name);
    transfers_.forget_instance(name);
    const auto prefix = prefix_of(name);
    std::erase_if(states_, [&](const auto& s) { return s.first.starts_with(prefix); });
  }
  std::error_code ec;
  for (const auto& e : io::fs::directory_iterator(options_.data / "modules", ec)) {
    const auto id = e.path().filename().string();
    if (wanted_.modules.contains(id)) continue;
    files_.erase(id);
    std::error_code ignored;
    io::fs::remove(e.path(), ignored);
  }
}

void supervisor::changed() {
  if (hub_) hub_->report_changed();
}

void supervisor::configure(std::map<std::string, std::string> configuration) {
  const auto old = std::exchange(configuration_, std::move(configuration));
  for (const auto& [key, bytes] : configuration_) {
    if (const auto before = old.find(key); before != old.end() && before->second == bytes) continue;
    const auto slash = key.find('/');
    if (slash == key.npos) continue;
    const auto found = actual_.find(key.substr(0, slash));
    if (found == actual_.end()) continue;
    if (auto* module = found->second.runs->module()) module->configure(key.substr(slash + 1), bytes);
  }
}

result<void> supervisor::command(const wire::command_request& c, std::function<void(wire::command_response)> done) {
  const auto found = actual_.find(c.instance);
  auto* module = found == actual_.end() ? nullptr : found->second.runs->module();
  if (!module) return fail(errc::not_found, "no instance " + c.instance + " is running on this device");
  return module->command(c, std::move(done));
}

void supervisor::states_sent() {
  for (const auto& [name, r] : actual_)
    if (auto* module = r.runs->module()) module->states_sent();
}

socket::session_ports supervisor::ports_of(const std::string& name) {
  socket::session_ports p;
  p.instance = name;
  p.transfers = &transfers_;
  p.configuration = [this, prefix = prefix_of(name)] {
    std::map<std::string, std::string> out;
    for (const auto& [key, bytes] : configuration_)
      if (key.starts_with(prefix)) out.emplace(key.substr(prefix.size()), bytes);
    return out;
  };
  p.state = [this, name](const std::string& topic, std::string bytes) {
    return store_state(name, topic, std::move(bytes));
  };
  p.telemetry = [this](std::string payload, std::function<void(bool)> sent) -> result<void> {
    if (!hub_) return fail(errc::unavailable, "no hub");
    return hub_->send_telemetry(std::move(payload), std::move(sent));
  };
  p.message = [this, name](const std::string& alias, const std::string& bytes) { return publish(name, alias, bytes); };
  return p;
}

bool supervisor::store_state(const std::string& name, const std::string& topic, std::string bytes) {
  const auto prefix = prefix_of(name);
  const auto key = prefix + topic;
  if (!states_.contains(key)) {
    std::size_t count = 0;
    for (auto s = states_.lower_bound(prefix); s != states_.end() && s->first.starts_with(prefix); ++s) ++count;
    if (count >= max_states_per_instance) return false;
  }
  states_[key] = std::move(bytes);
  // After the module has its answer: the report may say SENT at once.
  asio::post(ex_, [this, alive = std::weak_ptr<int>(lives_)] {
    if (!alive.expired()) changed();
  });
  return true;
}

bool supervisor::publish(const std::string& name, const std::string& alias, const std::string& bytes) {
  const auto from = wanted_.instances.find(name);
  if (from == wanted_.instances.end()) return false;
  const auto published = from->second.publish.find(alias);
  if (published == from->second.publish.end()) return false;
  const auto topic = wanted_.publish_topics.find(published->second);
  if (topic == wanted_.publish_topics.end() || topic->second.type != "local") return false;
  bool all = true;
  for (const auto& [other, spec] : wanted_.instances) {
    const auto runs = actual_.find(other);
    for (const auto& [its_alias, subscribed] : spec.subscribe) {
      const auto s = wanted_.subscribe_topics.find(subscribed);
      if (s == wanted_.subscribe_topics.end() || s->second.type != "local" || s->second.topic != topic->second.topic)
        continue;
      // A subscriber that does not run now misses the message, as with any publish and subscribe.
      auto* module = runs == actual_.end() ? nullptr : runs->second.runs->module();
      if (module && !module->deliver(its_alias, bytes)) all = false;
    }
  }
  return all;
}

deployment_status supervisor::status() const {
  deployment_status out;
  out.deployment_id = wanted_.id;
  bool failed = false, applying = looking_;
  for (const auto& [id, m] : wanted_.modules) {
    auto& s = out.modules[id];
    const auto file = files_.find(id);
    const auto fetch = fetches_.find(id);
    if (auto why = refusal(m); !why.empty()) {
      s = {"error", std::move(why)};
    } else if (file != files_.end() && file->second == m.hash) {
      s.status = "ok";
    } else if (fetch != fetches_.end() && !fetch->second.failure.empty()) {
      s = {"error", fetch->second.failure};
    } else {
      s.status = fetch != fetches_.end() ? "downloading" : "unknown";
    }
    failed |= s.status == "error";
  }
  for (const auto& [name, spec] : wanted_.instances) {
    auto& s = out.instances[name];
    const auto runs = actual_.find(name);
    const auto error = start_errors_.find(name);
    if (runs != actual_.end() && !runs->second.stopping && runs->second.is == identity_of(wanted_, spec)) {
      s = runs->second.runs->status();
    } else if (error != start_errors_.end()) {
      s.status = "error";
      s.failure_message = error->second;
    } else if (const auto m = out.modules.find(spec.module_id); m != out.modules.end() && m->second.status == "error") {
      s.status = "error";
      s.failure_message = m->second.failure_message;
    } else {
      s.status = "starting";
      applying = true;
    }
    s.module_id = spec.module_id;
    failed |= s.status == "error";
  }
  for (const auto& [name, r] : actual_) applying |= r.stopping;
  out.reconcile_status = failed ? "error" : applying ? "applying" : "ok";
  return out;
}

pid_t supervisor::pid_of(const std::string& name) const {
  const auto found = actual_.find(name);
  return found == actual_.end() ? 0 : found->second.runs->pid();
}

io::task<void> supervisor::stop() {
  stopping_ = true;
  ++generation_;
  co_await tasks_.stop();
  for (const auto& [name, r] : actual_) stop(name);
  while (!actual_.empty()) {
    boost::system::error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    co_await all_gone_.async_wait(token);
    all_gone_.expires_at(steady_time::max());
  }
}

}  // namespace evp::runtime
