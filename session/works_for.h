// The connection, or other work, that an engine works for right now, as one word for the process
// that outlives it (I12): a connection (ConnId::packed()), something that is no connection's
// (ForwardedWork), or 0. The Broker opens a WorksFor around everything that it runs for a
// connection, so an engine that dies in it has named the connection. Costs a relaxed load and two
// relaxed stores a scope. One thread writes; the words may lie in memory that another process, or a
// signal handler, reads.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/ids.h"

namespace berth::session {

class Work {
 public:
  Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  // Null: one of its own. Both outlive the Broker.
  void use_word(std::atomic<std::uint64_t>* word) { word_ = word != nullptr ? word : &own_word_; }
  // Rises with each scope and whenever count() is called: an engine that works is not stuck.
  void use_progress(std::atomic<std::uint64_t>* progress) {
    progress_ = progress != nullptr ? progress : &own_progress_;
  }
  std::uint64_t word() const { return word_->load(std::memory_order_relaxed); }
  void count() {
    progress_->store(progress_->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

 private:
  friend class WorksFor;
  std::atomic<std::uint64_t> own_word_{0};
  std::atomic<std::uint64_t> own_progress_{0};
  std::atomic<std::uint64_t>* word_ = &own_word_;
  std::atomic<std::uint64_t>* progress_ = &own_progress_;
};

// Scopes nest: the end of the inner scope restores the outer value. With 0 or kNoConn the outer
// value stays.
class [[nodiscard]] WorksFor {
 public:
  WorksFor(Work& work, std::uint64_t word) : work_(work), outer_(work.word()) {
    work.count();
    if (word != 0) work.word_->store(word, std::memory_order_relaxed);
  }
  WorksFor(Work& work, base::ConnId conn)
      : WorksFor(work, conn == base::kNoConn ? 0 : conn.packed()) {}
  ~WorksFor() { work_.word_->store(outer_, std::memory_order_relaxed); }
  WorksFor(const WorksFor&) = delete;
  WorksFor& operator=(const WorksFor&) = delete;

 private:
  Work& work_;
  const std::uint64_t outer_;
};

}  // namespace berth::session
