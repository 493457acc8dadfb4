// The queue of one uplink on its way out (ADR 25): what is offered to the sink, what the platform
// has, and what stays in the store behind it: messages that are kept to be replayed, and dead
// letters, which the platform refuses for ever.
//
//   oldest kept ... | first_seq ... (with the sink) ... | next ... (not read yet) ... last_seq
//   done, dead      | not done                          | not offered
//
// A cursor in the store says up to where all is done, in the batch in which this is removed: so
// sequence numbers are never used again, by which a platform knows copies. A replay reads the same
// queue behind that, beside new messages; where it is stands in the cursor too.
//
// Limits: a window of messages and bytes with the sink, for a replay half of it; plan.keep_ms and
// plan.keep_bytes of what is kept, to a grain of keep_ms / 1,440, at least a minute; plan.dead_max
// dead letters, of which the oldest goes. One shard, one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "session/commit_pipeline.h"
#include "session/context.h"
#include "session/delivery_queues.h"
#include "session/session_table.h"
#include "session/store.h"
#include "session/uplink_records.h"

namespace berth::session {

// Client ids of their sessions begin so; the name follows.
inline constexpr std::string_view kUplinkClient = "$uplink/";

struct UplinkPlan {
  std::string name;
  std::vector<std::string> filters;  // as topics are inside
  std::uint32_t queue_messages = 1'000'000;
  std::uint64_t queue_bytes = std::uint64_t{1} << 30;
  std::uint32_t window_messages = 500;  // that the sink has, and the platform has not
  std::size_t window_bytes = std::size_t{4} << 20;
  std::int64_t keep_ms = 0;  // how long what is done stays, to be replayed; 0: it does not
  std::uint64_t keep_bytes = 0;
  std::uint32_t dead_max = 1000;
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
  std::uint64_t kept = 0;                             // done, and there to be replayed
  std::uint64_t kept_bytes = 0;
  std::int64_t kept_from_ms = 0;  // when the oldest of them came, about; 0: there is none
  std::uint64_t replay_left = 0;
  std::uint64_t replayed = 0;
  std::uint64_t dead = 0;       // letters that are there
  std::uint64_t dead_lost = 0;  // that went because there were more than dead_max
};

struct UplinkOffer {
  std::size_t uplink = 0;  // its place in the plans
  std::uint32_t generation = 0;
  std::uint64_t seq = 0;
  bool replay = false;  // it has been sent before, and somebody asked for it
  bool late = false;    // newer messages of its device may have gone before
};

// Takes messages for a platform; on the shard's thread.
class UplinkSink {
 public:
  // `m` is good during the call. Uplinks::done() or refused() follow with the same numbers, in any
  // order, and not within this call. False: the message can never go.
  virtual bool offer(const UplinkOffer& o, const MessageView& m) = 0;
  // The engine ends: nothing that has not been sent is to be sent. rested(): what was sent has been
  // told to be done, or never will be.
  virtual void rest() {}
  virtual bool rested() const { return false; }

 protected:
  ~UplinkSink() = default;
};

class UplinkQueue final : private Room {
 public:
  struct Rooms {
    CommitPipeline& commits;
    SessionTable& sessions;
    DeliveryQueues& queues;
    UplinkSink* const& sink;  // null: nothing is offered
  };
  UplinkQueue(Context& cx, Rooms rooms, Session& session, UplinkStored stored);

  Session& session() { return session_; }
  const UplinkPlan& plan() const { return plan_; }
  // From now on so; what the sink has had is offered again, with a greater generation.
  void begin(UplinkPlan plan, std::uint32_t generation);
  void use(bool ready);
  bool has_room(UplinkRank rank, std::size_t bytes) const;
  void count_refused(UplinkRank rank) { ++counts_.refused[static_cast<std::size_t>(rank)]; }
  // Reads what the sink has room for.
  void go_on();
  void loaded(std::uint64_t ticket, const base::result<std::vector<StoredEntry>>& entries,
              base::Instant now);
  // The platform has it; finish() follows. Of an earlier generation: nothing happens.
  void done(std::uint32_t generation, std::uint64_t seq);
  // The platform will never take it: a dead letter. `letter` has topic, bytes, why and at_ms.
  void refused(std::uint32_t generation, DeadLetter letter);
  // Behind a run of done() and refused(): removes what is done in front, once for all of them.
  void finish();
  bool busy() const { return !live_.with.empty() || !replay_.with.empty() || again_seq_ != 0; }
  void tick(base::Instant now);
  UplinkState state(base::Instant now) const;

