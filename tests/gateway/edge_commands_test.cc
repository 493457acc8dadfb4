// Packets of commands at an edge (docs/design.md, "Deadlines"): what engines hear of what has
// become of them.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/edge/acknowledged.h"
#include "gateway/edge/edge_shard.h"
#include "gateway/edge/tls_server.h"
#include "gateway/link/edge_link.h"
#include "gateway/link/engine_link.h"
#include "tests/support/edge_deadlines.h"
#include "tests/support/edge_device.h"
#include "tests/support/wire.h"

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

// -- with both ends of the link

// An engine that notes what it hears, on an EngineLink.
struct FarEngine final : link::EnginePort {
  bool serving() const override { return true; }
  bool survives_engine() const override { return false; }
  void attach(const Attach& a) override {
    conn = a.conn;
    heard += "attach ";
  }
  void attached_all() override { heard += "all "; }
  std::size_t input(base::ConnId, std::uint64_t, std::uint64_t, base::ByteView b) override {
    return b.size();
  }
  void closed(base::ConnId, CloseReason cause) override {
    heard += std::string("closed:") + name_of(cause) + " ";
  }
  void credit(base::ConnId, std::uint64_t) override {}
  void turn_end() override { link->flush(); }
  void accepted(std::uint32_t, std::uint64_t) override {}
  void told(base::ConnId c, std::uint64_t tag, Fate fate) override {
    EXPECT_EQ(c, conn);
    heard += std::string(name_of(fate)) + ":" + std::to_string(tag & ~kCommandTag) + " ";
  }
  void pending(base::ConnId c, std::uint64_t tag) override {
    EXPECT_EQ(c, conn);
    heard += "pending:" + std::to_string(tag & ~kCommandTag) + " ";
  }
  base::Instant deadline_clock() override { return {kEngineNow}; }
  link::EngineLink* link = nullptr;
  base::ConnId conn = base::kNoConn;
  std::string heard;
};

struct RealLink {
  RealLink() {
    edge.use_engine(edge_link);
    edge.start();
    edge.admit_local(device.near, 0);
    device.say(std::string("\x10\x00", 2));
  }
  ~RealLink() {
    edge.stop();
    edge_link.close();
  }
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done() && std::chrono::steady_clock::now() < end) {
      io.run_one_for(std::chrono::milliseconds(5));
      if (reads) to_device += device.hear();
    }
    return done();
  }
  void begin_engine() {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    engine = {};
    link::EngineLink::Events events;
    events.hello = [this](const Hello&) { engine_link->ready(); };
    events.attached_all = [this] {
      engine.attached_all();
      engine_link->go();
    };
    events.lost = [] {};
    engine_link = std::make_unique<link::EngineLink>(io, fds[1], 3, events);
    engine.link = engine_link.get();
    engine_link->use_engine(engine);
    ready = false;
    edge_link.open(fds[0], {.edge_id = 1, .output_cap = 1 << 20});
    ASSERT_TRUE(run_until([this] { return ready; }));
    edge_link.set_serving(true);
    edge.engine_ready();
    ASSERT_TRUE(run_until([this] { return engine.heard.find("all ") != std::string::npos; }));
  }
  void kill_engine() {
    engine_link.reset();
    edge_link.close();
    edge.engine_gone();
  }
  void send(std::string_view bytes, std::uint64_t n) const {
    engine_link->send_until(engine.conn, bytes, {}, {{kSoon}, kCommandTag | n, true});
    engine_link->flush();
  }
  bool heard(std::string_view what) {
    return run_until([&] { return engine.heard.find(what) != std::string::npos; });
  }
  boost::asio::io_context io{1};
  metrics::EdgeProbe probe;
  EdgeShard edge{io, test::EdgeBox::patient(), probe};
  bool ready = false;
  link::EdgeLink edge_link{io, edge, {.ready = [this] { ready = true; }, .lost = [] {}}};
  test::SocketPair device;
  bool reads = true;
  std::string to_device;
  FarEngine engine;
  std::unique_ptr<link::EngineLink> engine_link;
};

