// Packets of commands at an edge (docs/design.md, "Deadlines"): what engines hear of what has
// become of them.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "tests/support/edge_deadlines.h"

namespace berth::gateway::edge {
namespace {

using namespace protocol::link;
using test::kEngineNow;
using test::kHour_ms;
using test::PairDeadlines;
using test::Parts;

constexpr std::int64_t kSoon = kEngineNow + kHour_ms;
constexpr std::int64_t kLater = kEngineNow + 3 * kHour_ms;

using Fates = std::vector<test::EdgeBox::Fated>;
test::EdgeBox::Fated fated(std::uint64_t n, Fate fate) {
  return {kCommandTag | n, fate};
}
std::vector<std::uint64_t> tags(std::initializer_list<std::uint64_t> all) {
  std::vector<std::uint64_t> out;
  for (const std::uint64_t n : all) out.push_back(kCommandTag | n);
  return out;
}

struct Commands : PairDeadlines {
  using PairDeadlines::PairDeadlines;
  bool told(std::size_t n) {
    return run_until([&] { return fates.size() >= n; });
  }
  // The next engine of this link.
  void next_engine(std::uint64_t version = kVersion) {
    edge.engine_gone();
    say_ready(version);
    const int before = readies + 1;
    EXPECT_TRUE(run_until([&] { return readies == before; }));
    order.clear();
    fates.clear();
    pending.clear();
    const int replayed = inputs + 1;
    edge.engine_ready();
    EXPECT_TRUE(run_until([&] { return inputs == replayed; }));
  }
};

TEST(EdgeCommands, EachWatchedPacketGetsOneFate) {
  Commands e;
  e.say_parts(Parts()
                  .plain("<a>")
                  .watched("<in time>", kSoon, 1)
                  .watched("<late>", kEngineNow - 1, 2)
                  .timed("<not watched>", kSoon, 3)
                  .watched("<two>", kSoon, 4));
  EXPECT_TRUE(e.hears("<a><in time><not watched><two>")) << e.to_device;
  ASSERT_TRUE(e.told(3));
  EXPECT_EQ(e.fates,
            (Fates{fated(2, Fate::dropped), fated(1, Fate::written), fated(4, Fate::written)}));
  EXPECT_EQ(e.expired, test::Tags{});
  EXPECT_EQ(e.probe.words_written, 2u);
  EXPECT_EQ(e.probe.words_dropped, 1u);
}

TEST(EdgeCommands, APacketIsWrittenWhenTheSocketHasItsLastByte) {
  Commands e;
  const std::string filled = e.fill();
  e.say_parts(Parts().watched("<one>", kSoon, 1).watched("<two>", kLater, 2));
  EXPECT_EQ(e.fates, Fates{});
  e.pass_s(2 * 3600);
  EXPECT_TRUE(e.hears(filled + "<two>"));
  ASSERT_TRUE(e.told(2));
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::dropped), fated(2, Fate::written)}));
}

// Before the engine hears of the end: it may have said how the command ended by then.
TEST(EdgeCommands, TheFatesOfAConnectionThatEndsComeBeforeItsEnd) {
  Commands e;
  const std::string filled = e.fill();
  ASSERT_TRUE(e.hears(filled));
  e.reads = false;
  const std::string large(8u << 20, '#');  // more than the socket takes
  e.say_parts(Parts().watched(large, kSoon, 1).watched("<two>", kSoon, 2).timed("<3>", kSoon, 3));
  ASSERT_GT(e.unsent(), 8u);
  e.order.clear();
  ::shutdown(e.device.far, SHUT_RDWR);
  ASSERT_TRUE(e.run_until([&] { return e.closes == 1; }));
  EXPECT_EQ(e.order, "FFC");
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::cut_off), fated(2, Fate::dropped)}));
  EXPECT_EQ(e.expired, test::Tags{});
}

// What an engine sends before it hears of the end: it waits for the fate before it releases the
// connection (session/edge_words.h).
TEST(EdgeCommands, APacketForAConnectionThatHasEndedIsDropped) {
  Commands e;
  ::shutdown(e.device.far, SHUT_RDWR);
  ASSERT_TRUE(e.run_until([&] { return e.closes == 1; }));
  e.say_parts(Parts().watched("<one>", kSoon, 1).timed("<two>", kSoon, 2));
  ASSERT_TRUE(e.told(1));
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::dropped)}));
  e.next_engine();
  EXPECT_EQ(e.order, "AFZIC");
}

TEST(EdgeCommands, APacketForAConnectionThatClosesIsDropped) {
  Commands e;
  e.fill();
  Step close = e.step(e.attached.attach_epoch, e.out_off, {});
  close.has_close = true;
  close.reason = CloseReason::policy;
  Step more = e.step(e.attached.attach_epoch, e.out_off, "<one>");
  more.has_parts = more.has_commands = true;
  more.parts = {{0, 5, {{kSoon}, kCommandTag | 1, true}}};
  e.say_turn({close, more});
  ASSERT_TRUE(e.told(1));
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::dropped)}));
}

