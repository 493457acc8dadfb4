#include "bench/load/worker.h"

#include <algorithm>

#include "base/clock.h"
#include "bench/load/connections.h"
#include "bench/load/traffic.h"

namespace berth::bench {

namespace {

// How soon a phase that the parent has set is seen.
constexpr std::int64_t kLook_ns = 2 * base::kMs;
// Connections that are being opened, by all processes.
constexpr std::uint32_t kUnderWay = 1000;

std::unique_ptr<Load> load_of(const Plan& plan, Shared& shared, Share share) {
  if (plan.scenario.kind == Kind::traffic) return std::make_unique<Traffic>(plan, shared, share);
  if (plan.scenario.kind == Kind::churn) return std::make_unique<Churn>(plan, share);
  return std::make_unique<Connections>(plan, share);
}

Pool::Options options_of(const Plan& plan) {
  Pool::Options o;
  o.target = plan.target;
  o.sources = plan.sources;
  o.under_way_max = std::max(1u, kUnderWay / plan.processes);
  o.connect_limit_ns = static_cast<std::int64_t>(plan.connect_limit_s * 1e9);
  o.ping_ns = std::int64_t{plan.scenario.keep_alive_s} * 700'000'000;
  return o;
}

}  // namespace

Role role_of(const Plan& plan, const char* kind, std::uint32_t i) {
  Role r;
  // Devices that report have the names that a registry knows them by.
  r.id = plan.scenario.reports ? "dev" + std::to_string(i)
                               : "bench-" + plan.run + "-" + kind + std::to_string(i);
  r.user = plan.user;
  if (const std::size_t at = r.user.find("%i"); at != std::string::npos)
    r.user.replace(at, 2, std::to_string(i));
  r.password = plan.password;
  r.qos = plan.scenario.qos;
  r.keep_alive_s = plan.scenario.keep_alive_s;
  r.clean = !plan.scenario.durable;
  return r;
}

std::unique_ptr<Talk> talk_of(const Plan& plan, Role role) {
  return plan.target.park ? park_talk(role) : mqtt_talk(std::move(role));
}

Worker::Worker(const Plan& plan, Shared& shared, std::uint32_t process)
    : shared_(shared),
      counts_(shared.counts(process)),
      load_(load_of(plan, shared, {process, plan.processes})),
      pool_(options_of(plan), *load_, counts_) {}

void Worker::turn(std::int64_t until_ns) {
  const std::int64_t now = base::monotonic_ns();
  if (const int cuts = shared_.cuts(); cuts != cuts_) {
    cuts_ = cuts;
    pool_.cut_all(now);
  }
  pool_.turn(std::min(until_ns, now + kLook_ns));
}

void Worker::run() {
  load_->prepare(pool_, base::monotonic_ns());
  while (shared_.phase() == Phase::connecting) {
    bool done = false;
    const std::int64_t next = load_->connect(base::monotonic_ns(), done);
    if (done) reached(Phase::connecting);
    turn(next);
  }
  if (shared_.phase() == Phase::ended) return;  // they could not be connected
  load_->begin(shared_.start_ns());
  while (shared_.phase() == Phase::running) {
    const std::int64_t now = base::monotonic_ns();
    if (load_->done()) reached(Phase::running);
    turn(now < shared_.start_ns() ? shared_.start_ns() : load_->act(now));
  }
  load_->stop(base::monotonic_ns());
  while (shared_.phase() == Phase::stopping) {
    if (load_->quiet()) reached(Phase::stopping);
    turn(INT64_MAX);
  }
  load_->count();
  while (shared_.phase() == Phase::counting) {
    if (load_->complete()) reached(Phase::counting);
    turn(INT64_MAX);
  }
  load_->finish();
  reached(Phase::ended);
}

}  // namespace berth::bench
