// What is stored by a clock that is corrected, or was wrong: sessions keep their time, messages are
// never used too late, whatever the wall clock says.
#include <gtest/gtest.h>

#include "tests/support/park_world.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

using base::Clocks;
using base::Instant;
using base::WallClock;

constexpr std::int64_t kDay = 86'400'000;
constexpr std::int64_t kYear = 365 * kDay;
constexpr std::int64_t k2016 = 1'451'606'400'000;
constexpr std::int64_t k2026 = 1'767'225'600'000;
constexpr std::uint32_t kWeek_s = 7 * 86'400;

std::string expires(unsigned s) {
  return std::string("\x02", 1) + u16(s >> 16) + u16(s & 0xffff);
}

// A session with one message in its queue, if `expiry_s` is not 0 with that expiry.
void leave_queue(World& w, unsigned expiry_s) {
  const int a = w.open_connected({.client_id = "a", .clean = false, .properties = expiry(kWeek_s)});
  w.feed(a, subscribe(1, "t", 1));
  w.close(a);
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("t", "x", 1, 1, 5, false, false, expiry_s != 0 ? expires(expiry_s) : ""));
  w.close(p);
  w.keep_clock();
}

struct Got {
  bool present = false;
  std::vector<std::uint32_t> expiry_s;  // of each message; 0: none
};

Got come(World& w) {
  Got got;
  const int a = w.open_connected({.client_id = "a", .clean = false, .properties = expiry(kWeek_s)});
  for (const Packet& k : w.packets(a)) {
    if (k.type == 2) got.present = (k.body[0] & 1) != 0;
    if (k.type != 3) continue;
    const std::string p = k.properties(5);
    std::uint32_t s = 0;
    for (int i = 1; i <= 4 && p.size() >= 5 && p[0] == 2; ++i)
      s = s << 8 | static_cast<unsigned char>(p[static_cast<std::size_t>(i)]);
    got.expiry_s.push_back(s);
  }
  w.close(a);
  return got;
}

// -- a clock that starts in 2016

TEST(Clock, ACorrectionByTenYearsKeepsASession) {
  World w;
  w.begin_with_wall(k2016);
  leave_queue(w, 0);
  w.set_wall(k2026);
  w.advance_s(1);
  ASSERT_EQ(w.jumps().size(), 1u);
  EXPECT_EQ(w.jumps()[0].by_ms, k2026 - k2016);
  w.crash();  // the next engine starts with the right clock
  w.advance_s(1);
  Got got = come(w);
  EXPECT_TRUE(got.present);
  EXPECT_EQ(got.expiry_s, std::vector<std::uint32_t>{0});
  w.advance_s(static_cast<int>(kWeek_s) - 10);
  EXPECT_EQ(w.broker().session_count(), 1u);
  w.advance_s(20);
  EXPECT_EQ(w.broker().session_count(), 0u) << "and not for longer than a week";
}

TEST(Clock, CorrectedWhileNoEngineRan) {
  World w;
  w.begin_with_wall(k2016);
  leave_queue(w, 0);
  w.reboot(90, k2026);  // powered off in 2016
  w.advance_s(1);
  ASSERT_FALSE(w.jumps().empty());
  EXPECT_TRUE(w.jumps().back().unknown);
  EXPECT_TRUE(come(w).present);
}

TEST(Clock, ABoxWithoutAClockStartsInThePast) {
  World w;
  w.begin_with_wall(k2026);
  leave_queue(w, 0);
  w.pass_s(3600);
  w.keep_clock();
  w.reboot(90, k2016);
  EXPECT_TRUE(w.jumps().back().unknown);
  w.advance_s(60);
  w.set_wall(k2026 + 2 * 3'600'000);
  w.advance_s(1);
  EXPECT_TRUE(come(w).present);
  w.advance_s(static_cast<int>(kWeek_s) + 1);
  EXPECT_EQ(w.broker().session_count(), 0u);
}

