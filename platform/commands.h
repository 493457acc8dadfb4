// Commands as the platform behind the gateway sees them (docs/platform.md, "Commands"): the ledger
// of the devices whose home this partition is, and the dispatcher for the sessions that are here.
// What they tell each other travels as notes, between partitions too. Questions of the platform
// have a room of their own (command_questions.h). Owned by the Platform. One shard, one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/command_index.h"
#include "platform/command_questions.h"
#include "platform/command_ways.h"
#include "platform/desired.h"
#include "platform/dispatcher.h"
#include "platform/ledger.h"
#include "platform/locator.h"
#include "platform/notes.h"
#include "platform/part_locks.h"
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
  // In the batch that accepts the command.
  virtual void accepted(const Entry& e) = 0;
  // In the batch that ends the command.
  virtual void finished(const Entry& e) = 0;
  virtual void late_result(const Entry& e, const Result& r) = 0;
  // A person has closed it.
  virtual void closed(const Entry& /*e*/) {}

 protected:
  ~Outcomes() = default;
};

// A new engine lets no command expire for so long.
inline constexpr std::int64_t kReplayMs = 2000;

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
  // Devices may have another executor, child or site: their states follow in the turns to come.
  // `tenant` empty: of all.
  void review_places(std::string_view tenant);
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

  void durable(std::string_view tenant, std::string_view id) { ledger_.durable(tenant, id, at()); }

  CommandQuestions& questions() { return questions_; }
  const Desired& desired_states() const { return desired_; }

  std::size_t open() const { return ledger_.open(); }

 private:
  // -- LedgerPorts
  void accepted(const Entry& e) override;
  void dispatch(const Dispatch& d) override;
  std::uint32_t locate(std::string_view tenant, std::string_view device) override;
  bool is_coming(std::string_view tenant, std::string_view device) override {
    return dispatcher_.is_online(tenant, device);
  }
  void wants(std::string_view tenant, std::string_view device, bool no_more) override;
  void finished(const Entry& e) override;
  void late_result(const Entry& e, const Result& r) override;
  void closed(const Entry& e) override { outcomes_.closed(e); }
  void stray_result() override;
  // -- Notes
  std::uint64_t tell(std::uint32_t partition, const pb::Note& note) override;

  At at() const;
  void count_outcome(const Entry& e);
  void review_some();
  void act_on_notes();
  void refused(const pb::Request& request, const Refusal& why);
  void act(const pb::Note& note, std::uint32_t source);
  void hand_out(const pb::Dispatch& d);
  void tell_dropped(std::uint32_t home, std::uint64_t tag, const char* code);
  std::uint64_t edge_of(std::uint32_t link) const;

  session::Core& core_;
  Records& records_;
  Outcomes& outcomes_;
  const CommandWays* ways_ = nullptr;
  Ledger ledger_;
  Dispatcher dispatcher_;
  CommandIndex index_;
  Requests requests_;
  Locator locator_;
  ResultRouter router_;
  PartLocks locks_;
  Desired desired_;
  CommandQuestions questions_;  // of all above
  bool serving_ = false;
  std::map<std::string, std::string> reviews_;  // tenants, and up to which device; "": all
  // What its edges have kept for this engine comes first: results and words that were in time.
  base::Instant expire_from_ = base::kNever;
  std::vector<std::function<void()>> noted_;  // events, in order
  std::vector<std::string> to_self_;          // notes, in order
};

}  // namespace berth::platform
