// One command of a platform to a device, from its acceptance to its one final state
// (docs/design.md, "Commands"). A state machine without memory of its own, clock or I/O: what has
// happened goes in, Command changes, and the caller writes the record and does what follows.
//
//   accepted -> waiting -> handed -> sent -> received -> done; from each of them to done
//
// Three facts are kept apart: the bytes were written to the device's connection (sent), the
// device's firmware has acknowledged them (received), the device has said what came of it (a
// result). What is known at the deadline decides: a command of which no byte was written EXPIRED or
// was NOT_DELIVERED and may be repeated without harm; one that may have reached the device is
// UNCERTAIN, and no machine may repeat it. A final state never changes; a result that comes later
// is kept beside it. Plain functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace berth::platform {

// Of the command's type, not of its caller. Numbers are stored: append only.
enum class Delivery : std::uint8_t {
  immediate = 1,  // to a device that is connected now, or not at all: open a barrier
  latest = 2,     // the newest of each slot: a display's text
  queued = 3,     // in order, also to a device that comes later: a white list
  must = 4,       // again at each connection until the device acknowledges: stop a charge
  desired = 5     // a state that the device keeps, the newest counts: a barrier held open
};

enum class State : std::uint8_t {
  accepted = 1,  // durable, nothing done yet
  waiting = 2,   // for the device to connect
  handed = 3,    // to the engine of the device's session; no word yet of what came of it
  sent = 4,      // the edge has written it
  received = 5,  // the device's protocol has acknowledged it (PUBACK, RECEIVED)
  done = 6
};

enum class Outcome : std::uint8_t {
  none = 0,
  succeeded = 1,
  failed = 2,         // the device has tried
  rejected = 3,       // the device has refused
  expired = 4,        // not sent before the deadline: safe to repeat
  not_delivered = 5,  // not sent, and will not be: safe to repeat
  uncertain = 6       // may have been executed
};

const char* name_of(Delivery d);
const char* name_of(State s);
const char* name_of(Outcome o);

// What a device says: CommandResult of protocol/messages/envelope.proto.
struct Result {
  Outcome outcome = Outcome::none;  // succeeded, failed or rejected; uncertain: it does not know
  std::string code;
  std::string text;
  bool repeated = false;  // DUPLICATE: of the first time it got this id
};

// The same request is refused with this code as long as neither the request nor the registry
// changes (docs/platform.md, Refusals).
bool is_refused_again(std::string_view code);

struct Transition {
  std::int64_t wall_ms = 0;
  State state{};
  std::string note;  // a word on why; may be empty
};
inline constexpr std::size_t kTransitionsMax = 32;  // of a command; the first and the last are kept

// How long after the deadline an edge's word is waited for that says whether a command was written:
// it is late only when an engine has died, or a link broke, and another engine is not there yet.
inline constexpr std::int64_t kWordGraceMs = 10'000;

struct Command {
  Delivery delivery = Delivery::immediate;
  State state = State::accepted;
  Outcome outcome = Outcome::none;
  // On the clock of messages (base/clocks.h). kNever: none, of MUST only.
  base::Instant deadline = base::kNever;
  // After it was sent, so long for the result, and not less than until its deadline.
  std::int64_t result_ms = 60'000;
  base::Instant sent_at = base::kNever;  // first time
  std::uint32_t attempt = 0;             // how often it was handed to an engine
  std::uint32_t unanswered = 0;          // of these: no word yet of what came of them
  bool was_received = false;
  std::string code;  // why, stable: "device_offline"; or the device's own code
  std::string text;
  std::vector<Transition> log;
  // Of a result that came after the final state: kept, never the outcome.
  bool has_late_result = false;
  Result late_result;

  bool done() const { return state == State::done; }
  bool was_sent() const { return sent_at != base::kNever; }
  // By a caller: a device's answer may have the same code.
  bool was_cancelled() const { return done() && code == "cancelled" && !was_received; }
  // A machine may send the command again: the device can't execute it twice by that, its platform
  // has not given it up, and the gateway does not refuse the same request again.
  bool safe_to_repeat() const {
    const bool taken_back = !was_received && (code == "cancelled" || code == "replaced");
    return outcome == Outcome::expired ||
           (outcome == Outcome::rejected && !is_refused_again(code)) ||
           (outcome == Outcome::not_delivered && !taken_back);
  }
};

// What an event has changed.
enum class Change : std::uint8_t {
  none,      // nothing that need be stored
  recorded,  // the record is to be written
  finished,  // and its one outcome is to be told
  late       // a result beside the final state; to be counted
};

// All times of a call are of one moment: `now` on the clock of messages, `wall_ms` for people.
struct At {
  base::Instant now;
  std::int64_t wall_ms = 0;
};

// It waits for its device to connect. REQUIRES: not immediate; state accepted, or handed and
// dropped.
Change wait(Command& c, At at);
// It goes to the engine of its device's session now, as attempt c.attempt afterwards. Finishes it
// instead if it is too late (expired). REQUIRES: not done.
Change hand(Command& c, At at);

// DESIRED: its document is in force and the device is connected, so that the device may have it.
Change told(Command& c, At at);

// -- words of the engine that has the session, about attempt `attempt`
// The edge has written all of it.
Change sent(Command& c, std::uint32_t attempt, At at);
// No byte of it was written, and none will be. A queued one waits again, unless it is too late.
Change dropped(Command& c, std::uint32_t attempt, std::string_view code, At at);
// The device's protocol has acknowledged it.
Change received(Command& c, std::uint32_t attempt, At at);
// The connection has ended with bytes of the command that the device had not acknowledged, at the
// deadline by the edge's doing: they may have arrived all the same. Ends an immediate command, and
// others whose queue has gone with it. May follow sent().
Change cut_off(Command& c, std::uint32_t attempt, std::string_view code, At at);
// The device's protocol has refused it (PUBREC with an error).
Change refused(Command& c, std::uint32_t attempt, std::string_view code, At at);

Change result(Command& c, const Result& r, At at);
// DESIRED: another state has taken its place, or none (`code`). UNCERTAIN if the device may have
// it.
Change take_back(Command& c, std::string_view code, At at);
// By its platform. Only what was not handed out yet, or is known not to be sent, ends at once, and
// what is DESIRED; what may be on its way goes on, and false is what the platform is told: too late
// to cancel.
bool cancel(Command& c, At at, Change& change);
// It cannot be sent to this device, ever: no such device, capability, way. REQUIRES: never handed.
Change refuse(Command& c, Outcome outcome, std::string_view code, std::string_view text, At at);

// When expire() is to be called next; kNever: not before something else happens.
base::Instant due(const Command& c);
// The time that due() named has come.
Change expire(Command& c, At at);

}  // namespace berth::platform