TEST(Clock, TimeThatTheMachineWasOffCounts) {
  World w;
  w.begin_with_wall(k2026);
  leave_queue(w, 60);
  w.reboot(90, k2026 + 30'000);
  EXPECT_EQ(come(w).expiry_s, std::vector<std::uint32_t>{30});
  w.reboot(91, k2026 + 8 * kDay);
  w.advance_s(1);
  EXPECT_EQ(w.broker().session_count(), 0u) << "its week has passed";
}

// -- no remaining time grows

TEST(Clock, ADayBackAndAnExpiryOf60LeavesAs60AtMost) {
  for (const int engine :
       {0, 1, 2}) {  // the same, the next, the next after the clock was set again
    World w;
    w.begin_with_wall(k2026);
    leave_queue(w, 60);
    w.set_wall(k2026 - kDay);
    if (engine != 0) w.crash();
    w.pass_s(10);
    if (engine == 2) w.keep_clock();
    if (engine == 2) w.crash();
    const Got got = come(w);
    EXPECT_TRUE(got.present);
    EXPECT_EQ(got.expiry_s, std::vector<std::uint32_t>{50}) << engine;
    EXPECT_EQ(w.jumps()[0].by_ms, -kDay);
  }
}

TEST(Clock, ADayBackDoesNotLetALateMessageOut) {
  World w;
  w.begin_with_wall(k2026);
  leave_queue(w, 60);
  w.set_wall(k2026 - kDay);
  w.pass_s(61);
  EXPECT_TRUE(come(w).expiry_s.empty());
}

TEST(Clock, ForwardMayBeAPauseOfTheMachine) {
  World w;
  w.begin_with_wall(k2026);
  leave_queue(w, 60);
  w.set_wall(k2026 + 3'600'000);
  const Got got = come(w);
  EXPECT_TRUE(got.present);
  EXPECT_TRUE(got.expiry_s.empty()) << "it may be an hour late";
  leave_queue(w, 60);
  EXPECT_EQ(come(w).expiry_s, std::vector<std::uint32_t>{60}) << "what came since is in time";
}

TEST(Clock, BackWhileTheMachineWasOffIsNotKnown) {
  World w;
  w.begin_with_wall(k2026);
  leave_queue(w, 86'400);
  w.reboot(90, k2026 - kDay);
  const Got got = come(w);
  EXPECT_TRUE(got.present);
  EXPECT_TRUE(got.expiry_s.empty());
  EXPECT_TRUE(w.jumps()[0].unknown);
}

TEST(Clock, TheNextEngineKnowsWhatIsTooLate) {
  World w;
  w.begin_with_wall(k2026);
  leave_queue(w, 60);
  w.set_wall(k2026 + 3'600'000);
  w.keep_clock();
  w.set_wall(k2026);
  w.crash();
  EXPECT_TRUE(come(w).expiry_s.empty());
}

// -- commands by the clock that a device has

TEST(Clock, ADeadlineIsRightByTheClockThatADeviceHas) {
  World w;
  w.begin_with_wall(k2016);
  const int p = w.open_connected({.client_id = "platform"});
  WorldDevice d(w, {.client_id = "gate"});
  d.come();
  w.set_wall(k2026);
  w.feed(p, publish("v1/_/gate/cmd/1/req/open", "a", 1, 1, 5, false, false, expires(5)));
  d.pump();
  EXPECT_EQ(d.last_ttl_ms, 5000u);
  EXPECT_EQ(d.last_deadline_ms, static_cast<std::uint64_t>(k2016 + 5000))
      << "its clock is of 2016; by one of 2026 it is too late";
  w.pass_s(46);  // it has asked since, or its connection has ended
  w.feed(p, publish("v1/_/gate/cmd/2/req/open", "a", 1, 2, 5, false, false, expires(5)));
  d.pump();
  EXPECT_EQ(d.last_deadline_ms, static_cast<std::uint64_t>(w.wall() + 5000));
  w.set_wall(w.wall() - kDay);
  w.feed(p, publish("v1/_/gate/cmd/3/req/open", "a", 1, 3, 5, false, false, expires(5)));
  d.pump();
  EXPECT_EQ(d.last_deadline_ms, static_cast<std::uint64_t>(w.wall() + 5000));
}

// -- the clock itself

struct Machine {
  WallClock::Reading at{k2026, 1'000'000};
  std::uint64_t boot = 7;
  WallClock clock() {
    return WallClock([this] { return at; }, boot);
  }
  void pass(std::int64_t ms) {
    at.wall_ms += ms;
    at.boot_ms += ms;
  }
};

TEST(Clock, IsTheWallClockWhileThatIsRight) {
  Machine m;
  WallClock c = m.clock();
  EXPECT_EQ(c.now(), Instant{k2026});
  m.pass(3'600'000);  // asleep as well: CLOCK_BOOTTIME counts it
  EXPECT_EQ(c.now(), Instant{k2026 + 3'600'000});
  EXPECT_FALSE(c.take_jump());
  EXPECT_EQ(c.clocks().messages, 0);
  EXPECT_EQ(c.clocks().wall, 0);
}

TEST(Clock, SmallCorrectionsAreFollowedAndNotCounted) {
  Machine m;
  WallClock c = m.clock();
  m.at.wall_ms += 200;
  EXPECT_EQ(c.now(), Instant{k2026});
  EXPECT_FALSE(c.take_jump());
  EXPECT_EQ(c.clocks().wall, 200);
  EXPECT_EQ(c.clocks().messages, 200);
  m.at.wall_ms -= 200;
  c.now();
  EXPECT_EQ(c.clocks().wall, 0);
  EXPECT_EQ(c.clocks().messages, 200) << "it never goes back";
}

TEST(Clock, AProcessHeldUpBetweenTwoReadingsSeesNoJump) {
  Machine m;
  bool held_up = false;
  WallClock c(
      [&] {
        const WallClock::Reading r = m.at;
        if (!std::exchange(held_up, false)) return r;
        m.pass(700);
        return WallClock::Reading{r.wall_ms, m.at.boot_ms};
      },
      1);
  held_up = true;
  EXPECT_EQ(c.now(), Instant{k2026 + 700});
  EXPECT_FALSE(c.take_jump());
}

TEST(Clock, MachinesOfAClusterMayDifferByLittle) {
  Machine a;
  WallClock first = a.clock();
  const WallClock::Reference kept = first.reference();
  Machine b{.at = {k2026 - 3000, 40'000}, .boot = 8};
  WallClock second = b.clock();
  EXPECT_EQ(second.go_on(kept).by_ms, 0);
  EXPECT_EQ(second.now(), Instant{k2026}) << "it does not go back";
  EXPECT_EQ(second.clocks().messages, 0);
  b.at.wall_ms -= 10'000;
  WallClock third = b.clock();
  EXPECT_TRUE(third.go_on(kept).unknown);
}

TEST(Clock, WhatIsStoredIsReadAgain) {
  Machine m;
  m.at.wall_ms = k2026 + 5 * kYear;
  WallClock c = m.clock();
  const WallClock::Reference r = c.reference();
  const auto again = WallClock::Reference::decode(r.encode());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->encode(), r.encode());
  EXPECT_FALSE(WallClock::Reference::decode("nonsense"));
}

TEST(Clock, OfThisMachine) {
  WallClock c;
  EXPECT_LT(std::abs(c.now().ms - base::wall_time().ms), 2000);
  EXPECT_NE(WallClock::this_boot(), 0u);
  EXPECT_GE(base::boot_time().ms, base::monotonic_ns() / 1'000'000);
}

}  // namespace
}  // namespace berth::test