  // Sends again what came from `from_ms` to `to_ms` and is kept. The number of sequence numbers
  // that this is; none: nothing begins. REQUIRES: no replay is under way.
  std::uint64_t replay(std::int64_t from_ms, std::int64_t to_ms);
  bool replays() const { return replay_.first <= replay_through_; }
  void stop_replay();

  const std::map<std::uint64_t, DeadLetter>& dead() const { return dead_; }
  // All of them once more. The number.
  std::uint64_t send_dead_again();
  std::uint64_t discard_dead();
  // Removes all that the store has of it, except the session.
  void remove_records();

 private:
  enum class Kind : std::uint8_t { live, replay, again };
  enum class Fate : std::uint8_t { with_sink, done, dead };
  struct With {
    std::uint32_t bytes = 0;
    Fate fate = Fate::with_sink;
    std::uint64_t cumulative = 0;
  };
  // A reader of the queue.
  struct Lane {
    std::uint64_t first = 1;    // the oldest one that is not done
    std::uint64_t next = 1;     // the next to be offered
    std::uint64_t ticket = 0;   // of the read under way; 0: none
    std::uint64_t through = 0;  // what it will have seen
    std::deque<With> with;      // from `first` to before `next`
    std::size_t bytes = 0;      // of those
    void begin(std::uint64_t at) { *this = {.first = at, .next = at}; }
  };
  void adopt(const UplinkStored& stored);
  std::uint32_t generation(Kind kind) const {
    return generation_ * 4 + static_cast<std::uint32_t>(kind);
  }
  void read(Lane& l, std::uint64_t end, std::size_t messages, std::size_t bytes);
  void take(Lane& l, Kind kind, const std::vector<StoredEntry>& entries, base::Instant now);
  void offer(Lane& l, Kind kind, const StoredEntry& e, base::Instant now);
  void push(Lane& l, With w);
  bool settle(Kind kind, std::uint64_t seq, Fate fate);
  void finish_live();
  void finish_replay();
  void keep_or_remove(std::uint64_t seq, Fate fate);
  void put_cursor();

  void read_again();
  void loaded_again(const base::result<std::vector<StoredEntry>>& entries, base::Instant now);
  void put_dead(const DeadLetter& letter);
  void drop_dead(std::uint64_t seq, bool stays = false);

  void note_lag_mark(base::Instant now);
  void note_kept_mark(base::Instant now);
  void put_marks();
  void trim(base::Instant now);
  std::uint64_t trimmed_through(base::Instant now) const;
  std::uint64_t lag_s(base::Instant now) const;
  std::string key(UplinkTable table) const;

  CommitPipeline& commits_;
  SessionTable& sessions_;
  DeliveryQueues& queues_;
  UplinkSink* const& sink_;
  Session& session_;
  UplinkPlan plan_;
  std::uint32_t generation_ = 0;
  bool ready_ = false;
  bool settled_ = false;  // finish() has something to do
  Lane live_;
  Lane replay_;
  std::uint64_t replay_through_ = 0;
  std::uint64_t done_cumulative_ = 0;
  std::uint64_t kept_from_ = 1;       // what is done and below has gone, but for dead letters
  std::deque<UplinkMark> lag_marks_;  // when messages came that are not done
  std::deque<UplinkMark> marks_;      // of what is kept and of what will be
  std::map<std::uint64_t, DeadLetter> refused_;  // behind others that are not done
  std::map<std::uint64_t, DeadLetter> dead_;
  std::uint64_t again_seq_ = 0;     // the dead letter that is being sent; 0: none
  std::uint64_t again_ticket_ = 0;  // of its read; 0: it has been offered
  UplinkState counts_;
};

}  // namespace berth::session
