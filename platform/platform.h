// What the platform behind the gateway works with, in one partition: its rooms, and what they share
// (docs/adr/0021). Owned by the engine, beside the Broker whose core it watches. Events of the core
// are noted when they come and acted on in end_turn(), in the same batch. One shard, one thread.
#pragma once

#include <functional>
#include <string_view>

#include "base/clock.h"
#include "platform/records.h"
#include "session/core.h"
#include "session/live_records.h"
#include "session/session_events.h"
#include "session/store.h"

namespace berth::platform {

class Platform final : public session::SessionEvents, public session::LiveRecords, private Records {
 public:
  // Answers `done` once, later, on the shard's thread.
  using Read = std::function<void(session::RecordRange, session::Store::RecordsDone done)>;
  // `core` outlives it.
  Platform(session::Core& core, Read read) : core_(core), read_(std::move(read)) {}
  Platform(const Platform&) = delete;
  Platform& operator=(const Platform&) = delete;

  // -- restored, before attached_all()
  void record(std::string_view key, std::string_view value) override;
  void forget_record(std::string_view key) override;

  // -- from the engine. attached_all(): connections that the engine before us had are known, or
  // their edges are out of reach.
  void attached_all(base::Instant now);
  // At the end of each turn, after the Broker's: acts on what was noted. True: it has changed
  // something that the turn's flush is to carry.
  void end_turn(base::Instant now);
  void tick(base::Instant now);  // about once a second

  // -- session::SessionEvents
  void online(const session::Session& s) override;
  void offline(const session::Session& s, session::Offline cause) override;
  void finished(const session::Session& s, std::uint64_t seq, const session::OutEntry& entry,
                session::Finished how) override;
  void ended(const session::Session& s) override;

 private:
  // -- Records
  void put(std::string_view key, std::string_view value) override;
  void remove(std::string_view key) override;
  void when_durable(std::function<void()> f) override;
  void read(session::RecordRange range, session::Store::RecordsDone done) override;

  session::Core& core_;
  Read read_;
  base::Instant now_{};  // of the call under way
};

}  // namespace berth::platform
