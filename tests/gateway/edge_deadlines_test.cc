// Packets with a deadline at an edge (docs/design.md, "Deadlines"): the checks at the receipt of a
// step and in front of the write, over each transport, and what engines hear of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "gateway/edge/timed_output.h"
#include "tests/support/certificates.h"
#include "tests/support/edge_deadlines.h"
#include "tests/support/edge_device.h"
#include "tests/support/wire.h"

namespace berth::gateway::edge {
namespace {

using namespace protocol::link;
using test::Deadlines;
using Device = test::EdgeDevice;
using test::kEngineNow;
using test::kHour_ms;
using test::PairDeadlines;
using test::Parts;
using test::Tags;

TEST(EdgeDeadlines, WhatIsLateWhenItArrivesIsNotWritten) {
  PairDeadlines e;
  e.say_parts(Parts()
                  .plain("<a>")
                  .timed("<in time>", kEngineNow + kHour_ms, 1)
                  .timed("<late>", kEngineNow - 1, 2)
                  .plain("<b>")
                  .timed("<late too, and nobody cares>", kEngineNow - kHour_ms, 0));
  EXPECT_TRUE(e.hears("<a><in time><b>")) << e.to_device;
  EXPECT_EQ(e.probe.late_arrived, 2u);
  EXPECT_EQ(e.probe.late_unwritten, 0u);
  EXPECT_TRUE(e.run_until([&] { return !e.expired.empty(); }));
  EXPECT_EQ(e.expired, (Tags{2}));
  e.say_parts(Parts().plain("<c>"));  // offsets go on over what was dropped
  EXPECT_TRUE(e.hears("<a><in time><b><c>")) << e.to_device;
}

TEST(EdgeDeadlines, WhatHasWaitedTooLongForTheSocketIsNotWritten) {
  PairDeadlines e;
  const std::string filled = e.fill();
  e.say_parts(Parts()
                  .plain("<a>")
                  .timed("<one>", kEngineNow + kHour_ms, 1)
                  .timed("<two>", kEngineNow + 3 * kHour_ms, 2)
                  .plain("<b>"));
  e.pass_s(2 * 3600);
  EXPECT_TRUE(e.hears(filled + "<a><two><b>"));
  EXPECT_EQ(e.probe.late_arrived, 0u);
  EXPECT_EQ(e.probe.late_unwritten, 1u);
  EXPECT_TRUE(e.run_until([&] { return !e.expired.empty(); }));
  EXPECT_EQ(e.expired, (Tags{1}));
}

TEST(EdgeDeadlines, APacketOfWhichBytesHaveGoneIsCutOffAtItsDeadline) {
  PairDeadlines e;
  const std::string filled = e.fill();
  ASSERT_TRUE(e.hears(filled));
  e.reads = false;
  const std::string large(8u << 20, '#');  // more than the socket takes
  e.say_parts(Parts().timed(large, kEngineNow + kHour_ms, 1).plain("<b>"));
  ASSERT_LT(e.unsent(), large.size() + 3);
  ASSERT_GT(e.unsent(), 3u);
  e.pass_s(2 * 3600);
  ASSERT_TRUE(e.run_until([&] { return e.closes == 1; }));
  EXPECT_EQ(e.closed_as, CloseReason::cut_off);
  EXPECT_EQ(e.probe.late_unwritten, 0u);
  EXPECT_EQ(e.expired, Tags{}) << "it may have arrived";
}

// The device takes it all in time: nothing is cut, and nothing is left to be kept.
TEST(EdgeDeadlines, APacketThatIsAcknowledgedInTimeEndsNothing) {
  PairDeadlines e;
  for (std::uint64_t n = 1; n <= TimedOutput::kPacketsMax + 100; ++n) {
    e.to_device.clear();
    e.say_parts(Parts().timed("<a>", kEngineNow + kHour_ms, n));
    ASSERT_TRUE(e.hears("<a>")) << n;
  }
  e.pass_s(2 * 3600);
  EXPECT_TRUE(e.ticks(2));
  EXPECT_EQ(e.closes, 0);
  EXPECT_EQ(e.probe.late_no_room, 0u);
  EXPECT_EQ(e.expired, Tags{});
}

// A link that was held up makes no deadline later: of what the engine has said of its clock the
// word that took the least time counts.
TEST(EdgeDeadlines, AreCountedByTheEnginesClockWithoutTheLinksDelay) {
  PairDeadlines e;
  e.say_clock(kEngineNow - 2 * kHour_ms);  // said two hours ago
  e.say_parts(Parts().timed("<late>", kEngineNow - kHour_ms, 1).plain("<b>"));
  EXPECT_TRUE(e.hears("<b>")) << e.to_device;
  EXPECT_EQ(e.probe.late_arrived, 1u);
}

TEST(EdgeDeadlines, MayBeAsFarAsANumberCanSay) {
  PairDeadlines e(kVersion, 1000);  // the edge's own clock says far more
  e.say_parts(Parts().timed("<a>", INT64_MAX, 1).timed("<b>", INT64_MAX - 1000, 2));
  EXPECT_TRUE(e.hears("<a><b>")) << e.to_device;
  EXPECT_EQ(e.probe.late_arrived, 0u);
}

// What one engine has said of its clock is not the next one's: what the edge can't judge is too
// late.
TEST(EdgeDeadlines, AreTooLateUntilAnEngineHasSaidItsClock) {
  PairDeadlines e;
  ASSERT_NE(e.link.deadline_clock(), base::kNever);
  e.link.close();
  e.edge.engine_gone();
  test::SocketPair next;
  std::swap(e.engine.near, next.near);
  std::swap(e.engine.far, next.far);
  e.to_engine.clear();
  e.link.open(e.engine.near, {.edge_id = 1, .output_cap = 1 << 20});
  EXPECT_EQ(e.link.deadline_clock(), base::kNever);
  e.say_ready(kVersion);
  ASSERT_TRUE(e.run_until([&] { return e.readies == 2; }));
  e.link.set_serving(true);
  e.edge.engine_ready();
  ASSERT_TRUE(e.run_until([&] { return e.inputs == 2; }));
  e.say_parts(Parts().timed("<one>", kEngineNow + kHour_ms, 1).plain("<b>"));
  EXPECT_TRUE(e.hears("<b>")) << e.to_device;
  EXPECT_EQ(e.probe.late_arrived, 1u);
  e.say_clock(kEngineNow);
  e.say_parts(Parts().timed("<two>", kEngineNow + kHour_ms, 2));
  EXPECT_TRUE(e.hears("<b><two>")) << e.to_device;
}

// A device that reads nothing must not delay them: a packet id is in use until then.
TEST(EdgeDeadlines, NoticesDoNotWaitForTheSocket) {
  PairDeadlines e;
  e.fill();
  e.say_parts(Parts().timed("<late>", kEngineNow - 1, 1));
  EXPECT_TRUE(e.run_until([&] { return !e.expired.empty(); }));
  EXPECT_EQ(e.expired, (Tags{1}));
}

TEST(EdgeDeadlines, NothingIsTakenIntoAConnectionThatCloses) {
  PairDeadlines e;
  const std::string filled = e.fill();
  Step close = e.step(e.attached.attach_epoch, e.out_off, {});
  close.has_close = true;
  close.reason = CloseReason::policy;
  Step more = e.step(e.attached.attach_epoch, e.out_off, "<a><late><one>");
  more.has_parts = true;
  more.parts = {{3, 6, {{kEngineNow - 1}, 1}}, {0, 5, {{kEngineNow + kHour_ms}, 2}}};
  const std::uint64_t steps = e.probe.steps + 2;
  e.say_turn({close, more});  // in one turn: no timer runs in between
  ASSERT_TRUE(e.run_until([&] { return e.probe.steps >= steps; }));
  e.pass_s(2 * 3600);
  e.reads = true;
  EXPECT_TRUE(e.run_until([&] { return e.closes == 1; }));
  e.to_device += e.device.hear();
  EXPECT_TRUE(filled.starts_with(e.to_device))  // less of it only if this machine is very slow
      << e.to_device.substr(std::min(filled.size(), e.to_device.size()));
  EXPECT_EQ(e.probe.late_arrived, 0u);
  EXPECT_EQ(e.probe.late_unwritten, 0u);
  EXPECT_EQ(e.expired, Tags{});
}

TEST(EdgeDeadlines, NoticesAreRepeatedToEachEngineUntilOneHasTakenThem) {
  PairDeadlines e;
  e.say_parts(Parts().timed("x", kEngineNow - 1, 5).timed("y", kEngineNow - 1, 6));
  EXPECT_TRUE(e.run_until([&] { return e.expired.size() == 2; }));
  e.say_taken(5);
  e.edge.engine_gone();
  e.order.clear();
  e.edge.engine_ready();
  EXPECT_TRUE(e.run_until([&] { return e.inputs == 2; }));
  EXPECT_EQ(e.expired, (Tags{5, 6, 6}));
  EXPECT_EQ(e.order, "AZXI");  // before the input
  e.say_taken(6);
  e.edge.engine_gone();
  e.edge.engine_ready();
  EXPECT_TRUE(e.run_until([&] { return e.inputs == 3; }));
  EXPECT_EQ(e.expired.size(), 3u);
}

TEST(EdgeDeadlines, AnEngineOfTheReleaseBeforeHearsNoNotice) {
  PairDeadlines e(kDeadlinesSince - 1);
  e.say_parts(Parts().timed("x", kEngineNow - 1, 5).plain("<b>"));
  EXPECT_TRUE(e.hears("<b>"));
  e.edge.engine_gone();
  e.say_ready(kVersion);
  EXPECT_TRUE(e.run_until([&] { return e.readies == 2; }));
  EXPECT_EQ(e.expired, Tags{});
  e.edge.engine_ready();
  EXPECT_TRUE(e.run_until([&] { return !e.expired.empty(); }));
  EXPECT_EQ(e.expired, (Tags{5}));
}

TEST(EdgeDeadlines, TheEndOfAConnectionComesBehindItsNotices) {
  PairDeadlines e;
  e.fill();
  e.say_parts(Parts()
                  .timed("<one>", kEngineNow + kHour_ms, 1)
                  .timed("<two>", kEngineNow + 3 * kHour_ms, 2));
  e.pass_s(2 * 3600);
  e.order.clear();
  ::shutdown(e.device.far, SHUT_RDWR);
  EXPECT_TRUE(e.run_until([&] { return e.closes == 1; }));
  EXPECT_EQ(e.order, "XC");
  EXPECT_EQ(e.expired, (Tags{1}));  // the other one is in time: it goes to the next connection
}

TEST(EdgeDeadlines, GoWithTheirConnectionToAnotherProcess) {
  PairDeadlines e;
  const std::string filled = e.fill();
  e.say_parts(Parts()
                  .timed("<late>", kEngineNow - 1, 1)
                  .timed("<one>", kEngineNow + kHour_ms, 2)
                  .timed("<two>", kEngineNow + 3 * kHour_ms, 3)
                  .plain("<b>"));
  test::EdgeBox next;
  next.say_ready(kVersion);
  next.say_clock(kEngineNow);
  next.passed_ms = e.passed_ms;
  const std::string rest = e.edge.hand_over(
      [&](std::string_view record, int fd) { EXPECT_TRUE(next.edge.adopt(record, dup(fd))); });
  ASSERT_TRUE(next.edge.adopt_rest(rest));
  next.pass_s(2 * 3600);
  next.edge.engine_ready();
  std::string heard = e.to_device;
  next.each_round = [&] { heard += e.device.hear(); };
  EXPECT_TRUE(next.run_until([&] {
    next.edge.refresh_gauges();
    return next.probe.output_bytes == 0 && next.expired.size() >= 2;
  }));
  next.run_until([&] { return heard.size() >= filled.size() + 8; });
  EXPECT_EQ(heard, filled + "<two><b>");
  EXPECT_EQ(next.expired, (Tags{1, 2}));
}

// Its packets are gone with its socket, its notices are not.
TEST(EdgeDeadlines, OfAConnectionThatHasEndedGoToAnotherProcess) {
  PairDeadlines e;
  e.fill();
  e.say_parts(Parts()
                  .timed("<one>", kEngineNow + kHour_ms, 1)
                  .timed("<two>", kEngineNow + 3 * kHour_ms, 2));
  e.pass_s(2 * 3600);
  ::shutdown(e.device.far, SHUT_RDWR);
  ASSERT_TRUE(e.run_until([&] { return e.closes == 1; }));
  test::EdgeBox next;
  next.say_ready(kVersion);
  next.say_clock(kEngineNow);
  next.passed_ms = e.passed_ms;
  int records = 0;
  const std::string rest = e.edge.hand_over([&](std::string_view record, int fd) {
    ++records;
    EXPECT_EQ(fd, -1);
    EXPECT_TRUE(next.edge.adopt(record, fd));
  });
  EXPECT_EQ(records, 1);
  ASSERT_TRUE(next.edge.adopt_rest(rest));
  next.edge.engine_ready();
  EXPECT_TRUE(next.run_until([&] { return next.closes == 1; }));
  EXPECT_EQ(next.expired, (Tags{1}));
  EXPECT_TRUE(next.order.ends_with("XIC")) << next.order;
}

TEST(EdgeDeadlines, AMalformedRecordOfThemIsNotAdopted) {
  PairDeadlines e;
  e.fill();
  e.say_parts(Parts().timed("<one>", kEngineNow + kHour_ms, 77));
  std::string good;
  e.edge.hand_over([&](std::string_view record, int) { good = record; });
  ASSERT_EQ(good.back(), 77);  // the tag is the last of all
  std::string bad = good;
  bad.back() = '\x80';  // the first byte of a longer number
  test::EdgeBox next;
  test::SocketPair device;
  EXPECT_FALSE(next.edge.adopt(bad, device.near));
  EXPECT_TRUE(next.edge.adopt(good, device.near));
}

// Else each later packet of the connection would take the slower way for packets with a deadline.
TEST(EdgeDeadlines, LeaveNothingBehind) {
  std::vector<std::size_t> sizes;  // of what another process would get
  for (const bool timed : {false, true}) {
    PairDeadlines e;
    if (timed) {
      e.say_parts(Parts().timed("<one>", kEngineNow + kHour_ms, 1).timed("<2>", kEngineNow - 1, 2));
      e.say_taken(2);
    } else {
      e.say_parts(Parts().plain("<one><2>"));
    }
    e.say_parts(Parts().plain("<b>"));
    EXPECT_TRUE(e.hears(timed ? "<one><b>" : "<one><2><b>")) << e.to_device;
    e.pass_s(2 * 3600);  // until then one that was written is kept
    EXPECT_TRUE(e.ticks(2));
    e.edge.hand_over([&](std::string_view record, int) { sizes.push_back(record.size()); });
  }
  ASSERT_EQ(sizes.size(), 2u);
  EXPECT_EQ(sizes[0], sizes[1]);
}

// As `serve --single-process`: one process, direct calls, the engine's own clock.
TEST(EdgeDeadlines, HoldWithoutALink) {
  struct Engine final : link::EnginePort {
    bool serving() const override { return true; }
    bool survives_engine() const override { return false; }
    void attach(const Attach& a) override { conn = a.conn; }
    void attached_all() override {}
    std::size_t input(base::ConnId, std::uint64_t, std::uint64_t, base::ByteView b) override {
      return b.size();
    }
    void closed(base::ConnId, CloseReason) override {}
    void credit(base::ConnId, std::uint64_t) override {}
    void turn_end() override {}
    void accepted(std::uint32_t, std::uint64_t) override {}
    void told(base::ConnId, std::uint64_t tag, Fate) override { tags.push_back(tag); }
    base::Instant deadline_clock() override { return {kEngineNow}; }
    base::ConnId conn = base::kNoConn;
    Tags tags;
  } engine;
  test::EdgeBox box;  // for its clock and loop
  metrics::EdgeProbe probe;
  EdgeShard edge(box.io, test::EdgeBox::patient(), probe);
  edge.use_clock(box.clock());
  edge.use_engine(engine);
  edge.start();
  test::SocketPair device;
  edge.admit_local(device.near, 0);
  device.say(std::string("\x10\x00", 2));
  ASSERT_TRUE(box.run_until([&] { return engine.conn != base::kNoConn; }));
  const std::string filled(4u << 20, '.');
  edge.send(engine.conn, filled, {});
  edge.send_until(engine.conn, "<la", "te>", {{kEngineNow - 1}, 1});
  edge.send_until(engine.conn, "<o", "ne>", {{kEngineNow + kHour_ms}, 2});
  edge.send_until(engine.conn, "<t", "wo>", {{kEngineNow + 3 * kHour_ms}, 3});
  edge.flush();
  box.pass_s(2 * 3600);
  std::string heard;
  box.each_round = [&] { heard += device.hear(); };
  EXPECT_TRUE(box.run_until([&] { return heard.size() >= filled.size() + 5; }));
  EXPECT_EQ(heard, filled + "<two>");
  EXPECT_EQ(engine.tags, (Tags{1, 2}));
  edge.stop();
}

// -- over each transport, with packets of MQTT. The device takes what comes a part at a time; what
// it gets must be whole packets, in order, with all that have no deadline.

class OverTransports : public ::testing::TestWithParam<Transport> {};

TEST_P(OverTransports, WhatIsLateGoesWholeAndTheRestStaysWhole) {
  const Transport transport = GetParam();
  std::string directory = std::filesystem::temp_directory_path() / "berth-edge-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const test::Certificates certificates = test::gateway_certificates(directory);
  const TlsServer tls({.cert_file = certificates.file("gateway.crt"),
                       .key_file = certificates.file("gateway.key")});
  std::filesystem::remove_all(directory);
  Deadlines e;
  std::uint16_t port = 0;
  const int listener = open_listener("127.0.0.1", port);
  e.edge.listen(listener, transport, {.tls = has_tls(transport) ? &tls : nullptr});
  Device device(transport, port);
  std::size_t most = 0;  // that the device reads in a round
  e.each_round = [&] {
    device.say();
    if (most != 0) device.hear(most);
  };
  most = 4096;
  ASSERT_TRUE(e.run_until([&] { return e.inputs == 1; }));

  std::mt19937 random(11);
  const auto upto = [&random](unsigned n) {
    return static_cast<unsigned>(std::uniform_int_distribution<>(0, static_cast<int>(n))(random));
  };
  unsigned last = 0;
  std::vector<unsigned> always, doomed;  // numbers of packets: that must come, that must not
  const auto say = [&](unsigned packets, std::int64_t left_ms, std::vector<unsigned>* timed) {
    Parts p;
    for (unsigned i = 0; i < packets; ++i) {
      const unsigned n = ++last;
      const std::size_t size = upto(9) == 0 ? 40'000 : upto(2000);
      const std::string packet = test::publish("t", std::to_string(n) + std::string(size, '.'));
      if (left_ms != 0 && upto(1) == 0) {
        p.timed(packet, kEngineNow + e.passed_ms - 1'000'000 + left_ms, n);
        if (timed != nullptr) timed->push_back(n);
      } else {
        p.plain(packet);
        always.push_back(n);
      }
    }
    e.say_parts(p);
  };
  for (int round = 0; round < 4; ++round) {
    e.say_clock(kEngineNow + e.passed_ms - 1'000'000);
    most = 0;
    for (int i = 0; i < 400 && e.unsent() < 256 * 1024; ++i) say(20, 10 * kHour_ms, nullptr);
    ASSERT_GE(e.unsent(), 256u * 1024);  // so none of these is with the socket, or in a frame
    say(40, kHour_ms, &doomed);
    e.pass_s(2 * 3600);
    say(20, 10 * kHour_ms, nullptr);
    const std::size_t before = device.mqtt.size();
    most = 2000 + upto(30'000);
    ASSERT_TRUE(e.run_until([&] { return device.mqtt.size() > before + 100'000; }));
  }
  most = 64 * 1024;
  const std::string end = test::publish("t", "end");
  e.say_parts(Parts().plain(end));
  EXPECT_TRUE(e.run_until([&] { return device.mqtt.ends_with(end); }));
  EXPECT_FALSE(device.failed());

  std::vector<unsigned> came;
  for (const test::Packet& p : test::take_packets(device.mqtt)) {
    if (p.payload(5) != "end") came.push_back(static_cast<unsigned>(std::stoul(p.payload(5))));
  }
  EXPECT_EQ(device.mqtt, "");  // whole packets
  EXPECT_TRUE(std::is_sorted(came.begin(), came.end()));
  EXPECT_TRUE(std::includes(came.begin(), came.end(), always.begin(), always.end()));
  std::vector<unsigned> both;
  std::set_intersection(came.begin(), came.end(), doomed.begin(), doomed.end(),
                        std::back_inserter(both));
  EXPECT_EQ(both, std::vector<unsigned>{});
  EXPECT_TRUE(e.run_until([&] { return e.expired.size() + came.size() >= last; }));
  EXPECT_EQ(e.expired.size() + came.size(), last);  // each of the others has its notice
  EXPECT_EQ(e.probe.late_unwritten, e.expired.size());
  e.edge.stop();  // before the certificates go
}

// Small packets that a device does not read, until the socket is full: what it has no byte of when
// the deadline passes does not come. Each is a record or a frame of its own, also if many come in
// one step, of which the socket takes a part.
TEST_P(OverTransports, WhatTheSocketHasNoByteOfIsNotWrittenLate) {
  const Transport transport = GetParam();
  std::string directory = std::filesystem::temp_directory_path() / "berth-edge-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const test::Certificates certificates = test::gateway_certificates(directory);
  const TlsServer tls({.cert_file = certificates.file("gateway.crt"),
                       .key_file = certificates.file("gateway.key")});
  std::filesystem::remove_all(directory);
  for (const unsigned in_a_step : {1u, 40u}) {
    SCOPED_TRACE(in_a_step);
    Deadlines e;
    std::uint16_t port = 0;
    const int listener = open_listener("127.0.0.1", port);
    const int small = 4096;  // of its sockets, too
    if (in_a_step != 1) setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    e.edge.listen(listener, transport, {.tls = has_tls(transport) ? &tls : nullptr});
    Device device(transport, port);
    bool reads = true;
    e.each_round = [&] {
      device.say();
      if (reads) device.hear(4096);
    };
    ASSERT_TRUE(e.run_until([&] { return e.inputs == 1; }));
    reads = false;
    const std::string filler(800, '.');
    for (unsigned n = 1; n < 20'000 && (n % 8 != 1 || e.unsent() == 0);) {
      Parts p;
      for (unsigned i = 0; i < in_a_step; ++i)
        p.timed(test::publish("t", filler), kEngineNow + kHour_ms, n++);
      e.say_parts(p);
    }
    // While the edge stands still the device takes what its socket has.
    std::size_t read = 0;
    for (int idle = 0; idle < 200; ++idle) {
      device.hear(64 * 1024);
      if (std::exchange(read, device.mqtt.size()) != device.mqtt.size()) idle = 0;
    }
    test::take_packets(device.mqtt);
    const bool within = !device.mqtt.empty();  // of a packet bytes had gone: it comes whole
    e.pass_s(2 * 3600);
    reads = true;
    const std::string end = test::publish("t", "end");
    e.say_parts(Parts().plain(end));
    ASSERT_TRUE(e.run_until([&] { return device.mqtt.ends_with(end); }));
    const std::size_t came = test::take_packets(device.mqtt).size();
    // The device sees no byte of a record of which a part is with its socket.
    EXPECT_LE(came, within || in_a_step != 1 ? 2u : 1u);
    EXPECT_GE(came, within ? 2u : 1u);
    e.edge.stop();
  }
}

// Sockets that take less than a packet at a time: OpenSSL holds a record of which the socket has a
// part, and goes on with it.
TEST_P(OverTransports, APacketThatTheSocketTookAPartOfComesWholeThoughLate) {
  const Transport transport = GetParam();
  std::string directory = std::filesystem::temp_directory_path() / "berth-edge-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const test::Certificates certificates = test::gateway_certificates(directory);
  const TlsServer tls({.cert_file = certificates.file("gateway.crt"),
                       .key_file = certificates.file("gateway.key")});
  std::filesystem::remove_all(directory);
  Deadlines e;
  std::uint16_t port = 0;
  const int listener = open_listener("127.0.0.1", port);
  const int small = 4096;  // of its sockets, too
  setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  e.edge.listen(listener, transport, {.tls = has_tls(transport) ? &tls : nullptr});
  Device device(transport, port, small);
  bool reads = true;
  e.each_round = [&] {
    device.say();
    if (reads) device.hear(16 * 1024);
  };
  ASSERT_TRUE(e.run_until([&] { return e.inputs == 1; }));
  reads = false;
  unsigned said = 0;
  while (said < 1000 && e.unsent() == 0)
    e.say_parts(
        Parts().timed(test::publish("t", std::string(12'000, '.')), kEngineNow + kHour_ms, ++said));
  e.pass_s(2 * 3600);
  reads = true;
  const std::string end = test::publish("t", "end");
  e.say_parts(Parts().plain(end));
  ASSERT_TRUE(e.run_until([&] { return device.mqtt.ends_with(end); }));
  EXPECT_FALSE(device.failed());
  const std::size_t came = test::take_packets(device.mqtt).size();
  EXPECT_EQ(device.mqtt, "");  // whole packets
  EXPECT_TRUE(e.run_until([&] { return came + e.expired.size() >= said + 1; }));
  EXPECT_EQ(came + e.expired.size(), said + 1);  // what came has no notice
  e.edge.stop();
}

INSTANTIATE_TEST_SUITE_P(EdgeDeadlines, OverTransports,
                         ::testing::Values(Transport::mqtt, Transport::mqtts, Transport::ws,
                                           Transport::wss),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace berth::gateway::edge
