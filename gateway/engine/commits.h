// The store of one engine: one batch under way at a time, how long a batch without hurry may wait,
// and whether the store takes writes. Held by value by the EngineShard, on its thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/clock.h"
#include "session/store.h"

namespace berth::gateway::engine {

class Commits {
 public:
  static constexpr std::chrono::milliseconds kUnhurried{20};  // platform/records.h says so, too

  explicit Commits(boost::asio::io_context& io) : timer_(io) {}
  void use(std::unique_ptr<session::Store> store) { store_ = std::move(store); }
  session::Store* store() { return store_.get(); }  // null: none yet, in a test
  // REQUIRES: none is under way.
  void begin(std::shared_ptr<const session::Batch> batch, session::Store::CommitDone done) {
    under_way_ = true;
    began_ns_ = base::monotonic_ns();
    store_->commit(std::move(batch), std::move(done));
  }
  // That batch is durable, or refused. How long it took, ns.
  std::int64_t ended() {
    under_way_ = false;
    return base::monotonic_ns() - began_ns_;
  }
  bool under_way() const { return under_way_; }
  // True: there is no call of later() that is to come; now there must be one.
  bool put_off() { return !std::exchange(put_off_, true); }
  template <class F>
  void later(std::weak_ptr<bool> alive, F f) {
    timer_.expires_after(kUnhurried);
    timer_.async_wait([this, alive = std::move(alive), f = std::move(f)](auto ec) {
      if (ec || alive.expired()) return;
      put_off_ = false;
      f();
    });
  }
  // How long the one under way has been under way, ms; 0: none is.
  std::int64_t age_ms() const {
    return under_way_ ? (base::monotonic_ns() - began_ns_) / 1'000'000 : 0;
  }

  // A commit has failed, and is tried again; or one is durable. Any thread.
  void tell(bool healthy, const std::string& why) {
    if (healthy) confirmed_ns_ = base::monotonic_ns();
    if (healthy_.exchange(healthy) && !healthy) ++failures_;
    if (healthy) return;
    const std::lock_guard lock(why_mutex_);
    why_ = why;
  }
  bool healthy() const { return healthy_; }
  std::uint64_t failures() const { return failures_; }
  // Since when nothing has become durable that should, ms; 0: the last commit did, and none has
  // been under way for long. Of a store that renews a lease this counts without commits too.
  std::int64_t unconfirmed_ms() const {
    if (healthy_ && age_ms() < kSlow_ms) return 0;
    const std::int64_t from = healthy_ ? began_ns_ : confirmed_ns_.load();
    return std::max<std::int64_t>(1, (base::monotonic_ns() - from) / 1'000'000);
  }
  // Why, for people; empty: unconfirmed_ms() is 0.
  std::string trouble() const {
    const std::int64_t ms = unconfirmed_ms();
    if (ms == 0) return {};
    const std::string since = " (for " + std::to_string(ms / 1000) + " s)";
    if (healthy_) return "the store has not answered a commit yet" + since;
    const std::lock_guard lock(why_mutex_);
    return why_ + since;
  }

 private:
  static constexpr std::int64_t kSlow_ms = 2000;
  std::unique_ptr<session::Store> store_;
  std::atomic<bool> healthy_{true};
  std::atomic<std::uint64_t> failures_{0};
  std::atomic<std::int64_t> confirmed_ns_{base::monotonic_ns()};
  mutable std::mutex why_mutex_;
  std::string why_;  // of the last failure; under why_mutex_
  bool under_way_ = false;
  bool put_off_ = false;
  boost::asio::steady_timer timer_;
  std::int64_t began_ns_ = 0;
};

}  // namespace berth::gateway::engine
