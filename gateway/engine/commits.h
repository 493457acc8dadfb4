// The store of one engine: one batch under way at a time, and whether it takes writes. Held by
// value by the EngineShard, on its thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "session/store.h"

namespace berth::gateway::engine {

class Commits {
 public:
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
  // How long the one under way has been under way, ms; 0: none is.
  std::int64_t age_ms() const {
    return under_way_ ? (base::monotonic_ns() - began_ns_) / 1'000'000 : 0;
  }

  // A commit has failed, and is tried again; or one has succeeded again. Any thread.
  void set_healthy(bool healthy) {
    healthy_ = healthy;
    if (!healthy) ++failures_;
  }
  bool healthy() const { return healthy_; }
  std::uint64_t failures() const { return failures_; }

 private:
  std::unique_ptr<session::Store> store_;
  std::atomic<bool> healthy_{true};
  std::atomic<std::uint64_t> failures_{0};
  bool under_way_ = false;
  std::int64_t began_ns_ = 0;
};

}  // namespace berth::gateway::engine