TEST(EdgeCommands, AnEngineThatDiesBetweenAFateAndItsTakingLosesNone) {
  RealLink l;
  ASSERT_NO_FATAL_FAILURE(l.begin_engine());
  ASSERT_TRUE(l.heard("attach "));
  l.send("<one>", 1);
  ASSERT_TRUE(l.heard("written:1 "));
  ASSERT_TRUE(l.run_until([&] { return l.to_device == "<one>"; }));
  l.kill_engine();
  ASSERT_NO_FATAL_FAILURE(l.begin_engine());
  EXPECT_EQ(l.engine.heard, "attach written:1 all ");
  l.engine_link->told_taken(l.engine.conn, kCommandTag | 1, Fate::written);
  l.reads = false;
  l.engine_link->send(l.engine.conn, std::string(8u << 20, '.'), {});
  l.send("<two>", 2);
  ASSERT_TRUE(l.run_until([&] {
    l.edge.refresh_gauges();
    return l.probe.output_bytes > 5;
  }));
  l.kill_engine();
  ASSERT_NO_FATAL_FAILURE(l.begin_engine());
  EXPECT_EQ(l.engine.heard, "attach pending:2 all ");
  ::shutdown(l.device.far, SHUT_RDWR);
  ASSERT_TRUE(l.heard("closed:"));
  EXPECT_TRUE(l.engine.heard.starts_with("attach pending:2 all dropped:2 closed:"));
  l.kill_engine();  // before it has taken that, and released the connection
  ASSERT_NO_FATAL_FAILURE(l.begin_engine());
  ASSERT_TRUE(l.heard("closed:"));
  EXPECT_TRUE(l.engine.heard.starts_with("attach dropped:2 all closed:"));
}

// What a link takes with it is said when it is there again: here the packet has not come.
TEST(EdgeCommands, APacketThatIsLostWithItsLinkIsNeitherToldNorPending) {
  RealLink l;
  ASSERT_NO_FATAL_FAILURE(l.begin_engine());
  ASSERT_TRUE(l.heard("attach "));
  l.engine_link->send_until(l.engine.conn, "<one>", {}, {{kSoon}, kCommandTag | 1, true});
  l.kill_engine();  // gathered, not sent
  ASSERT_NO_FATAL_FAILURE(l.begin_engine());
  EXPECT_EQ(l.engine.heard, "attach all ");
}

// -- packets for fresh connections only

TEST(EdgeCommands, AFreshConnectionGetsItsPacketAtOnce) {
  Commands e;
  e.say_parts(Parts().plain("<a>").watched("<one>", kSoon, 1, true).watched("<2>", kSoon, 2, true));
  EXPECT_TRUE(e.hears("<a><one><2>")) << e.to_device;
  ASSERT_TRUE(e.told(2));
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::written), fated(2, Fate::written)}));
}

// It would come when the device reads again: then nobody knows any more whether it is wanted.
TEST(EdgeCommands, APacketForAFreshConnectionDoesNotWaitForTheSocket) {
  Commands e;
  const std::string filled = e.fill();
  e.say_parts(Parts().plain("<a>").watched("<one>", kSoon, 1, true).watched("<two>", kSoon, 2));
  ASSERT_TRUE(e.told(1));
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::stale)}));
  EXPECT_TRUE(e.hears(filled + "<a><two>"));
  EXPECT_EQ(e.probe.words_stale, 1u);
  e.to_device.clear();
  e.reads = false;
  const std::string large(8u << 20, '#');  // in one turn: what is before it does not fit
  e.say_parts(Parts().plain(large).watched("<3>", kSoon, 3, true).plain("<b>"));
  ASSERT_TRUE(e.told(3));
  EXPECT_EQ(e.fates[2], fated(3, Fate::stale));
  EXPECT_TRUE(e.hears(large + "<b>"));
}

