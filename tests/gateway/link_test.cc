// An engine's end of a link, with a socket pair in the place of the edge.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <tuple>

#include "gateway/link/engine_clock.h"
#include "gateway/link/engine_link.h"

namespace berth::gateway::link {
namespace {

using namespace protocol::link;

// Answers as told; flushes at the end of its turns, as an EngineShard does.
class FakeEngine : public EnginePort {
 public:
  EngineLink* link = nullptr;
  std::function<void(base::ConnId)> on_input = [](base::ConnId) {};
  std::vector<base::ConnId> credited;
  std::uint32_t attached = 0;

  bool serving() const override { return true; }
  bool survives_engine() const override { return false; }
  void attach(const Attach&) override { ++attached; }
  void attached_all() override {}
  std::size_t input(base::ConnId conn, std::uint64_t, std::uint64_t, base::ByteView b) override {
    on_input(conn);
    return b.size();
  }
  void closed(base::ConnId, CloseReason) override {}
  void credit(base::ConnId conn, std::uint64_t) override { credited.push_back(conn); }
  void turn_end() override { link->flush(); }
  void accepted(std::uint32_t, std::uint64_t) override {}
  void told(base::ConnId conn, std::uint64_t tag, Fate fate) override {
    told_.push_back({conn, tag, fate});
  }
  void pending(base::ConnId conn, std::uint64_t tag) override { pending_.emplace_back(conn, tag); }
  base::Instant deadline_clock() override { return {4711}; }
  using Told = std::tuple<base::ConnId, std::uint64_t, Fate>;
  std::vector<Told> told_;
  std::vector<std::pair<base::ConnId, std::uint64_t>> pending_;
};

struct Ends : private EngineTurnVisitor {
  Ends() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    far = fds[1];
    EngineLink::Events events;
    events.hello = [](const Hello&) {};
    events.attached_all = [this] { link->go(); };
    events.lost = [this] { lost = true; };
    link = std::make_unique<EngineLink>(io, fds[0], 0, events);
    link->use_engine(engine);
    engine.link = link.get();
  }
  ~Ends() override { ::close(far); }