TEST(EdgeCommands, FatesAreRepeatedToEachEngineUntilOneHasTakenThem) {
  Commands e;
  e.say_parts(Parts().watched("<a>", kSoon, 1).watched("<b>", kEngineNow - 1, 2));
  ASSERT_TRUE(e.told(2));
  e.say_fate_taken(2, Fate::dropped);
  e.next_engine();  // the other died before what follows was durable
  EXPECT_EQ(e.order, "AFZI") << "before all connections are attached";
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::written)}));
  e.say_fate_taken(1, Fate::written);
  e.next_engine();
  EXPECT_EQ(e.order, "AZI");
  EXPECT_EQ(e.probe.words_written, 1u) << "counted once";
}

// An engine that begins knows of each packet of the engine before: told, pending, or it has never
// come.
TEST(EdgeCommands, WhatIsUndecidedIsListedForTheNextEngine) {
  Commands e;
  const std::string filled = e.fill();
  e.say_parts(Parts()
                  .watched("<late>", kEngineNow - 1, 1)
                  .watched("<two>", kSoon, 2)
                  .timed("<not watched>", kSoon, 3)
                  .watched("<four>", kLater, 4));
  ASSERT_TRUE(e.told(1));
  e.next_engine();
  EXPECT_EQ(e.order, "APPFZI");
  EXPECT_EQ(e.pending, tags({2, 4}));
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::dropped)}));
  e.fates.clear();
  e.pass_s(2 * 3600);
  EXPECT_TRUE(e.hears(filled + "<four>"));
  ASSERT_TRUE(e.told(2));
  EXPECT_EQ(e.fates, (Fates{fated(2, Fate::dropped), fated(4, Fate::written)}));
}

// A connection that ends while no engine serves.
TEST(EdgeCommands, TheFatesOfAnEndInTheGapAreTold) {
  Commands e;
  e.fill();
  e.say_parts(Parts().watched("<one>", kSoon, 1));
  e.edge.engine_gone();
  ::shutdown(e.device.far, SHUT_RDWR);
  const auto is_over = [&] {
    e.edge.refresh_gauges();
    return e.edge.open_connections() == 0;
  };
  ASSERT_TRUE(e.run_until(is_over));
  EXPECT_EQ(e.fates, Fates{});
  e.order.clear();
  e.edge.engine_ready();
  ASSERT_TRUE(e.run_until([&] { return e.closes == 1; }));
  EXPECT_EQ(e.order, "AFZIC");
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::dropped)}));
}

TEST(EdgeCommands, AnEngineOfTheReleaseBeforeHearsNothing) {
  Commands e;
  e.say_parts(Parts().watched("<a>", kSoon, 1));
  ASSERT_TRUE(e.told(1));
  e.next_engine(kFatesSince - 1);
  EXPECT_EQ(e.order, "AZI");
  e.next_engine();
  EXPECT_EQ(e.order, "AFZI");
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::written)}));
}

TEST(EdgeCommands, GoWithTheirConnectionToAnotherProcess) {
  Commands e;
  const std::string filled = e.fill();
  e.say_parts(Parts()
                  .watched("<late>", kEngineNow - 1, 1)
                  .watched("<one>", kSoon, 2)
                  .watched("<two>", kLater, 3));
  ASSERT_TRUE(e.told(1));
  test::EdgeBox next;
  next.say_ready(kVersion);
  next.say_clock(kEngineNow);
  next.passed_ms = e.passed_ms;
  const std::string rest = e.edge.hand_over(
      [&](std::string_view record, int fd) { EXPECT_TRUE(next.edge.adopt(record, dup(fd))); });
  ASSERT_TRUE(next.edge.adopt_rest(rest));
  next.edge.engine_ready();
  ASSERT_TRUE(next.run_until([&] { return next.inputs == 1; }));
  EXPECT_EQ(next.order, "APPFZI");
  EXPECT_EQ(next.pending, tags({2, 3}));
  next.pass_s(2 * 3600);
  std::string heard = e.to_device;
  next.each_round = [&] { heard += e.device.hear(); };
  ASSERT_TRUE(next.run_until([&] { return next.fates.size() >= 3; }));
  ASSERT_TRUE(next.run_until([&] { return heard.size() >= filled.size() + 5; }));
  EXPECT_EQ(heard, filled + "<two>");
  EXPECT_EQ(next.fates,
            (Fates{fated(1, Fate::dropped), fated(2, Fate::dropped), fated(3, Fate::written)}));
}

}  // namespace
}  // namespace berth::gateway::edge