TEST(EdgeCommands, ADeviceThatHasSaidNothingForLongIsNotFresh) {
  EdgeOptions o = test::EdgeBox::patient();
  o.fresh_s = 2;
  Commands e(kVersion, kEngineNow, o);
  Step log_in = e.step(e.attached.attach_epoch, 0, {});
  log_in.has_settings = log_in.settings.connected = true;
  log_in.settings.version = 4;
  e.say_turn({log_in});
  ASSERT_TRUE(e.ticks(5));
  e.say_parts(Parts().watched("<one>", kSoon, 1, true));
  ASSERT_TRUE(e.told(1));
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::stale)}));
  e.device.say(std::string("\xc0\x00", 2));  // PINGREQ
  ASSERT_TRUE(e.run_until([&] { return e.inputs == 2; }));
  e.to_device.clear();
  e.say_parts(Parts().watched("<two>", kSoon, 2, true));
  ASSERT_TRUE(e.told(2));
  EXPECT_EQ(e.fates[1], fated(2, Fate::written));
  EXPECT_TRUE(e.hears("<two>")) << e.to_device;
}

// A small packet that waits is dropped at its deadline, not when its socket has news.
TEST(EdgeCommands, APacketThatIsTooLateIsToldAtItsDeadline) {
  Commands e;
  e.fill();
  e.say_parts(Parts().watched("<one>", kSoon, 1));
  e.pass_s(2 * 3600);
  ASSERT_TRUE(e.told(1));
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::dropped)}));
}

// -- what the peer has not acknowledged at the deadline. Of a socket pair that is what it has not
// read.

TEST(EdgeCommands, APacketThatIsNotAcknowledgedAtItsDeadlineIsCutOff) {
  Commands e;
  e.reads = false;
  e.say_parts(Parts().watched("<one>", kSoon, 1, true).watched("<two>", kLater, 2, true));
  ASSERT_TRUE(e.told(2));
  e.say_fate_taken(1, Fate::written);
  e.fates.clear();
  e.order.clear();
  e.pass_s(2 * 3600);
  ASSERT_TRUE(e.run_until([&] { return e.closes == 1; }));
  EXPECT_EQ(e.order, "FFC");
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::cut_off), fated(2, Fate::cut_off)}));
  EXPECT_EQ(e.closed_as, CloseReason::cut_off);
  EXPECT_EQ(e.probe.words_cut_off, 2u);
  e.next_engine();
  EXPECT_EQ(e.order, "AFFFZIC") << "written of the second, which nobody has taken, and both";
}

TEST(EdgeCommands, APacketOfWhichTheSocketHasAPartAtItsDeadlineIsCutOff) {
  Commands e;
  e.reads = false;
  e.say_parts(Parts().watched(std::string(8u << 20, '#'), kSoon, 1, true));
  ASSERT_GT(e.unsent(), 0u);
  EXPECT_EQ(e.fates, Fates{});
  e.pass_s(2 * 3600);
  ASSERT_TRUE(e.run_until([&] { return e.closes == 1; }));
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::cut_off)}));
}

TEST(EdgeCommands, AnUnacknowledgedPacketIsCutOffByTheNextProcess) {
  Commands e;
  e.reads = false;
  e.say_parts(Parts().watched("<one>", kSoon, 1, true));
  ASSERT_TRUE(e.told(1));
  test::EdgeBox next;
  next.say_ready(kVersion);
  next.say_clock(kEngineNow);
  next.passed_ms = e.passed_ms;
  const std::string rest = e.edge.hand_over(
      [&](std::string_view record, int fd) { EXPECT_TRUE(next.edge.adopt(record, dup(fd))); });
  ASSERT_TRUE(next.edge.adopt_rest(rest));
  next.edge.engine_ready();
  ASSERT_TRUE(next.run_until([&] { return next.fates.size() == 1; }));
  next.pass_s(2 * 3600);
  ASSERT_TRUE(next.run_until([&] { return next.closes == 1; }));
  EXPECT_EQ(next.fates, (Fates{fated(1, Fate::written), fated(1, Fate::cut_off)}));
}

