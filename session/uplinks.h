// What platforms hear without being clients (ADR 25). Each uplink is a session here,
// `$uplink/NAME`: its queue gets a message in the batch that the publisher's acknowledgement waits
// for, is read from the store, and loses the message when the platform has it. So a message that
// was acknowledged survives whatever dies, and the memory for an uplink is its window, however long
// its queue is.
//
// This room knows which uplinks there are and stages messages for them; uplink_queue.h has the way
// from a queue to the platform.
//
// Limits: kUplinksMax uplinks; a queue as its plan says. A queue that fills up takes telemetry up
// to half of its limits and events up to nine tenths; the rest is for plate events and results of
// commands, which are the last to be refused. What is refused is counted by this order.
//
// A message of another partition is not for an uplink of this one: the uplink of that partition has
// it. One shard, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "session/commit_pipeline.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/live_records.h"
#include "session/router.h"
#include "session/session_records.h"
#include "session/session_table.h"
#include "session/store.h"
#include "session/uplink_queue.h"

namespace berth::session {

inline constexpr std::size_t kUplinksMax = 32;

class Uplinks final : public LiveRecords, private Room {
 public:
  Uplinks(Context& cx, Router& router, SessionTable& sessions, CommitPipeline& commits,
          SessionRecords& records, DeliveryQueues& queues)
      : Room(cx),
        cx_(cx),
        router_(router),
        sessions_(sessions),
        commits_(commits),
        records_(records),
        queues_(queues) {}

  // Those that there are from now on, by their place in the list. First of all before inputs are
  // taken, and again when the configuration changes: a plan that is as before goes on, what the
  // sink had of another is offered again with another generation. `sink` outlives the core, or the
  // next call. REQUIRES: at most kUplinksMax; names of letters, digits, '_', '.', '-'.
  void plan(std::vector<UplinkPlan> plans, UplinkSink* sink);
  // The sink takes messages of this uplink, or does not.
  void use(std::size_t uplink, bool ready);
  // The platform has it. Of an earlier generation: nothing happens.
  void done(std::size_t uplink, std::uint32_t generation, std::uint64_t seq);
  // The platform will never take it. `letter` has seq, why, topic and bytes.
  void refused(std::size_t uplink, std::uint32_t generation, DeadLetter letter, base::Instant now);
  // Behind a run of these two, before the turn ends.
  void finish();
  // The number of its session.
  std::uint64_t session_of(std::size_t uplink) const {
    return uplinks_.at(uplink)->session().id.value;
  }
  // Of this name, planned or not; null: there is none. Good until plan() or forget().
  UplinkQueue* find(std::string_view name) const;
  // What was defined over REST, by name: texts that this room keeps and does not read.
  const std::map<std::string, std::string>& definitions() const { return definitions_; }
  // Keeps this text from the next commit on; null: none.
  void define(const std::string& name, const std::string* text);
  // Removes the queue of one that is not planned. False: it is planned, or there is none.
  bool forget(std::string_view name);
  std::vector<UplinkState> states(base::Instant now) const;
  // Messages are on their way to platforms.
  bool busy() const;
  // No more are offered: the engine ends.
  void stop();
  // The sink ends.
  void detach() { sink_ = nullptr, stopped_ = nullptr; }

  // -- of the core
  void stage(Session& s, Delivery& d);
  // Stages a message of QoS 0. Its publisher does not wait for the commit.
  void stage_unhurried(Session& s, Delivery& d) {
    commits_.unhurried([&] { stage(s, d); });
  }
  void durable(const Session& s) {
    if (s.uplink <= uplinks_.size()) uplinks_[s.uplink - 1u]->go_on();
  }
  // Answer to Effects::load_queue().
  void loaded(const Session& s, std::uint64_t ticket,
              const base::result<std::vector<StoredEntry>>& entries, base::Instant now);
  void tick(base::Instant now);

  void record(std::string_view key, std::string_view value) override;
  void forget_record(std::string_view key) override;

 private:
  std::unique_ptr<UplinkQueue> queue_of(const std::string& client);
  void adopt_stored();
  void listen(UplinkQueue& u, bool yes);

  Context& cx_;
  Router& router_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  SessionRecords& records_;
  DeliveryQueues& queues_;
  UplinkSink* sink_ = nullptr;
  const UplinkSink* stopped_ = nullptr;         // what it was until stop()
  std::map<std::string, UplinkStored> stored_;  // until the first plan()
  std::map<std::string, std::string> definitions_;
  std::vector<std::unique_ptr<UplinkQueue>> uplinks_;  // Session::uplink - 1
  std::vector<std::unique_ptr<UplinkQueue>> left_;     // not planned
  std::uint32_t generations_ = 0;
  bool adopted_ = false;
};

}  // namespace berth::session
