#include "gateway/cluster/lease_watch.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "gateway/cluster/store_trouble.h"

namespace berth::gateway::cluster {
namespace {

constexpr std::chrono::milliseconds kOften{20};
// The list of edges is written when it changes, and again this often: Redis may have lost it.
constexpr std::chrono::milliseconds kEdgesAgain{2000};

bool same(const std::vector<session::RedisEdge>& a, const std::vector<session::RedisEdge>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.id == y.id; });
}

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

void LeaseWatch::tell_edges(std::optional<std::vector<session::RedisEdge>> edges) {
  const std::lock_guard lock(mutex_);
  if (edges && edges_ && same(*edges, *edges_)) return;
  edges_ = std::move(edges);
  edges_due_ = {};
}

void LeaseWatch::write_edges() {
  std::vector<session::RedisEdge> edges;
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (!edges_ || now < edges_due_) return;
    edges = *edges_;
    edges_due_ = now + kEdgesAgain;
  }
  try {
    session::tell_edges(redis_, prefix_, edges);
  } catch (const session::RedisError&) {
    const std::lock_guard lock(mutex_);
    edges_due_ = {};
    throw;
  }
}

void LeaseWatch::write(const std::string& warming) {
  if (!warming.empty()) session::begin_warming(redis_, prefix_, warming);
  if (reach_ != 0) session::tell_reach(redis_, prefix_, reach_);
  write_edges();
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
      try {
        write(warming);
      } catch (const session::RedisRefuses&) {  // of everybody: no other engine would do better
      }
      view.lease = session::read_lease(redis_, prefix_);
      view.reachable = true;
      note_store_reached(prefix_, base::monotonic_ns());
    } catch (const session::RedisError& e) {
      redis_.close();
      note_store_trouble(prefix_, e.what(), base::monotonic_ns());
    }
    std::unique_lock lock(mutex_);
    if (ending_) return;
    seen_(view);
    wake_.wait_for(lock, every_, [this] { return ending_ || !warming_.empty(); });
    if (ending_) return;
  }
}

}  // namespace berth::gateway::cluster
