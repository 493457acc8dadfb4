#include "base/wall_clock.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <utility>

#include "base/bytes.h"

namespace berth::base {
namespace {

std::int64_t read_ms(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1'000'000;
}

constexpr std::int64_t kReadTogether_ms = 10;

std::uint64_t fnv(std::string_view s) {
  std::uint64_t h = 0xcbf29ce484222325ULL;
  for (const char c : s) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return h;
}

}  // namespace

Instant wall_time() {
  return {WallClock::read_kernel().wall_ms};
}

Instant boot_time() {
  return {read_ms(CLOCK_BOOTTIME)};
}

WallClock::Reading WallClock::read_kernel() {
  return {read_ms(CLOCK_REALTIME), read_ms(CLOCK_BOOTTIME)};
}

std::uint64_t WallClock::this_boot() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  in >> id;
  return id.empty() ? 0 : fnv(id);
}

WallClock::WallClock(Source source, std::uint64_t boot) : source_(std::move(source)), boot_(boot) {
  const Reading r = steady_reading();
  time_ahead_ = wall_ahead_ = r.wall_ms - r.boot_ms;
}

// Both clocks of one moment: a process that was held up between the two has not seen a jump.
WallClock::Reading WallClock::steady_reading() const {
  Reading r = source_();
  for (int i = 0; i < 5; ++i) {
    const Reading again = source_();
    const bool together = again.boot_ms - r.boot_ms <= kReadTogether_ms;
    r = again;
    if (together) break;
  }
  return r;
}

WallClock::Jump WallClock::go_on(const Reference& s) {
  const Reading r = steady_reading();
  const std::int64_t by_wall = r.wall_ms - s.wall_ms;
  const bool same_boot = boot_ != 0 && s.boot == boot_ && r.boot_ms >= s.boot_ms;
  std::int64_t passed = std::max<std::int64_t>(by_wall, 0);
  std::int64_t for_messages = passed;
  Jump jump;
  if (same_boot) {
    passed = r.boot_ms - s.boot_ms;
    for_messages = std::max(passed, by_wall);
    jump.by_ms = by_wall - passed;
  } else if (by_wall < -kSkew_ms) {
    for_messages = kUnknown_ms;
    jump = {by_wall, true};
  } else if (s.wall_ms < kRelease_ms && r.wall_ms >= kRelease_ms) {
    passed = 0;
    jump = {by_wall, true};
  }
  if (std::abs(jump.by_ms) < kJump_ms) jump = {};
  wall_ahead_ = r.wall_ms - r.boot_ms;
  time_ahead_ = s.time_ms + passed - r.boot_ms;
  clocks_.messages = s.messages_ms + for_messages - s.time_ms - passed;
  clocks_.wall = wall_ahead_ - time_ahead_;
  clocks_.wall_before = same_boot ? s.wall_before_ms : clocks_.wall;
  if (same_boot) clocks_.forward_at = {s.forward_at_ms};
  if (same_boot && jump.by_ms > 0) {
    clocks_.wall_before = s.wall_ms - s.time_ms;
    clocks_.forward_at = {s.time_ms + passed};
  }
  return jump;
}

Instant WallClock::now() {
  Reading r = source_();
  if (std::abs(r.wall_ms - r.boot_ms - wall_ahead_) >= kJump_ms) r = steady_reading();
  const Instant now{r.boot_ms + time_ahead_};
  if (r.wall_ms - r.boot_ms != wall_ahead_) follow(r.wall_ms - r.boot_ms, now);
  return now;
}

// Less than a jump is as well the time between the two readings: it is followed when it is more
// than that. Slewing moves both clocks, so nothing creeps.
void WallClock::follow(std::int64_t wall_ahead_of_boot, Instant now) {
  const std::int64_t by = wall_ahead_of_boot - wall_ahead_;
  if (std::abs(by) <= kReadTogether_ms) return;
  if (std::abs(by) < kJump_ms) {
    const Reading r = steady_reading();
    if (std::abs(r.wall_ms - r.boot_ms - wall_ahead_) <= kReadTogether_ms) return;
  } else {
    jump_ = Jump{by + (jump_ ? jump_->by_ms : 0)};
  }
  if (by > 0) {
    clocks_.messages += by;
    clocks_.wall_before = clocks_.wall;
    clocks_.forward_at = now;
  }
  wall_ahead_ = wall_ahead_of_boot;
  clocks_.wall = wall_ahead_ - time_ahead_;
  changed_ = true;
}

std::optional<WallClock::Jump> WallClock::take_jump() {
  return std::exchange(jump_, std::nullopt);
}

WallClock::Reference WallClock::reference() {
  const Instant t = now();
  return {.time_ms = t.ms,
          .messages_ms = t.ms + clocks_.messages,
          .wall_ms = t.ms + clocks_.wall,
          .boot_ms = t.ms - time_ahead_,
          .boot = boot_,
          .wall_before_ms = clocks_.wall_before,
          .forward_at_ms = clocks_.forward_at.ms};
}

// 1:u8 then seven numbers of 8 bytes, in the order of the fields.
std::string WallClock::Reference::encode() const {
  std::string out(1, '\1');
  for (const std::int64_t v : {time_ms, messages_ms, wall_ms, boot_ms,
                               static_cast<std::int64_t>(boot), wall_before_ms, forward_at_ms})
    put_key64(out, static_cast<std::uint64_t>(v));
  return out;
}

std::optional<WallClock::Reference> WallClock::Reference::decode(std::string_view in) {
  std::array<std::int64_t, 7> v{};
  if (in.size() < 1 + 8 * v.size() || in.front() != '\1') return std::nullopt;
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<std::int64_t>(get_key64(in.substr(1 + 8 * i)));
  return Reference{v[0], v[1], v[2], v[3], static_cast<std::uint64_t>(v[4]), v[5], v[6]};
}

}  // namespace berth::base
