#include "bench/load/connections.h"

#include <algorithm>
#include <utility>

namespace berth::bench {

namespace {

void add_devices(const Plan& plan, Share share, Pool& pool) {
  const Scenario& s = plan.scenario;
  for (std::uint32_t i = 0; i < share.of(s.subscribers); ++i) {
    const std::uint32_t number = share.number(i);
    Role role = role_of(plan, "d", number);
    if (s.subscribes) role.filter = filter_of(s, "bench/" + plan.run, number);
    pool.add(talk_of(plan, std::move(role)), s.durable);
  }
}

double rate_of(double all, const Plan& plan) {
  return all / plan.processes;
}

}  // namespace

Opening::Opening(double per_s, std::int64_t now_ns) {
  if (per_s > 0) schedule_.emplace(now_ns, per_s, 0);
}

std::int64_t Opening::go_on(Pool& pool, std::int64_t now_ns, bool& done) {
  auto& all = pool.clients();
  for (; opened_ < all.size(); ++opened_) {
    if (schedule_ && schedule_->due_ns() > now_ns) return schedule_->due_ns();
    // Without a rate a connection counts from when there is room for it.
    if (!schedule_ && !pool.room()) return INT64_MAX;
    pool.open(*all[opened_], schedule_ ? schedule_->due_ns() : now_ns);
    if (schedule_) schedule_->said();
  }
  done = done_ = done_ || pool.ready() == all.size();
  return INT64_MAX;
}

void Connections::prepare(Pool& pool, std::int64_t now_ns) {
  pool_ = &pool;
  add_devices(plan_, share_, pool);
  opening_.emplace(rate_of(plan_.scenario.rate, plan_), now_ns);
}

std::int64_t Connections::connect(std::int64_t now_ns, bool& done) {
  return opening_->go_on(*pool_, now_ns, done);
}

void Connections::begin(std::int64_t /*start_ns*/) {
  if (!plan_.scenario.offline) return;
  for (const auto& c : pool_->clients()) pool_->close(*c);
}

std::int64_t Connections::act(std::int64_t /*now_ns*/) {
  cut_ = cut_ || pool_->ready() < pool_->clients().size();
  return INT64_MAX;
}

bool Connections::done() const {
  return plan_.scenario.kind == Kind::storm && cut_ && pool_->ready() == pool_->clients().size();
}

void Churn::prepare(Pool& pool, std::int64_t now_ns) {
  pool_ = &pool;
  add_devices(plan_, share_, pool);
  opening_.emplace(0, now_ns);
}

std::int64_t Churn::connect(std::int64_t now_ns, bool& done) {
  return opening_->go_on(*pool_, now_ns, done);
}

void Churn::begin(std::int64_t start_ns) {
  schedule_.emplace(start_ns, rate_of(plan_.scenario.rate, plan_), 0);
}

// The one that has been there longest goes, and comes back at once.
std::int64_t Churn::act(std::int64_t now_ns) {
  auto& all = pool_->clients();
  for (; !all.empty() && schedule_->due_ns() <= now_ns; schedule_->said(), ++next_) {
    Client& c = *all[next_ % all.size()];
    if (!c.ready()) return now_ns + 1'000'000;  // it still counts from when it was due
    pool_->close(c);
    pool_->open(c, schedule_->due_ns());
  }
  return schedule_->due_ns();
}

}  // namespace berth::bench