  void say(FrameType type, const std::string& payload) {
    std::string frame;
    const std::size_t at = begin_frame(frame, type);
    frame.append(payload);
    end_frame(frame, at);
    ASSERT_EQ(::send(far, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }
  void greet(std::uint64_t output_cap, std::uint32_t connections,
             std::uint64_t version = kVersion) {
    Hello h;
    h.version = version;
    h.output_cap = output_cap;
    std::string hello;
    put_hello(hello, h);
    say(FrameType::hello, hello);
    std::string turn;
    for (std::uint32_t slot = 0; slot < connections; ++slot) {
      Attach a;
      a.conn = {slot, 1};
      a.attach_epoch = 1;
      put_attach(turn, a);
    }
    put_attached_all(turn);
    say(FrameType::turn, turn);
    ASSERT_TRUE(run_until([&] { return engine.attached == connections; }));
  }
  // Runs the link and takes what it says.
  bool run_until(const std::function<bool()>& done,
                 std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done() && std::chrono::steady_clock::now() < end) {
      io.run_one_for(std::chrono::milliseconds(5));
      char bytes[65536];
      for (ssize_t n; (n = ::recv(far, bytes, sizeof bytes, 0)) > 0;)
        heard.append(bytes, static_cast<std::size_t>(n));
      take_frames();
    }
    return done();
  }
  void take_frames() {
    std::size_t at = 0;
    for (FrameView f; next_frame(std::string_view(heard).substr(at), f) == FrameResult::complete;
         at += f.size) {
      if (f.type == FrameType::turn) turns.push_back(f.size);
      if (f.type == FrameType::turn && !visit_engine_turn(f.payload, *this)) malformed = true;
      if (f.type == FrameType::clock) {
        ++clocks;
        clock = base::get_le64(f.payload);
      }
    }
    heard.erase(0, at);
  }

  void on_step(const Step& s) override {
    steps.push_back(s);
    bytes.emplace_back(s.bytes);
  }

  std::vector<Step> steps;  // `bytes` apart
  std::vector<std::string> bytes;
  int clocks = 0;
  std::uint64_t clock = 0;
  boost::asio::io_context io{1};
  FakeEngine engine;
  int far = -1;
  bool lost = false;
  bool malformed = false;  // of what it says
  std::unique_ptr<EngineLink> link;
  std::string heard;
  std::vector<std::size_t> turns;
};

// One PUBLISH of a megabyte to a thousand subscribers: an edge applies a turn whole, so it must
// stay far below what a frame can be.
TEST(EngineLink, ATurnThatIsFullTakesNothingMore) {
  constexpr std::uint32_t kConnections = 300;
  Ends ends;
  ends.greet(std::uint64_t{1} << 40, kConnections);
  const std::string megabyte(1u << 20, 'x');
  std::uint32_t taken = 0;
  while (taken < kConnections && ends.link->writable({taken, 1}))
    ends.link->send({taken++, 1}, megabyte, {});
  EXPECT_LE(taken, 70u);
  for (std::uint32_t slot = taken; slot < kConnections; ++slot)
    EXPECT_FALSE(ends.link->writable({slot, 1}));
  ends.link->flush();
  EXPECT_TRUE(ends.run_until(
      [&] { return !ends.turns.empty() && ends.engine.credited.size() == kConnections - taken; }));
  ASSERT_EQ(ends.turns.size(), 1u);
  EXPECT_LT(ends.turns[0], 70u << 20);
}

TEST(EngineLink, ATurnEndsBetweenInputsWhenItIsLong) {
  Ends ends;
  ends.greet(std::uint64_t{1} << 40, 8);
  ends.engine.on_input = [&](base::ConnId conn) {
    ends.link->send(conn, std::string(600'000, 'y'), {});
  };
  std::string inputs;
  for (std::uint32_t slot = 0; slot < 8; ++slot) put_input(inputs, {slot, 1}, 0, 0, "in");
  ends.say(FrameType::turn, inputs);
  std::size_t bytes = 0;
  EXPECT_TRUE(ends.run_until([&] {
    bytes = 0;
    for (const std::size_t t : ends.turns) bytes += t;
    return bytes > 8u * 600'000u;
  }));
  EXPECT_EQ(ends.turns.size(), 4u);  // two inputs are more than a megabyte
}

TEST(EngineLink, SaysDeadlinesAndItsClock) {
  Ends ends;
  ends.greet(1 << 20, 1);
  EXPECT_TRUE(ends.run_until([&] { return ends.clocks != 0; }));  // without any deadline, too
  EXPECT_EQ(ends.clock, 4711u);
  const int before = ends.clocks;
  const base::ConnId conn{0, 1};
  ends.link->send(conn, "plain", {});
  ends.link->send_until(conn, "ti", "med", {{5000}, 9});
  ends.link->send(conn, "mo", "re");
  ends.link->send_until(conn, "last", {}, {{6000}, 0});
  ends.link->told_taken(conn, 70, Fate::dropped);
  ends.link->flush();
  EXPECT_TRUE(ends.run_until([&] { return !ends.steps.empty(); }));
  ASSERT_EQ(ends.steps.size(), 1u);
  EXPECT_GT(ends.clocks, before);  // and before each turn that has one
  EXPECT_EQ(ends.bytes[0], "plaintimedmorelast");
  const Step& s = ends.steps[0];
  ASSERT_EQ(s.parts.size(), 2u);
  EXPECT_EQ(s.parts[0].skip, 5u);
  EXPECT_EQ(s.parts[0].size, 5u);
  EXPECT_EQ(s.parts[0].deadline.not_after.ms, 5000);
  EXPECT_EQ(s.parts[0].deadline.tag, 9u);
  EXPECT_EQ(s.parts[1].skip, 4u);
  EXPECT_EQ(s.parts[1].size, 4u);
  EXPECT_EQ(s.expired_taken, (std::vector<std::uint64_t>{70}));
  ends.link->send(conn, "next", {});
  ends.link->flush();
  EXPECT_TRUE(ends.run_until([&] { return ends.steps.size() == 2; }));
  EXPECT_FALSE(ends.steps[1].has_parts);  // nothing is left of the turn before
  EXPECT_EQ(ends.steps[1].out_off, 18u);
  std::string notice;
  put_expired(notice, conn, 9);
  ends.say(FrameType::turn, notice);
  EXPECT_TRUE(ends.run_until([&] { return !ends.engine.told_.empty(); }));
  EXPECT_EQ(ends.engine.told_[0], FakeEngine::Told(conn, 9, Fate::dropped));
}

// An edge ends the link when a part has no byte.
TEST(EngineLink, AnEmptyPacketWithADeadlineIsNoPart) {
  Ends ends;
  ends.greet(1 << 20, 1);
  const base::ConnId conn{0, 1};
  ends.link->send(conn, "plain", {});
  ends.link->send_until(conn, {}, {}, {{5000}, 9});
  ends.link->flush();
  EXPECT_TRUE(ends.run_until([&] { return !ends.steps.empty() || ends.malformed; }));
  EXPECT_FALSE(ends.malformed);
  ASSERT_EQ(ends.steps.size(), 1u);
  EXPECT_EQ(ends.bytes[0], "plain");
  EXPECT_FALSE(ends.steps[0].has_parts);
}

// So that an edge that was told late (engine_clock.h) knows better soon, without any deadline.
TEST(EngineLink, SaysItsClockAgainAndAgain) {
  Ends ends;
  ends.greet(1 << 20, 1);
  EXPECT_TRUE(ends.run_until([&] {
    ends.link->flush();
    return ends.clocks >= 2;
  }));
}

TEST(EngineLink, AnEdgeOfTheReleaseBeforeGetsBytesWithoutDeadlines) {
  Ends ends;
  ends.greet(1 << 20, 1, kDeadlinesSince - 1);
  const base::ConnId conn{0, 1};
  ends.link->send(conn, "plain", {});
  ends.link->send_until(conn, "ti", "med", {{5000}, 9});
  ends.link->told_taken(conn, 70, Fate::dropped);
  ends.link->flush();
  EXPECT_TRUE(ends.run_until([&] { return !ends.steps.empty(); }));
  EXPECT_EQ(ends.bytes[0], "plaintimed");
  EXPECT_FALSE(ends.steps[0].has_parts);
  EXPECT_EQ(ends.clocks, 0);
}

TEST(EngineLink, SaysWhichPacketsAreWatched) {
  Ends ends;
  ends.greet(1 << 20, 1);
  const base::ConnId conn{0, 1};
  constexpr std::uint64_t kTag = kCommandTag | 9;
  EXPECT_TRUE(ends.link->watches());
  ends.link->send_until(conn, "<a>", {}, {{5000}, 8});
  ends.link->send_until(conn, "<b>", {}, {{5000}, kTag, true, true});
  ends.link->told_taken(conn, kTag, Fate::written);
  ends.link->flush();
  ASSERT_TRUE(ends.run_until([&] { return !ends.steps.empty(); }));
  ASSERT_EQ(ends.steps[0].parts.size(), 2u);
  EXPECT_FALSE(ends.steps[0].parts[0].deadline.watch);
  EXPECT_TRUE(ends.steps[0].parts[1].deadline.watch);
  EXPECT_TRUE(ends.steps[0].parts[1].deadline.fresh);
  EXPECT_TRUE(ends.steps[0].expired_taken.empty());
  ASSERT_EQ(ends.steps[0].fates_taken.size(), 1u);
  EXPECT_EQ(ends.steps[0].fates_taken[0], std::pair(kTag, Fate::written));
  ends.link->send_until(conn, "<c>", {}, {{5000}, 8});
  ends.link->flush();
  ASSERT_TRUE(ends.run_until([&] { return ends.steps.size() == 2; }));
  EXPECT_FALSE(ends.steps[1].has_commands);  // nothing is left of the turn before
  std::string said;
  put_pending(said, conn, kTag);
  put_fate(said, conn, kTag, Fate::cut_off);
  ends.say(FrameType::turn, said);
  ASSERT_TRUE(ends.run_until([&] { return !ends.engine.told_.empty(); }));
  EXPECT_EQ(ends.engine.told_[0], FakeEngine::Told(conn, kTag, Fate::cut_off));
  EXPECT_EQ(ends.engine.pending_, (std::vector{std::pair(conn, kTag)}));
}

// It would write it whenever the socket takes it, and say nothing.
TEST(EngineLink, AnEdgeOfTheReleaseBeforeGetsNoWatchedPacket) {
  Ends ends;
  ends.greet(1 << 20, 1, kFatesSince - 1);
  const base::ConnId conn{0, 1};
  EXPECT_FALSE(ends.link->watches());
  ends.link->send_until(conn, "<a>", {}, {{5000}, kCommandTag | 9, true});
  ends.link->told_taken(conn, kCommandTag | 9, Fate::dropped);
  ends.link->send_until(conn, "<b>", {}, {{5000}, 8});
  ends.link->flush();
  ASSERT_TRUE(ends.run_until([&] { return !ends.steps.empty(); }));
  EXPECT_EQ(ends.bytes[0], "<b>");
  EXPECT_FALSE(ends.steps[0].has_commands);
  EXPECT_TRUE(ends.steps[0].has_parts);
}

TEST(EngineClock, TheWordThatTookTheLeastTimeCounts) {
  EngineClock c;
  EXPECT_EQ(c.at(0), base::kNever);  // nothing is in time for an engine that has not said its time
  c.heard(10'000, 1'000);
  EXPECT_EQ(c.at(1'500).ms, 10'500);
  c.heard(10'400, 2'000);  // 600 ms under way
  EXPECT_EQ(c.at(2'000).ms, 10'999);
  c.heard(12'100, 3'000);  // it leaps, or the first one was late
  EXPECT_EQ(c.at(3'000).ms, 12'100);
  // Clocks drift apart: it counts less and less.
  for (std::int64_t own = 4'000; own <= 125'000; own += 1'000) c.heard(own + 9'000, own);
  EXPECT_EQ(c.at(200'000).ms, 209'000);
}

// As a queue of 64 MiB before a slow line.
TEST(EngineClock, ALinkThatIsHeldUpForLongMakesNoDeadlineLater) {
  EngineClock c;
  c.heard(1'000'000, 1'000);  // at once
  for (std::int64_t own = 2'000; own <= 181'000; own += 1'000)
    c.heard(own + 999'000 - std::min<std::int64_t>(own, 30'000), own);
  EXPECT_GE(c.at(200'000).ms, 200'000 + 999'000 - 1'000);
}

// Of a peer that nobody knows yet: a length is refused before its bytes are taken.
TEST(EngineLink, FramesOfAnUnknownPeerAreBounded) {
  for (const std::uint32_t length : {std::uint32_t{4097}, 1u << 29}) {
    Ends ends;
    ends.link->limit_frames(4096);
    std::string header;
    for (unsigned i = 0; i < 4; ++i) header.push_back(static_cast<char>(length >> (8 * i)));
    ASSERT_EQ(::send(ends.far, header.data(), header.size(), 0), 4);
    EXPECT_TRUE(ends.run_until([&] { return ends.lost; })) << length;
    EXPECT_EQ(ends.link->why_lost(), "malformed frame, or too large");
  }
  Ends ends;
  ends.link->limit_frames(4096);
  ends.say(FrameType::keep_out, std::string(4000, 'x'));
  ends.link->limit_frames();
  ends.greet(1 << 20, 100);
  EXPECT_FALSE(ends.lost);
}

}  // namespace
}  // namespace berth::gateway::link
