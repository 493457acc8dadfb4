// What the platform behind the gateway works with, in one partition: its rooms, and what they share
// (docs/adr/0021). Owned by the engine, beside the Broker whose core it watches. Events of the core
// are noted when they come and acted on in end_turn(), in the same batch. One shard, one thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "platform/commands.h"
#include "platform/device_watch.h"
#include "platform/ended_sessions.h"
#include "platform/options.h"
#include "platform/passages.h"
#include "platform/records.h"
#include "platform/signed_requests.h"
#include "platform/traces.h"
#include "session/core.h"
#include "session/live_records.h"
#include "session/platform_ports.h"
#include "session/session_events.h"
#include "session/store.h"

namespace berth::platform {

class Platform final : public session::SessionEvents,
                       public session::LiveRecords,
                       public session::PlatformPorts,
                       private Records,
                       private Outcomes {
 public:
  // Answers `done` once, later, on the shard's thread.
  using Read = std::function<void(session::RecordRange, session::Store::RecordsDone done)>;
  // `cx` and `core` outlive it.
  Platform(session::Context& cx, session::Core& core, Read read, PlatformOptions options = {});
  Platform(const Platform&) = delete;
  Platform& operator=(const Platform&) = delete;

  // Of the registry; outlives it. Without: no commands.
  void use(const CommandWays& ways);
  Commands& commands() { return commands_; }
  DeviceWatch& devices() { return devices_; }
  SignedRequests& signed_requests() { return signed_requests_; }
  // Of an edge, as passages.proto has it. `stored` is called when it is, not if it is malformed:
  // then the answer is false.
  bool passage_told(std::string_view bytes, std::function<void()> stored);
  std::string ask_passages(std::string_view question) const { return passages_.answer(question); }
  std::string ask_late(std::string_view question) const;
  // Of the console, likewise.
  bool end_session(std::string_view bytes, std::function<void()> stored);
  std::string ask_ended_sessions(std::string_view q) const { return ended_sessions_.answer(q); }

  // -- restored, before attached_all()
  void record(std::string_view key, std::string_view value) override;
  void forget_record(std::string_view key) override;

  // -- from the engine. attached_all(): connections that the engine before us had are known, or
  // their edges are out of reach.
  void attached_all(base::Instant now);
  // At the end of each turn, after the Broker's and before its steps are flushed: acts on what was
  // noted.
  void end_turn(base::Instant now);
  void tick(base::Instant now);  // about once a second
  // When end_turn() has something to do without a call before, by the clock of sessions.
  base::Instant next_due() const { return devices_.has_work() ? now_ : commands_.next_due(); }
  // A question has come: `now` of what follows.
  void begin(base::Instant now) { now_ = now; }
  // Calls `f` once a commit that begins after this call has succeeded: so no other engine had the
  // store when `f` was given. For answers that say "there is nothing else": an engine that was
  // stopped (SIGSTOP) believes that it serves until its next commit is refused. False: kConfirming
  // of them wait, as when the store takes no writes. Not if this engine ends before.
  static constexpr std::size_t kConfirming = 256;
  bool when_confirmed(std::function<void()> f);
  bool may_confirm() const { return confirming_ < kConfirming; }

  // Devices and tenants that have changed or gone.
  void registry_changed(const session::Concerned& who, base::Instant now);
  // The registry is complete, and what is not in it has gone.
  void registry_complete(base::Instant now);

  // A traced report was accepted in this turn. REQUIRES: options.traces.
  void report_taken(TracedReport r) { reports_.push_back(std::move(r)); }

  // -- session::SessionEvents
  void online(const session::Session& s) override;
  void offline(const session::Session& s, session::Offline cause) override;
  void finished(const session::Session& s, std::uint64_t seq, const session::OutEntry& entry,
                session::Finished how) override;
  void ended(const session::Session& s) override;

  // -- session::PlatformPorts
  void result(const session::Scope& device, const session::MessageView& m,
              base::Instant now) override;
  void request(const session::Scope& service, const session::MessageView& m,
               base::Instant now) override;
  void note(std::uint32_t source, std::string_view bytes, base::Instant now) override;

 private:
  // -- Records
  void put(std::string_view key, std::string_view value) override;
  void remove(std::string_view key) override;
  void when_durable(std::function<void()> f) override;
  void unhurried(const std::function<void()>& f) override;
  base::Instant now() const override { return now_; }
  void read(session::RecordRange range, session::Store::RecordsDone done) override;
  // -- Outcomes
  void accepted(const Entry& e) override;
  void finished(const Entry& e) override;
  void late_result(const Entry& e, const Result& r) override;
  void closed(const Entry& e) override { devices_.settled(e, "CLOSED"); }
  void publish(const Entry& e, const Result* late);
  void tell_reports();

  session::Context& cx_;
  session::Core& core_;
  Read read_;
  Traces* const traces_;
  std::vector<TracedReport> reports_;  // of this turn
  Commands commands_;
  DeviceWatch devices_;
  SignedRequests signed_requests_;
  Passages passages_;
  EndedSessions ended_sessions_;
  std::size_t confirming_ = 0;  // calls of when_confirmed() that wait
  base::Instant now_{};         // of the call under way
};

}  // namespace berth::platform
