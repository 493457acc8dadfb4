#include "gateway/engine/login_hasher.h"

#include <utility>

namespace berth::gateway::engine {

LoginHasher::~LoginHasher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ready_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool LoginHasher::has_room(std::uint64_t tenant, const base::Address& from) {
  const std::lock_guard lock(mutex_);
  return queue_.has_room(tenant, from);
}

void LoginHasher::add(Job job) {
  std::unique_lock lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  const Ticket t = next_++;
  if (job.conn != base::kNoConn) {
    const auto [it, fresh] = by_conn_.try_emplace(job.conn.packed(), t);
    if (!fresh) {  // the connection has been attached anew and says its CONNECT again
      jobs_.erase(it->second);
      queue_.gone(it->second);
      it->second = t;
    }
  }
  const auto out = queue_.push(job.tenant, job.from, t);
  jobs_.emplace(t, std::move(job));
  ready_.notify_one();
  answer_busy(lock, out);
}

void LoginHasher::gone(base::ConnId conn) {
  std::unique_lock lock(mutex_);
  const auto it = by_conn_.find(conn.packed());
  if (it != by_conn_.end()) answer_busy(lock, queue_.gone(it->second));
}

LoginHasher::Job LoginHasher::take(Ticket t) {
  const auto it = jobs_.find(t);
  if (it == jobs_.end()) return {};
  Job job = std::move(it->second);
  jobs_.erase(it);
  by_conn_.erase(job.conn.packed());
  return job;
}

void LoginHasher::answer_busy(std::unique_lock<std::mutex>& lock, std::optional<Ticket> t) {
  Job job = t ? take(*t) : Job{};
  lock.unlock();
  if (job.work) answer(std::move(job), Outcome::busy);
}

void LoginHasher::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    std::optional<Ticket> t;
    ready_.wait(lock, [&] { return stopping_ || (t = queue_.pop()).has_value(); });
    if (stopping_) return;
    Job job = take(*t);
    lock.unlock();
    if (!job.work) continue;
    const bool good = job.work();
    answer(std::move(job), good ? Outcome::good : Outcome::bad);
  }
}

void LoginHasher::answer(Job job, Outcome outcome) {
  post_([alive = std::weak_ptr<bool>(alive_), done = std::move(job.done), outcome] {
    if (!alive.expired()) done(outcome);
  });
}

}  // namespace berth::gateway::engine
