#include "gateway/cluster/lease_watch.h"

#include <utility>

namespace berth::gateway::cluster {
namespace {

constexpr std::chrono::milliseconds kOften{20};

session::RedisOptions with_timeout(session::RedisOptions o, std::uint32_t timeout_ms) {
  o.timeout_ms = timeout_ms;
  return o;
}

}  // namespace

LeaseWatch::LeaseWatch(session::RedisOptions redis, std::string prefix, std::uint32_t every_ms,
                       std::uint32_t timeout_ms, std::function<std::string()> check,
                       std::function<void(View)> seen)
    : redis_(with_timeout(std::move(redis), timeout_ms)),
      prefix_(std::move(prefix)),
      every_(every_ms),
      check_(std::move(check)),
      seen_(std::move(seen)),
      thread_([this] { run(); }) {}

LeaseWatch::~LeaseWatch() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  redis_.interrupt();
  thread_.join();
}

void LeaseWatch::begin_warming(const std::string& name) {
  const std::lock_guard lock(mutex_);
  warming_ = name;
  every_ = kOften;
  wake_.notify_all();
}

void LeaseWatch::run() {
  for (;;) {
    View view;
    std::string warming;
    {
      const std::lock_guard lock(mutex_);
      warming = std::exchange(warming_, {});
    }
    try {
      if (check_) view.wrong = check_();
      if (view.wrong.empty()) check_ = nullptr;
      if (!warming.empty()) session::begin_warming(redis_, prefix_, warming);
      if (reach_ != 0) session::tell_reach(redis_, prefix_, reach_);
      view.lease = session::read_lease(redis_, prefix_);
      view.reachable = true;
    } catch (const session::RedisError&) {
      redis_.close();
    }
    std::unique_lock lock(mutex_);
    if (ending_) return;
    seen_(view);
    wake_.wait_for(lock, every_, [this] { return ending_ || !warming_.empty(); });
    if (ending_) return;
  }
}

}  // namespace berth::gateway::cluster