TEST(EdgeCommands, AnEngineOfTheReleaseBeforeHearsAReasonThatItKnows) {
  Commands e(kFatesSince - 1);
  e.reads = false;
  e.say_parts(Parts().watched("<one>", kSoon, 1, true));
  e.pass_s(2 * 3600);
  ASSERT_TRUE(e.run_until([&] { return e.closes == 1; }));
  EXPECT_EQ(e.closed_as, CloseReason::peer_reset);
}

// -- the same over TCP, with all transports

class CutOff : public ::testing::TestWithParam<Transport> {
 protected:
  CutOff() {
    std::string directory = std::filesystem::temp_directory_path() / "berth-edge-XXXXXX";
    EXPECT_NE(mkdtemp(directory.data()), nullptr);
    const auto c = test::gateway_certificates(directory);
    tls = std::make_unique<TlsServer>(
        TlsServerOptions{.cert_file = c.file("gateway.crt"), .key_file = c.file("gateway.key")});
    std::filesystem::remove_all(directory);
    std::uint16_t port = 0;
    const int listener = open_listener("127.0.0.1", port);
    const int large = 1 << 20;  // the device's window is small: what it does not take waits here
    setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
    e.edge.listen(listener, GetParam(), {.tls = has_tls(GetParam()) ? tls.get() : nullptr});
    device = std::make_unique<test::EdgeDevice>(GetParam(), port, 4096);
    e.each_round = [this] {
      device->say();
      if (reads) device->hear(64 * 1024);
    };
    EXPECT_TRUE(e.run_until([&] { return e.inputs == 1; }));
  }
  ~CutOff() override { e.edge.stop(); }  // before the certificates go
  int socket() {
    int of = -1;
    e.edge.hand_over([&](std::string_view, int fd) { of = fd; });
    return of;
  }
  std::unique_ptr<TlsServer> tls;
  test::Deadlines e;
  std::unique_ptr<test::EdgeDevice> device;
  bool reads = true;
};

TEST_P(CutOff, ADeviceThatHasNotAcknowledgedACommandAtItsDeadlineIsReset) {
  reads = false;
  const std::string filler = test::publish("t", std::string(40'000, '.'));
  const std::string open = test::publish("t", "open");
  e.say_parts(Parts().plain(filler).watched(open, kSoon, 1, true));
  ASSERT_TRUE(e.run_until([&] { return e.fates.size() == 1; }));
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::written)}));
  EXPECT_GT(unacknowledged(socket()), 0u);
  ASSERT_TRUE(e.run_until([&] { return is_unheard(socket(), 1000); }));
  e.say_parts(Parts().watched(test::publish("t", "stale"), kSoon, 2, true));
  ASSERT_TRUE(e.run_until([&] { return e.fates.size() == 2; }));
  EXPECT_EQ(e.fates[1], fated(2, Fate::stale));
  e.pass_s(2 * 3600);
  ASSERT_TRUE(e.run_until([&] { return e.closes == 1; }));
  EXPECT_EQ(e.fates[2], fated(1, Fate::cut_off));
  EXPECT_EQ(e.closed_as, CloseReason::cut_off);
  reads = true;
  ASSERT_TRUE(e.run_until([&] { return device->reset; }));
  EXPECT_EQ(device->mqtt.find("open"), std::string::npos);
  EXPECT_EQ(device->mqtt.find("stale"), std::string::npos);
}

