// What the platform asks of commands, over REST and MQTT (docs/platform.md, "Commands"): in the
// partition that is the home of the command's device. Who waits for an outcome waits here. Owned by
// Commands. One shard, one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "platform/claims.h"
#include "platform/command_index.h"
#include "platform/command_ways.h"
#include "platform/desired.h"
#include "platform/dispatcher.h"
#include "platform/ledger.h"
#include "platform/locator.h"
#include "platform/part_locks.h"
#include "platform/rates.h"
#include "platform/records.h"
#include "session/context.h"
#include "session/core.h"

namespace berth::platform {

// The partition that knows what an id is used for.
std::uint32_t claim_home(std::string_view tenant, std::string_view id, std::uint32_t partitions);

class CommandQuestions final : private session::Room {
 public:
  // The rooms that know the answers.
  struct Rooms {
    Ledger& ledger;
    Dispatcher& dispatcher;
    CommandIndex& index;
    Locator& locator;
    Desired& desired;
    PartLocks& locks;
  };
  // All outlive it.
  CommandQuestions(session::Context& cx, session::Core& core, Records& records, Rooms rooms)
      : Room(cx),
        core_(core),
        records_(records),
        ledger_(rooms.ledger),
        dispatcher_(rooms.dispatcher),
        index_(rooms.index),
        locator_(rooms.locator),
        desired_(rooms.desired),
        locks_(rooms.locks),
        claims_(records, options_.command_keep_bytes / 8) {}
  void use(const CommandWays& ways) { ways_ = &ways; }
  Claims& claims() { return claims_; }

  // Questions and answers are bytes as platform.proto has them. `answered` is called once, perhaps
  // later.
  using Answered = std::function<void(std::string bytes)>;
  void submit(std::string_view question, Answered answered);
  // With partitions, before submit(): of the partition claim_home(). Answered with a status; 0:
  // good.
  void claim(std::string_view question, Answered answered);
  void find(std::string_view question, Answered answered);
  void cancel(std::string_view question, Answered answered);
  void close_case(std::string_view question, Answered answered);
  void list(std::string_view question, Answered answered);
  std::string locate(std::string_view question) const;
  // The document of a device (LocateQuestion), as JSON; empty: it has none.
  std::string desired(std::string_view question) const;

  // Over MQTT nobody has looked where the device is.
  void submit_anywhere(Asked asked, std::function<void(const Refusal&)> answered);

  // In the batch that ends the command: whoever waits for its outcome has it when that is durable.
  void finished(const Entry& e);
  void end_turn();
  void tick(base::Instant now);

 private:
  struct Waiter {
    base::Instant until;
    Answered answered;
  };
  At at() const;
  void submit(Asked asked, Ledger::Answered answered);
  Refusal over_rate(const Asked& asked, const Terms& terms);
  void answer_when_done(const Ledger::Answer& a, std::uint32_t wait_ms, Answered answered);

  session::Core& core_;
  Records& records_;
  const CommandWays* ways_ = nullptr;
  Ledger& ledger_;
  Dispatcher& dispatcher_;
  CommandIndex& index_;
  Locator& locator_;
  Desired& desired_;
  PartLocks& locks_;
  Claims claims_;
  Rates rates_;
  base::Instant next_wait_ = base::kNever;      // not after any of theirs
  std::multimap<std::string, Waiter> waiters_;  // for an outcome, by tenant NUL id
};

}  // namespace berth::platform
