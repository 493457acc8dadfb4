// Commands as the platform behind the gateway sees them (docs/platform.md, "Commands"): the ledger
// of the devices whose home this partition is, and the dispatcher for the sessions that are here.
// What they tell each other travels as notes, between partitions too. Owned by the Platform. One
// shard, one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/string_map.h"
#include "platform/claims.h"
#include "platform/command_index.h"
#include "platform/command_ways.h"
#include "platform/desired.h"
#include "platform/dispatcher.h"
#include "platform/ledger.h"
#include "platform/locator.h"
#include "platform/notes.h"
#include "platform/rates.h"
#include "platform/records.h"
#include "platform/requests.h"
#include "platform/result_router.h"
#include "session/context.h"
#include "session/core.h"
#include "session/session_events.h"

namespace berth::platform {

// What the rest of the platform side does with an outcome.
class Outcomes {
 public:
  // In the batch that ends the command.
  virtual void finished(const Entry& e) = 0;
  virtual void late_result(const Entry& e, const Result& r) = 0;

 protected:
  ~Outcomes() = default;
};

// A new engine lets no command expire for so long.
inline constexpr std::int64_t kReplayMs = 2000;

// The partition that knows what an id is used for.
std::uint32_t claim_home(std::string_view tenant, std::string_view id, std::uint32_t partitions);

class Commands final : public session::CommandWords,
                       private LedgerPorts,
                       private Notes,
                       private session::Room {
 public:
  // All outlive it.
  Commands(session::Context& cx, session::Core& core, Records& records, Outcomes& outcomes);
  void use(const CommandWays& ways);

  // -- restored
  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view value);
  void forget(std::string_view key);

  // -- from the engine
  // Devices that are registered no more, and what they were to keep.
  void forget_devices(const std::function<bool(std::string_view principal_key)>& gone);
  void attached_all(base::Instant now);
  void end_turn(base::Instant now);
  void tick(base::Instant now);
  // When tick() or end_turn() has something to do, by the clock of sessions; kNever: nothing.
  base::Instant next_due() const;
  void note(std::uint32_t source, std::string_view bytes);
  // A device's: what it publishes to …/cmd/ID/res.
  void result(const session::Scope& device, const session::MessageView& m);
  // A service's: what it publishes to .../command/ID/request/TYPE.
  void request(const session::Scope& service, const session::MessageView& m);
  // -- events of the core, in the middle of a call into it: noted for end_turn()
  void came_or_went(const session::Session& s);
  void finished(const session::Session& s, std::uint64_t seq, session::Finished how);
  void ended(const session::Session& s);
  void told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) override;
  void pending(base::ConnId conn, std::uint64_t tag) override;
  void listed(std::uint32_t link) override;
  void lost(std::uint32_t link) override;
  void gone(std::uint32_t link) override;

  // -- questions: bytes as platform.proto has them. `answered` is called once, perhaps later.
  using Answered = std::function<void(std::string bytes)>;
  void submit(std::string_view question, Answered answered);
  // With partitions, before submit(): of the partition claim_home(). Answered with a status; 0:
  // good.
  void claim(std::string_view question, Answered answered);
  void find(std::string_view question, Answered answered);
  void cancel(std::string_view question, Answered answered);
  void list(std::string_view question, Answered answered);
  std::string locate(std::string_view question) const;
  // The document of a device (LocateQuestion), as JSON; empty: it has none.
  std::string desired(std::string_view question) const;

  std::size_t open() const { return ledger_.open(); }

 private:
  struct Waiter {
    base::Instant until;
    Answered answered;
  };

  // -- LedgerPorts
  void accepted(const Entry& e) override;
  void dispatch(const Dispatch& d) override;
  std::uint32_t locate(std::string_view tenant, std::string_view device) override;
  void wants(std::string_view tenant, std::string_view device, bool no_more) override;
  void finished(const Entry& e) override;
  void late_result(const Entry& e, const Result& r) override;
  void stray_result() override;
  // -- Notes
  std::uint64_t tell(std::uint32_t partition, const pb::Note& note) override;

  At at() const;
  void count_outcome(const Entry& e);
  void submit(Asked asked, Ledger::Answered answered);
  void submit_anywhere(Asked asked, std::function<void(const Refusal&)> answered);
  void refused(const pb::Request& request, const Refusal& why);
  Refusal over_rate(const Asked& asked, const Terms& terms);
  void act(const pb::Note& note, std::uint32_t source);
  void answer_when_done(const Ledger::Answer& a, std::uint32_t wait_ms, Answered answered);
  void expire_waiters();
  std::uint64_t edge_of(std::uint32_t link) const;

  session::Core& core_;
  Records& records_;
  Outcomes& outcomes_;
  const CommandWays* ways_ = nullptr;
  Ledger ledger_;
  Dispatcher dispatcher_;
  CommandIndex index_;
  Rates rates_;
  Requests requests_;
  Locator locator_;
  Claims claims_;
  ResultRouter router_;
  Desired desired_;
  bool serving_ = false;
  // What its edges have kept for this engine comes first: results and words that were in time.
  base::Instant expire_from_ = base::kNever;
  std::vector<std::function<void()>> noted_;    // events, in order
  std::vector<std::string> to_self_;            // notes, in order
  base::Instant next_wait_ = base::kNever;      // not after any of theirs
  std::multimap<std::string, Waiter> waiters_;  // for an outcome, by tenant NUL id
};

}  // namespace berth::platform
