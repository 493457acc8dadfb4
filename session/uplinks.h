// What platforms hear without being clients (ADR 25). Each uplink is a session here,
// `$uplink/NAME`: its queue gets a message in the batch that the publisher's acknowledgement waits
// for, is read from the store, and loses the message when the platform has it. So a message that
// was acknowledged survives whatever dies, and the memory for an uplink is its window, however long
// its queue is.
//
// Limits: kUplinksMax uplinks; a queue as its plan says. A queue that fills up takes telemetry up
// to half of its limits and events up to nine tenths; the rest is for plate events and results of
// commands, which are the last to be refused. What is refused is counted by this order.
//
// A message of another partition is not for an uplink of this one: the uplink of that partition has
// it. One shard, one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "session/commit_pipeline.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/router.h"
#include "session/session_records.h"
#include "session/session_table.h"
#include "session/store.h"

namespace berth::session {

inline constexpr std::size_t kUplinksMax = 32;
inline constexpr std::string_view kUplinkClient = "$uplink/";

struct UplinkPlan {
  std::string name;
  std::vector<std::string> filters;  // as topics are inside
  std::uint32_t queue_messages = 1'000'000;
  std::uint64_t queue_bytes = std::uint64_t{1} << 30;
  std::uint32_t window_messages = 500;  // that the sink has, and the platform has not
  std::size_t window_bytes = std::size_t{4} << 20;
  std::uint64_t revision = 0;  // another one: what the sink has had is offered again
  bool operator==(const UplinkPlan&) const = default;
};

// In the order in which they are refused.
enum class UplinkRank : std::uint8_t { telemetry, event, last };
inline constexpr std::size_t kUplinkRanks = 3;
UplinkRank rank_of(std::string_view topic);  // as it is inside

struct UplinkState {
  std::string name;
  bool planned = true;  // false: it is not configured any more, its queue is still there
  std::uint64_t queued = 0;
  std::uint64_t queued_bytes = 0;
  std::uint64_t lag_s = 0;  // how long the oldest one has waited in this engine
  std::uint64_t done = 0;   // that the platform has taken, since the engine began
  std::uint64_t expired = 0;
  std::uint64_t unsendable = 0;                       // UplinkSink::offer()
  std::array<std::uint64_t, kUplinkRanks> refused{};  // by rank: the queue was full
};

// Takes messages for a platform; on the shard's thread.
class UplinkSink {
 public:
  // `m` is good during the call. Uplinks::done() follows with the same numbers, in any order, and
  // not within this call. False: the message can never go, it is taken off the queue.
  virtual bool offer(std::size_t uplink, std::uint32_t generation, std::uint64_t seq,
                     const MessageView& m) = 0;

 protected:
  ~UplinkSink() = default;
};

class Uplinks final : private Room {
 public:
  Uplinks(Context& cx, Router& router, SessionTable& sessions, CommitPipeline& commits,
          SessionRecords& records, DeliveryQueues& queues)
      : Room(cx),
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
  // The number of its session.
  std::uint64_t session_of(std::size_t uplink) const {
    return uplinks_.at(uplink)->session->id.value;
  }
  // Removes the queue of one that is not planned. False: it is planned, or there is none.
  bool forget(std::string_view name);
  std::vector<UplinkState> states(base::Instant now) const;
  // Messages are with the sink.
  bool busy() const;
  // No more are offered: the engine ends.
  void stop() { sink_ = nullptr; }

  // -- of the core
  void stage(Session& s, Delivery& d);
  // Stages a message of QoS 0. Its publisher does not wait for the commit.
  void stage_unhurried(Session& s, Delivery& d) {
    commits_.unhurried([&] { stage(s, d); });
  }
  void durable(const Session& s) {
    if (s.uplink <= uplinks_.size()) read(*uplinks_[s.uplink - 1u]);
  }
  // Answer to Effects::load_queue().
  void loaded(const Session& s, std::uint64_t ticket,
              const base::result<std::vector<StoredEntry>>& entries, base::Instant now);
  void tick(base::Instant now);

 private:
  struct With {  // the sink
    std::uint32_t bytes = 0;
    bool done = false;
  };
  struct Mark {
    std::uint64_t seq = 0;  // newest then
    std::int64_t at_ms = 0;
  };
  struct Uplink {
    UplinkPlan plan;
    Session* session = nullptr;
    std::uint32_t generation = 0;
    bool ready = false;
    std::uint64_t next = 1;     // the next to be offered
    std::uint64_t ticket = 0;   // of the read under way; 0: none
    std::uint64_t through = 0;  // what it will have seen
    std::deque<With> with;      // from the queue's first_seq on
    std::size_t with_messages = 0;
    std::size_t with_bytes = 0;
    std::deque<Mark> marks;
    UplinkState counts;
  };
  void begin(Uplink& u, UplinkPlan plan);
  void listen(const Uplink& u, bool yes);
  void begin_anew(Uplink& u);
  void read(Uplink& u);
  void offer(Uplink& u, const StoredEntry& e, base::Instant now);
  void take_with(Uplink& u, std::size_t bytes, bool done);
  void remove_done(Uplink& u);
  bool has_room(const Uplink& u, UplinkRank rank, std::size_t bytes) const;
  std::uint64_t lag_s(const Uplink& u, base::Instant now) const;

  Router& router_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  SessionRecords& records_;
  DeliveryQueues& queues_;
  UplinkSink* sink_ = nullptr;
  std::vector<std::unique_ptr<Uplink>> uplinks_;  // Session::uplink - 1
  std::uint32_t generations_ = 0;
};

}  // namespace berth::session
