// The first of the checks of a deadline: what is too late when the engine would send it is not
// sent.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <string>
#include <vector>

#include "gateway/engine/engine_shard.h"
#include "metrics/probe.h"

namespace berth::gateway::engine {
namespace {

class Edge final : public link::EdgePort {
 public:
  bool wants_cookies() const override { return false; }
  void send(base::ConnId, std::string_view, std::string_view) override { ++others; }
  void send_until(base::ConnId, std::string_view head, std::string_view tail,
                  const protocol::link::Deadline& d) override {
    sent.push_back(std::string(head).append(tail) + " " + std::to_string(d.tag));
  }
  void told_taken(base::ConnId, std::uint64_t, protocol::link::Fate) override { ++others; }
  bool watches(base::ConnId) override { return watches_all; }
  bool watches_all = true;
  std::uint64_t turn_of(base::ConnId) override { return 0; }
  void acknowledge(base::ConnId, std::uint64_t) override {}
  void cookie(base::ConnId, protocol::link::CookieSlot, std::string) override {}
  void connected(base::ConnId, const protocol::link::EdgeSettings&) override {}
  void close(base::ConnId, protocol::link::CloseReason) override {}
  void release(base::ConnId) override {}
  bool writable(base::ConnId) override { return true; }
  void reoffer(base::ConnId) override {}
  void flush() override {}
  std::vector<std::string> sent;
  int others = 0;
};

TEST(EngineDeadlines, WhatIsTooLateIsNotSent) {
  boost::asio::io_context io{1};
  Edge edge;
  metrics::EngineProbe probe;
  base::WallClock::Reading clock{1'800'000'000'000, 5'000};
  EngineShard engine(
      {.io = io, .edge = edge, .probe = probe, .clock = {[&clock] { return clock; }, 1}});
  const base::ConnId conn{1, 1};
  const base::Instant limit = engine.deadline_clock().plus_ms(100);
  EXPECT_TRUE(engine.send_until(conn, "a", "b", {limit, 1}));
  clock.wall_ms += 100;
  clock.boot_ms += 100;
  EXPECT_TRUE(engine.send_until(conn, "c", "d", {limit, 2}));  // in the last millisecond
  ++clock.wall_ms;
  ++clock.boot_ms;
  EXPECT_FALSE(engine.send_until(conn, "e", "f", {limit, 3}));
  EXPECT_EQ(edge.sent, (std::vector<std::string>{"ab 1", "cd 2"}));
  EXPECT_EQ(edge.others, 0);
  EXPECT_EQ(probe.drop_deadline, 1u);
  // The machine has slept, or was paused: the clock of messages leaps with the wall clock.
  clock.wall_ms += 3'600'000;
  EXPECT_FALSE(engine.send_until(conn, "g", "h", {limit.plus_ms(10'000), 4}));
}

TEST(EngineDeadlines, AWatchedPacketIsNotSentToAnEdgeThatSaysNoFates) {
  boost::asio::io_context io{1};
  Edge edge;
  metrics::EngineProbe probe;
  EngineShard engine({.io = io, .edge = edge, .probe = probe});
  const base::Instant limit = engine.deadline_clock().plus_ms(60'000);
  EXPECT_TRUE(engine.send_until({1, 1}, "a", "b", {limit, protocol::link::kCommandTag | 1, true}));
  edge.watches_all = false;
  EXPECT_FALSE(engine.watches({1, 1}));
  EXPECT_FALSE(engine.send_until({1, 1}, "c", "d", {limit, protocol::link::kCommandTag | 2, true}));
  EXPECT_TRUE(engine.send_until({1, 1}, "e", "f", {limit, 3}));
  ASSERT_EQ(edge.sent.size(), 2u);
  EXPECT_TRUE(edge.sent[1].starts_with("ef"));
}

// Whoever hears of a connection that has ended says nothing more of it.
TEST(EngineDeadlines, ANoticeOfAnUnknownConnectionIsIgnored) {
  boost::asio::io_context io{1};
  Edge edge;
  metrics::EngineProbe probe;
  EngineShard engine({.io = io, .edge = edge, .probe = probe});
  engine.told({1, 1}, 5, protocol::link::Fate::dropped);
  EXPECT_EQ(edge.others, 0);
}

}  // namespace
}  // namespace berth::gateway::engine
