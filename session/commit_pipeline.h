// Writes to the store, and the effects that wait until these are durable.
//
// Operation. Inputs write to the open batch at once. What the world may see of an input (replies,
// copies to sessions that are not stored, the acknowledgement of the input) is *deferred*: it
// stands beside the batch and is run, in order, when the batch is committed. At the end of a turn
// the shell seals the open batch and commits it; batches commit in order. While a channel has
// deferred inputs (gated()), all its further inputs are deferred behind them, so effects come in
// the order of inputs.
//
// Hurry. A batch is committed in the turn in which something was written, unless all that stands in
// it was written under unhurried(): then it may wait for what comes next, at most until hurry().
//
// Concurrency. One shard, one thread; the store answers on it.
//
// Limitations. A deferral that is run may write and have to wait again (CommitSink::run): it goes
// to the front of the open batch, before all that was deferred meanwhile. run_due() stops when the
// turn's budget is spent and goes on in the next turn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "session/connection_table.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/session_table.h"
#include "session/store.h"

namespace berth::session {

struct OpenBatch {
  std::shared_ptr<Batch> writes = std::make_shared<Batch>();
  std::vector<Deferred> deferred;
  std::size_t again = 0;  // of these, in front: what came back from an earlier batch
  std::vector<std::pair<base::SessionId, std::uint64_t>> touched;  // newest seq appended
  bool retains = false;  // a deferred effect makes a retained message visible
  bool hurried = false;  // something in it was not written under unhurried()
};
// Of a batch that has been committed: what waited for it, as far as it has not been run yet.
struct Due {
  std::vector<Deferred> list;
  std::size_t at = 0;
  std::vector<std::pair<base::SessionId, std::uint64_t>> touched;
  std::size_t pumped = 0;
  bool retains = false;  // as of the batch
};

// What the pipeline asks of the core above it.
class CommitSink {
 public:
  // Runs what was deferred. False: it has made writes that it must wait for, and is run again.
  virtual bool run(Deferred& d, base::Instant now) = 0;
  // Entries of this session's queue are durable: they may be sent.
  virtual void durable(Session& s, base::Instant now) = 0;
  // The store has refused the session's writes: another engine owns it.
  virtual void refused(Session& s) = 0;

 protected:
  ~CommitSink() = default;
};

class CommitPipeline final : private Room {
 public:
  CommitPipeline(Context& cx, CommitSink& sink, ConnectionTable& connections,
                 SessionTable& sessions)
      : Room(cx), sink_(sink), connections_(connections), sessions_(sessions) {}

  // The entry `seq` of the session's queue is in the open batch.
  void touch(Session& s, std::uint64_t seq);
  // The open batch stores a retained message; it becomes visible when the batch's deferred effects
  // run.
  void retains(bool yes = true) { open_.retains = open_.retains || yes; }
  // Will any deferred effect that has not run yet make a retained message visible?
  bool any_retains() const;
  // Behind the writes of the open batch, whatever its connection: `d` is complete.
  void add(Deferred d) {
    make_haste();
    open_.deferred.push_back(std::move(d));
  }
  bool waits() const { return has_uncommitted() || !due_.empty(); }
  bool has_deferred() const { return !due_.empty() || !open_.deferred.empty(); }
  // run_due() would run something.
  bool has_due() const { return !due_.empty() || (is_idle() && !open_.deferred.empty()); }
  // Forgets what connections of this link have deferred.
  void drop_link(std::uint32_t link);
  // All that is deferred, in the order in which it will be run: f(list, from which index).
  template <class F>
  void each_list(F&& f) const {
    for (const Due& due : due_) f(due.list, due.at);
    for (const OpenBatch& batch : sealed_) f(batch.deferred, std::size_t{0});
    f(open_.deferred, std::size_t{0});
  }

  // In the open batch.
  void write(const Write& w) {
    make_haste();
    open_.writes->add(w);
  }
  // What `f` writes and submits may be committed later, together with what comes next: nothing that
  // the world waits for.
  template <class F>
  void unhurried(F&& f) {
    const bool before = std::exchange(unhurried_, true);
    f();
    unhurried_ = before;
  }
  // The open batch is to be committed now, whatever stands in it. Of an empty one nothing is said.
  void hurry() { open_.hurried = open_.hurried || !open_.writes->empty(); }
  // seal() would return a batch.
  bool wants_commit() const { return open_.hurried && !open_.writes->empty(); }
  // The number of writes in the open batch. It has grown when something was written.
  std::size_t writes() const { return open_.writes->size(); }
  // Makes the open batch one that is committed although nothing is written: for deferrals that wait
  // for a commit.
  void barrier();
  // Work of many parts stages no more in a batch without room.
  bool has_room() const { return open_.writes->bytes() < Fanout::kBatchBytes; }
  bool has_uncommitted() const { return !open_.writes->empty() || !sealed_.empty(); }
  // An input of `ch` takes effect with the open batch.
  void defer(Channel& ch, Deferred d);
  void defer_call(Channel& ch, std::function<void(base::Instant)> call);
  // For effects of no connection (wills). `wrote`: they wait for the open batch.
  void submit(Deferred d, bool wrote, base::Instant now);
  // An input of `ch` takes effect at once, unless it wrote or its channel is gated.
  void defer_or_run(Channel& ch, Deferred d, bool wrote, base::Instant now);
  // Ends the open batch and returns it, to be committed now; null: nothing was written, or nothing
  // that is in a hurry.
  std::shared_ptr<const Batch> seal();
  // The oldest sealed batch is durable. REQUIRES: seal() returned it, result.error is not set; once
  // for each batch, in order.
  void committed(const CommitResult& result, base::Instant now);
  // Runs the deferred effects of durable batches, as far as the turn's budget goes.
  void run_due(base::Instant now);

 private:
  void run_due_lists(base::Instant now);
  void run_list(Due& due, base::Instant now);
  void put_back(Due& due, Deferred d);
  void make_haste() { open_.hurried = open_.hurried || !unhurried_; }
  bool is_idle() const { return due_.empty() && sealed_.empty() && open_.writes->empty(); }

  CommitSink& sink_;
  ConnectionTable& connections_;
  SessionTable& sessions_;
  OpenBatch open_;
  std::deque<OpenBatch> sealed_;
  std::deque<Due> due_;
  bool in_due_ = false;
  bool unhurried_ = false;
};

}  // namespace berth::session