// The device has the command and is slow with what was written behind it in one call.
TEST_P(CutOff, ADeviceThatHasAcknowledgedAPublishedCommandStays) {
  reads = false;
  const std::string open = test::publish("t", "open");
  const std::string filler = test::publish("t", std::string(200'000, '.'));
  e.say_parts(Parts().timed(open, kSoon, 1).plain(filler));
  ASSERT_TRUE(e.run_until([&] {
    if (device->mqtt.empty()) device->hear(512);
    return !device->mqtt.empty() && unacknowledged(socket()) > 0;
  }));
  EXPECT_TRUE(device->mqtt.starts_with(open));
  e.pass_s(2 * 3600);
  ASSERT_TRUE(e.ticks(2));
  EXPECT_EQ(e.closes, 0);
  reads = true;
  ASSERT_TRUE(e.run_until([&] { return device->mqtt == open + filler; }));
}

// As a take-over, a missed Keep Alive or the end of the process ends it.
TEST_P(CutOff, AConnectionThatEndsOtherwiseTakesACommandWithIt) {
  reads = false;
  const std::string filler = test::publish("t", std::string(40'000, '.'));
  e.say_parts(Parts().plain(filler).timed(test::publish("t", "open"), kSoon, 1));
  ASSERT_TRUE(e.run_until([&] { return unacknowledged(socket()) > 0; }));
  e.edge.stop();
  reads = true;
  ASSERT_TRUE(e.run_until([&] { return device->reset; }));
  EXPECT_EQ(device->mqtt.find("open"), std::string::npos);
}

// Whether it is watched (over REST) or not (published): no byte of it comes late.
TEST_P(CutOff, ADeviceThatHasNotAcknowledgedAPublishedCommandAtItsDeadlineIsReset) {
  reads = false;
  const std::string filler = test::publish("t", std::string(40'000, '.'));
  e.say_parts(Parts().plain(filler).timed(test::publish("t", "open"), kSoon, 1));
  ASSERT_TRUE(e.run_until([&] { return unacknowledged(socket()) > 0; }));
  e.pass_s(2 * 3600);
  ASSERT_TRUE(e.run_until([&] { return e.closes == 1; }));
  EXPECT_EQ(e.closed_as, CloseReason::cut_off);
  reads = true;
  ASSERT_TRUE(e.run_until([&] { return device->reset; }));
  EXPECT_EQ(device->mqtt.find("open"), std::string::npos);
}

TEST_P(CutOff, ADeviceThatHasAcknowledgedACommandStays) {
  const std::string filler = test::publish("t", std::string(40'000, '.'));
  const std::string open = test::publish("t", "open");
  e.say_parts(Parts().plain(filler).watched(open, kSoon, 1, true));
  ASSERT_TRUE(e.run_until([&] { return device->mqtt.ends_with(open); }));
  ASSERT_TRUE(e.run_until([&] { return unacknowledged(socket()) == 0; }));
  EXPECT_FALSE(is_unheard(socket(), 0));
  reads = false;
  e.say_parts(Parts().plain(filler));  // not acknowledged, and nobody's command
  EXPECT_GT(unacknowledged(socket()), 0u);
  e.pass_s(2 * 3600);
  ASSERT_TRUE(e.ticks(2));
  reads = true;
  const std::string end = test::publish("t", "end");
  e.say_parts(Parts().plain(end));
  ASSERT_TRUE(e.run_until([&] { return device->mqtt.ends_with(end); }));
  EXPECT_EQ(e.closes, 0);
  EXPECT_EQ(e.fates, (Fates{fated(1, Fate::written)}));
}

TEST_P(CutOff, SocketsOfDevicesHaveAUserTimeout) {
  unsigned ms = 0;
  socklen_t size = sizeof ms;
  ASSERT_EQ(getsockopt(socket(), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &size), 0);
  EXPECT_EQ(ms, test::EdgeBox::patient().user_timeout_ms);
}

INSTANTIATE_TEST_SUITE_P(EdgeCommands, CutOff,
                         ::testing::Values(Transport::mqtt, Transport::mqtts, Transport::ws,
                                           Transport::wss),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace berth::gateway::edge
