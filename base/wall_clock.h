// The time that deadlines are counted and stored by while the wall clock is corrected, or wrong.
// Held by value by whoever stores deadlines (an engine); one thread. Reads two clocks of the kernel
// a call, no system call (vDSO).
//
// Three clocks, each ahead of or behind the other by what Clocks says:
//
//   time      what is passed to the core as `now`; deadlines of sessions and wills. It goes at the
//             pace of CLOCK_BOOTTIME and never jumps: while a process lives, from one process to
//             the next on the same boot, and when the wall clock is corrected.
//   messages  Message Expiry and the deadlines of commands. The same, and a leap of the wall clock
//             forward counts as time that has passed: the machine may have been paused, so what was
//             to be used before then is too late rather than late. It never goes back.
//   wall      what the wall clock says, also right after a correction.
//
// After a restart they go on from the Reference that was stored. How much time has passed between
// is known on the same boot of the machine. Else the wall clock says it, unless that is not
// believable: it is more than kSkew behind the stored one, or the stored one is older than this
// release. Then `time` goes on where it was (a session lives longer than it should, never
// shorter), and `messages` as if everything had passed (nothing is used too late).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/clocks.h"

namespace berth::base {

Instant wall_time();  // what the wall clock says now; may go back. Thread-safe.
Instant boot_time();  // since the machine was started, also while it sleeps. Thread-safe.

class WallClock {
 public:
  static constexpr std::int64_t kJump_ms = 500;   // less is followed and not counted
  static constexpr std::int64_t kSkew_ms = 5000;  // between machines
  static constexpr std::int64_t kUnknown_ms = std::int64_t{366} * 86'400'000;
  static constexpr std::int64_t kRelease_ms =
      1'764'547'200'000;  // 2025-12-01: no clock is right before

  struct Reading {
    std::int64_t wall_ms = 0;
    std::int64_t boot_ms = 0;
  };
  using Source = std::function<Reading()>;
  // What a Store keeps of the clock.
  struct Reference {
    std::int64_t time_ms = 0;
    std::int64_t messages_ms = 0;
    std::int64_t wall_ms = 0;
    std::int64_t boot_ms = 0;
    std::uint64_t boot = 0;           // which boot of which machine
    std::int64_t wall_before_ms = 0;  // of Clocks, when it was written
    std::int64_t forward_at_ms = 0;
    std::string encode() const;
    static std::optional<Reference> decode(std::string_view in);
  };
  struct Jump {
    std::int64_t by_ms = 0;  // of the wall clock; 0: none
    bool unknown = false;    // how much time has passed is not known
  };

  WallClock() : WallClock(read_kernel, this_boot()) {}
  // Tests. `boot` not 0.
  WallClock(Source source, std::uint64_t boot);

  // Goes on from what was stored. Before now() is asked for the first time, or `time` leaps.
  Jump go_on(const Reference& stored);
  Instant now();
  // What now() has found since it was asked last.
  std::optional<Jump> take_jump();
  const Clocks& clocks() const { return clocks_; }
  // True once after they have changed.
  bool changed() { return std::exchange(changed_, false); }
  Reference reference();

  static Reading read_kernel();
  static std::uint64_t this_boot();  // of /proc/sys/kernel/random/boot_id; 0: not known

 private:
  Reading steady_reading() const;
  void follow(std::int64_t wall_ahead_of_boot, Instant now);

  Source source_;
  std::uint64_t boot_;
  std::int64_t time_ahead_ = 0;  // of CLOCK_BOOTTIME
  std::int64_t wall_ahead_ = 0;  // the same, of the wall clock
  Clocks clocks_;
  bool changed_ = true;
  std::optional<Jump> jump_;
};

}  // namespace berth::base
