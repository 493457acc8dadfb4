// What the platform side sees of registered devices in one partition: the events of their sessions
// become presence, and what follows from it. Owned by the Platform. Beginnings are noted when they
// come and acted on in end_turn(), in the same batch. The end of a connection is written at once,
// so that its edge keeps it until that is durable; but for one that another connection of its
// device follows, whose log-in must not wait for the store. While the store takes nothing, batches
// have no room: events wait, and history is left out and counted. One shard, one thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "platform/board.h"
#include "platform/command_record.h"
#include "platform/departures.h"
#include "platform/history.h"
#include "platform/insights.h"
#include "platform/presence.h"
#include "platform/quota_gate.h"
#include "platform/recent_events.h"
#include "platform/records.h"
#include "session/core.h"
#include "session/session_events.h"

namespace berth::platform {

class DeviceWatch final : public session::SessionEvents, private PresencePorts {
 public:
  // `core` and `records` outlive it.
  DeviceWatch(PlatformOptions options, session::Core& core, Records& records)
      : core_(core),
        records_(records),
        board_(records),
        presence_(options.presence, records, *this, board_),
        history_(options.history, records),
        departures_(records),
        insights_(core) {}
  DeviceWatch(const DeviceWatch&) = delete;
  DeviceWatch& operator=(const DeviceWatch&) = delete;

  static bool is_key(std::string_view key) {
    return Presence::is_key(key) || History::is_key(key) || RecentEvents::is_key(key) ||
           Board::is_key(key) || Departures::is_key(key);
  }
  void record(std::string_view key, std::string_view value);
  void forget_record(std::string_view key) {
    if (Presence::is_key(key)) presence_.forget(key);
    if (Board::is_key(key)) board_.forget(key);
    if (Departures::is_key(key)) departures_.forget(key);
  }

  void attached_all(base::Instant now);
  void end_turn(base::Instant now);
  void tick(base::Instant now);
  bool has_work() const {
    return attached_ &&
           (!notes_.empty() || !limits_.empty() || !firmwares_.empty() || !states_.empty() ||
            more_) &&
           has_room();
  }
  // Devices and tenants that have gone from the registry.
  void registry_changed(const session::Concerned& who);

  // A device reports its firmware: in the middle of a call into the core, for each such report.
  void reports_firmware(const session::Principal& device, std::string_view firmware);
  // A device reports the state of a part of it, likewise.
  void reports_state(const session::Principal& device, std::string_view site, StateReport r);
  // An immediate command has been accepted, or has its outcome.
  void commanded(const Entry& e, base::Instant now);
  // It has `state` now, as the API names it: a late result has come, or a person has closed it.
  void settled(const Entry& e, std::string_view state) {
    if (has_room()) board_.settled(e.asked.tenant, e.asked.device, e.asked.id, state);
  }
  // As the device has reported it to this partition; empty: it has not.
  std::string_view firmware_of(std::string_view tenant, std::string_view device) const {
    return presence_.firmware_of(id_of(tenant, device));
  }
  bool is_here(std::string_view tenant, std::string_view device) const {
    const Presence::Known* k = presence_.find(id_of(tenant, device));
    return k != nullptr && k->here != 0;
  }

  // Questions of edges, as presence.proto and history.proto have them. `answered` is called once,
  // perhaps within the call.
  using Answered = std::function<void(std::string answer)>;
  void ask_presence(std::string_view question, const Answered& answered) const;
  void ask_history(std::string_view question, Answered answered,
                   History::IsCalled is_called = {}) const {
    history_.ask(question, std::move(answered), std::move(is_called));
  }
  std::string ask_insights(std::string_view question) const {
    return insights_.answer(question, at(records_.now()));
  }
  std::string ask_departures(std::string_view question) const {
    return departures_.answer(question);
  }
  // The answer may leave when what this call has put is durable.
  std::string ask_events(std::string_view question);
  // Of a registered device: the outcome of a command, say.
  void happened(const Happening& told, base::Instant now);

  const Presence& presence() const { return presence_; }
  const Board& board() const { return board_; }
  void touch_board() { board_.touch_all(); }
  void refresh(metrics::EngineProbe& probe) const;  // counters and gauges

  // -- session::SessionEvents
  void online(const session::Session& s) override;
  void connection_ends(const session::Session& s, session::Offline cause,
                       protocol::link::CloseReason why) override;
  void offline(const session::Session&, session::Offline) override {}
  void finished(const session::Session&, std::uint64_t, const session::OutEntry&,
                session::Finished) override {}
  void ended(const session::Session&) override {}
  void refused(const session::Channel& ch, protocol::mqtt::Reason reason) override;
  void limited(const session::Channel& ch, session::Quota quota) override;

 private:
  struct Note {
    Presence::Id id = 0;
    base::SessionId session;  // of a beginning
    Visit visit = {};         // of an end
    Cause cause{};            // of an end; none: a beginning
    protocol::link::CloseReason why{};
  };

  // -- PresencePorts
  void publish(const PresenceEvent& e, std::function<void()> staged) override;
  bool is_registered(const Visit& v) const override;
  void stream(const PresenceEvent& e);

  At at(base::Instant now) const { return {now, core_.wall_ms(now)}; }
  bool has_room() const { return core_.commits.has_room(); }
  void act(const Note& n, base::Instant now);
  void tell_limits(base::Instant now);
  void tell_firmwares();
  void tell_states(base::Instant now);
  void review_place(const session::Principal& device);
  void forget_stale_notes();
  void end(const Note& n, base::Instant now);
  bool is_disabled(std::string_view principal_key) const;
  std::string site_of(const session::Principal& device) const;
  Presence::Id id_of(std::string_view tenant, std::string_view device) const;
  bool connection_of(std::string_view principal_key, Visit& out) const;

  session::Core& core_;
  Records& records_;
  Board board_;
  Presence presence_;
  History history_;
  Departures departures_;
  Insights insights_;
  RecentEvents recent_;
  QuotaGate quota_gate_;
  std::vector<Note> notes_;
  std::vector<std::pair<Visit, session::Quota>> limits_;  // kLimitsTold of a turn
  // Principal keys; kFirmwaresTold of a turn.
  std::vector<std::pair<std::string, std::string>> firmwares_;
  struct Said {
    std::string tenant, site, device;
    StateReport report;
  };
  std::vector<Said> states_;           // kStatesTold of a turn
  std::uint64_t states_left_out_ = 0;  // for which there was no room
  bool attached_ = false;
  bool more_ = false;  // events are due that had no room in a turn
};

// Of a session with a connection; false: not a registered device's.
bool visit_of(const session::Session& s, Visit& out);

}  // namespace berth::platform
