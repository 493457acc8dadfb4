// I4 at the edge's end of a link, with socket pairs in the places of a device and an engine: what a
// former engine says, or what is malformed, changes nothing.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "gateway/edge/edge_shard.h"
#include "gateway/link/edge_link.h"
#include "metrics/probe.h"
#include "protocol/link/records.h"

namespace berth::gateway::edge {
namespace {

using namespace protocol::link;

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    near = fds[0];
    far = fds[1];
  }
  ~Pair() { ::close(far); }
  void say(const std::string& bytes) const {
    ASSERT_EQ(::send(far, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  std::string hear() const {
    std::string all;
    char bytes[4096];
    for (ssize_t n; (n = ::recv(far, bytes, sizeof bytes, 0)) > 0;)
      all.append(bytes, static_cast<std::size_t>(n));
    return all;
  }
  int near = -1;  // of the edge
  int far = -1;
};

struct EdgeSteps : ::testing::Test, private EdgeTurnVisitor {
  EdgeSteps() {
    link.open(engine.near, {.edge_id = 1, .output_cap = 1 << 20});
    link.set_serving(true);
    edge.use_engine(link);
    edge.start();
    edge.admit_local(device.near, 0);
    device.say(std::string("\x10\x00", 2));  // a packet: the edge looks at its length only
    EXPECT_TRUE(run_until([&] { return inputs == 1; }));
  }
  ~EdgeSteps() override {
    edge.stop();
    link.close();
  }
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done() && std::chrono::steady_clock::now() < end) {
      io.run_one_for(std::chrono::milliseconds(5));
      to_engine += engine.hear();
      to_device += device.hear();
      std::size_t at = 0;
      for (FrameView f;
           next_frame(std::string_view(to_engine).substr(at), f) == FrameResult::complete;
           at += f.size) {
        if (f.type == FrameType::turn) visit_edge_turn(f.payload, *this);
      }
      to_engine.erase(0, at);
    }
    return done();
  }
  Step step(std::uint32_t epoch, std::uint64_t out_off, std::string_view bytes) const {
    Step s;
    s.conn = attached.conn;
    s.attach_epoch = epoch;
    s.out_off = out_off;
    s.bytes = bytes;
    return s;
  }
  void say_turn(const std::vector<Step>& steps, const std::string& behind = {}) {
    std::string frame;
    const std::size_t at = begin_frame(frame, FrameType::turn);
    for (const Step& s : steps) put_step(frame, s);
    frame += behind;
    end_frame(frame, at);
    engine.say(frame);
  }
  void on_attach(const Attach& a) override { attached = a; }
  void on_attached_all() override {}
  void on_input(base::ConnId, std::uint64_t offset, std::uint64_t, std::string_view) override {
    ++inputs;
    input_at = offset;
  }
  void on_closed(base::ConnId, CloseReason) override { ++closes; }
  void on_credit(base::ConnId, std::uint64_t) override {}

  boost::asio::io_context io{1};
  metrics::EdgeProbe probe;
  Pair device;
  Pair engine;
  EdgeShard edge{io, EdgeOptions{}, probe};
  bool lost = false;
  link::EdgeLink link{io, edge, {.lost = [this] { lost = true; }}};
  std::string to_engine;
  std::string to_device;
  Attach attached;
  int inputs = 0;
  std::uint64_t input_at = 0;
  int closes = 0;
};

TEST_F(EdgeSteps, OfAnOldEpochOrAnotherOffsetChangeNothing) {
  ASSERT_EQ(attached.attach_epoch, 1u);
  say_turn({step(1, 0, "a")});
  Step stale = step(0, 1, "old epoch");  // all that a step can do
  stale.has_in_ack = true;
  stale.in_ack = 2;
  stale.has_close = true;
  stale.reason = CloseReason::policy;
  stale.cookies.emplace_back(CookieSlot::identity, "not ours");
  say_turn({stale, step(1, 0, "said before"), step(1, 2, "too far")});
  say_turn({step(1, 1, "b")});
  ASSERT_TRUE(run_until([&] { return to_device.size() >= 2; }));
  EXPECT_EQ(to_device, "ab");
  EXPECT_EQ(probe.steps, 2u);
  EXPECT_EQ(probe.steps_stale, 3u);
  EXPECT_EQ(closes, 0);
  // The input is not acknowledged: the next engine gets it, with an epoch of its own, and what the
  // one before says from now on is refused.
  edge.engine_gone();
  edge.engine_ready();
  ASSERT_TRUE(run_until([&] { return inputs == 2; }));
  EXPECT_EQ(attached.attach_epoch, 2u);
  EXPECT_EQ(attached.in_ack, 0u);
  EXPECT_EQ(attached.out_off, 2u);
  EXPECT_EQ(attached.cookie[0], "");
  EXPECT_EQ(input_at, 0u);
  say_turn({step(1, 2, "too late")});
  say_turn({step(2, 2, "c")});
  ASSERT_TRUE(run_until([&] { return to_device.size() >= 3; }));
  EXPECT_EQ(to_device, "abc");
  EXPECT_EQ(probe.steps_stale, 4u);
}

TEST_F(EdgeSteps, OfAMalformedTurnAreNotApplied) {
  say_turn({step(1, 0, "a")}, "?");
  ASSERT_TRUE(run_until([&] { return lost; }));
  EXPECT_EQ(to_device, "");
  EXPECT_EQ(probe.steps, 0u);
}

}  // namespace
}  // namespace berth::gateway::edge
