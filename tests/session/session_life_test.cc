// The end of a connection takes effect behind all that the device said before
// it.
#include "session/session_life.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/core_box.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

constexpr unsigned kNoLocal = 4;

struct WatchedLife {
  World w;
  int watcher = -1;
  explicit WatchedLife(int crash_at = -1) : w({}, crash_at) {
    watcher = w.open_connected({.client_id = "watcher"});
    w.feed(watcher, subscribe(1, "said/#", 1));
    w.feed(watcher, subscribe(2, "will/#", 1));
    w.packets(watcher);
  }
  std::vector<std::string> said() {
    std::vector<std::string> all;
    for (const Packet& p : take_publishes(w, watcher)) all.push_back(p.payload(5));
    return all;
  }
};

const ConnectOptions kDevice{.client_id = "device",
                             .clean = false,
                             .properties = expiry(600),
                             .will_topic = "will/device",
                             .will_payload = "gone"};

// What the SUBSCRIBE holds up is read when the connection has been closed
// already; the first PUBLISH after it has a matching session with a queue and
// nothing to store for it (No Local).
const std::string kLastWords = subscribe(1, "said/x", kNoLocal | 1) +
                               publish("said/x", "one", 1, 7) + publish("said/x", "two") +
                               disconnect();

TEST(End, IsBehindAllThatWasSaid) {
  WatchedLife x;
  const int d = x.w.open_connected(kDevice);
  x.w.send_and_close(d, kLastWords);
  EXPECT_EQ(x.said(), (std::vector<std::string>{"one", "two"})) << "and no will";
  EXPECT_EQ(x.w.broker().channel_count(), 1u);
}

TEST(End, IsBehindAllThatWasSaidWhereverTheEngineDies) {
  for (int at = 0;; ++at) {
    WatchedLife x(at);
    const int d = x.w.open_connected(kDevice);
    x.w.send_and_close(d, kLastWords);
    std::vector<std::string> said = x.said();
    if (!x.w.crashed()) break;
    said.erase(std::unique(said.begin(), said.end()),
               said.end());  // QoS 1 may be doubled
    ASSERT_EQ(said, (std::vector<std::string>{"one", "two"})) << "engine death at boundary " << at;
  }
}

// -- the end of sessions

std::string will_delay(std::uint32_t s) {
  return std::string("\x18", 1) + u16(s >> 16) + u16(s & 0xffff);
}

// 3.1.3.2.2: a will waits for its delay or the end of its session, whichever
// comes first.
TEST(SessionEnd, ByATakeOverPublishesTheWillThatHasADelay) {
  for (const bool old_persistent : {true, false}) {
    WatchedLife x;
    ConnectOptions o = kDevice;
    o.will_properties = will_delay(300);
    o.properties = expiry(old_persistent ? 600 : 0);
    x.w.open_connected(o);
    ConnectOptions next{.client_id = "device", .clean = true, .properties = expiry(600)};
    x.w.open_connected(next);
    EXPECT_EQ(x.said(), (std::vector<std::string>{"gone"}));
  }
}

TEST(SessionEnd, ATakeOverThatGoesOnWithTheSessionPublishesNoWill) {
  WatchedLife x;
  ConnectOptions o = kDevice;
  o.will_properties = will_delay(300);
  x.w.open_connected(o);
  x.w.open_connected({.client_id = "device", .clean = false, .properties = expiry(600)});
  x.w.advance_s(1000);
  EXPECT_EQ(x.said(), std::vector<std::string>{});
}

// I6: the edge has ended the connection, and the device is back in the same turn, before that end
// has taken effect.
TEST(SessionEnd, ATakeOverOfAConnectionThatWeEndedPublishesNoWill) {
  for (const bool clean : {false, true}) {
    WatchedLife m;
    const int old = m.w.open_connected(kDevice);
    ConnectOptions again = kDevice;
    again.clean = clean;
    m.w.close_and_feed(old, protocol::link::CloseReason::drained, m.w.open(), connect(again));
    EXPECT_EQ(m.said(), std::vector<std::string>{}) << clean;
    EXPECT_EQ(m.w.broker().session_count(), 2u);
  }
}

// What becomes of a will when its connection ends and the device comes again: the same whether the
// end has had its turn by then or not.
struct EndCase {
  const char* how;
  std::string last;  // what the device says before
  protocol::link::CloseReason reason;
  bool fires;  // with a delay: if the session ends
};

std::vector<std::string> wills_of(const EndCase& end, int version, bool old_clean, bool new_clean,
                                  std::uint32_t delay_s, bool end_has_its_turn) {
  WatchedLife x;
  ConnectOptions o{.client_id = "device",
                   .version = version,
                   .clean = old_clean,
                   .will_topic = "will/device",
                   .will_payload = "gone"};
  if (version == 5) o.properties = expiry(old_clean ? 0 : 600);
  if (version == 5 && delay_s != 0) o.will_properties = will_delay(delay_s);
  const int old = x.w.open_connected(o);
  ConnectOptions next{.client_id = "device", .version = version, .clean = new_clean};
  if (version == 5) next.properties = expiry(600);
  const int again = x.w.open();
  if (end_has_its_turn) {
    if (!end.last.empty()) x.w.feed(old, end.last);
    x.w.close(old, end.reason);
    x.w.feed(again, connect(next));
  } else {
    x.w.close_and_feed(old, end.reason, again, connect(next), end.last);
  }
  x.w.advance_s(1000);
  return x.said();
}

TEST(SessionEnd, TheWillIsTheSameWhetherTheEndHasHadItsTurnOrNot) {
  using protocol::link::CloseReason;
  const std::vector<EndCase> ends{
      {"DISCONNECT", disconnect(), CloseReason::client, false},
      {"DISCONNECT with will", packet(0xe0, std::string(1, '\x04')), CloseReason::client, true},
      {"closed", "", CloseReason::client, true},
      {"keep alive", "", CloseReason::keepalive_timeout, true},
      {"drained", "", CloseReason::drained, false},
      {"no engine", "", CloseReason::engine_absent, false},
  };
  for (const EndCase& end : ends) {
    for (int i = 0; i < 16; ++i) {
      const bool v5 = (i & 1) != 0;
      const bool old_clean = (i & 2) != 0;
      const bool new_clean = (i & 4) != 0;
      const std::uint32_t delay_s = (i & 8) != 0 ? 300 : 0;
      if (!v5 && (delay_s != 0 || end.last.size() > 2)) continue;
      const bool fires = end.fires && (delay_s == 0 || old_clean || new_clean);
      const std::vector<std::string> expected(fires ? 1 : 0, "gone");
      for (const bool turn : {true, false}) {
        EXPECT_EQ(wills_of(end, v5 ? 5 : 4, old_clean, new_clean, delay_s, turn), expected)
            << end.how << " v5 " << v5 << " old clean " << old_clean << " new clean " << new_clean
            << " delay " << delay_s << " end had its turn " << turn;
      }
    }
  }
}

// I6, also for a device that begins a new session with each CONNECT; and in the engine after that
// one.
TEST(SessionEnd, OurRestartPublishesNoWillOfADeviceThatBeginsAnew) {
  for (const int engines : {1, 2}) {
    WatchedLife x;
    x.w.open_connected(kDevice);
    x.w.restart_all(90);
    if (engines == 2) x.w.crash();
    const int watcher = x.w.open_connected({.client_id = "watcher"});
    x.w.feed(watcher, subscribe(1, "will/#", 1));
    ConnectOptions again = kDevice;
    again.clean = true;
    x.w.open_connected(again);
    EXPECT_EQ(take_publishes(x.w, watcher).size(), 0u) << engines;
  }
}

// An engine that lives under a second has no tick: who connects first after an
// expiry must not find the session.
TEST(SessionEnd, AnExpiredSessionIsNotResumedBeforeATick) {
  WatchedLife x;
  const ConnectOptions o{.client_id = "s", .clean = false, .properties = expiry(60)};
  const int s = x.w.open_connected(o);
  x.w.feed(s, subscribe(1, "open", 1));
  x.w.close(s);
  const int p = x.w.open_connected({.client_id = "p"});
  x.w.feed(p, publish("open", "old", 1, 1));
  for (const bool crash : {true, false}) {
    x.w.pass_s(61);  // and no tick
    if (crash) x.w.crash();
    const int again = x.w.open_connected(o);
    const auto got = x.w.packets(again);
    ASSERT_EQ(got.size(), 1u) << "no old message";
    EXPECT_EQ(got[0].body[0], 0) << "Session Present";
    x.w.close(again);
  }
}

TEST(SessionEnd, ManyAtOnceTakeSeveralTurns) {
  World w;
  for (int i = 0; i < 3000; ++i) {
    const int s = w.open_connected({.client_id = "s" + std::to_string(i),
                                    .clean = false,
                                    .properties = expiry(60),
                                    .will_topic = "w",
                                    .will_payload = "gone",
                                    .will_properties = will_delay(30)});
    w.close(s);
  }
  const std::uint64_t before = w.turns();
  w.advance_s(61);
  EXPECT_GT(w.turns() - before, 3u);
  EXPECT_EQ(w.broker().session_count(), 0u);
  EXPECT_EQ(w.probe().wills_published, 3000u);
}

// -- the room alone

struct Life {
  CoreBox box;
  session::SessionLife& life = box.core.life;

  // A connection that asks for the session of `client_id`.
  session::Channel& asks(const std::string& client_id, bool clean = false) {
    session::Channel& ch = box.connection(100 + next_++);
    ch.connect = std::make_unique<session::PendingConnect>();
    ch.connect->client_id = client_id;
    ch.connect->clean_start = clean;
    ch.connect->expiry_s = 600;
    return ch;
  }

 private:
  std::uint32_t next_ = 0;
};

TEST(SessionLife, AClientFindsItsSessionUnlessItBeginsAnew) {
  Life l;
  bool present = true;
  session::Session& made = l.life.claim(l.asks("c"), present, l.box.now);
  EXPECT_FALSE(present);
  made.expiry_s = 600;
  EXPECT_EQ(&l.life.claim(l.asks("c"), present, l.box.now), &made);
  EXPECT_TRUE(present);
  const base::SessionId before = made.id;
  session::Session& anew = l.life.claim(l.asks("c", true), present, l.box.now);
  EXPECT_FALSE(present);
  EXPECT_NE(anew.id, before);
  EXPECT_EQ(l.box.core.sessions.size(), 1u);
}

TEST(SessionLife, AReplayedConnectHasTheAnswerOfTheFirst) {
  Life l;
  session::Session& s = l.box.session("c", 600);
  session::Channel& ch = l.asks("c", true);
  s.owner_edge = l.box.core.connections.edge_of(ch.conn);
  s.owner_conn = ch.conn.local().packed();
  s.session_present = true;
  bool present = false;
  EXPECT_EQ(&l.life.claim(ch, present, l.box.now), &s) << "though it says clean start";
  EXPECT_TRUE(present);
}

TEST(SessionLife, AnExpiredSessionIsNotFoundThoughNoTimerHasRun) {
  Life l;
  session::Session& s = l.box.session("c", 600);
  const base::SessionId before = s.id;
  s.expires_at = l.box.now;
  bool present = true;
  EXPECT_NE(l.life.claim(l.asks("c"), present, l.box.now).id, before);
  EXPECT_FALSE(present);
  EXPECT_EQ(l.box.probe.session_expired, 1u);
}

TEST(SessionLife, EachConnectHasAGreaterEpochWhateverTheClockSays) {
  Life l;
  session::Session& s = l.box.session("c", 600);
  std::uint64_t last = 0;
  for (const std::int64_t step_ms : {0, 1000, -5000, 0}) {
    l.box.now.ms += step_ms;
    session::Channel& ch = l.asks("c");
    l.life.apply_connect(ch, s, l.box.now);
    EXPECT_GT(s.epoch, last);
    last = s.epoch;
    EXPECT_TRUE(l.box.core.connections.owned_by(s, ch));
  }
}

TEST(SessionLife, AfterItsConnectionAStoredSessionWaitsAndAnotherEnds) {
  Life l;
  for (const std::uint32_t expiry_s : {600u, 0u}) {
    session::Channel& ch = l.box.client("c" + std::to_string(expiry_s), expiry_s);
    const base::SessionId id = ch.session->id;
    l.box.core.sessions.offline(*ch.session, session::Offline::device);
    l.life.connection_ended(*l.box.core.sessions.by_id(id), session::EndBy::device, l.box.now);
    const session::Session* s = l.box.core.sessions.by_id(id);
    ASSERT_EQ(s != nullptr, expiry_s != 0);
    EXPECT_TRUE(s == nullptr || s->expires_at == l.box.now.plus_s(600));
  }
}

TEST(SessionLife, TheEndOfAConnectionWaitsForWhatItHasDeferred) {
  Life l;
  session::Channel& ch = l.box.client("c");
  const base::ConnId conn = ch.conn;
  l.box.core.commits.barrier();
  l.box.core.commits.defer_call(ch, [](base::Instant) {});
  ch.closed = protocol::link::CloseReason::client;
  l.box.core.clients.end_soon(ch);
  l.life.end_connections(l.box.now);
  EXPECT_NE(l.box.core.connections.find(conn), nullptr);
  l.box.commit();
  l.life.end_connections(l.box.now);
  EXPECT_EQ(l.box.core.connections.find(conn), nullptr);
  EXPECT_EQ(l.box.core.sessions.size(), 0u);
}

TEST(SessionLife, TimersRunWhenTheyAreDue) {
  Life l;
  session::Session& s = l.box.session("c", 600);
  s.expires_at = l.box.now.plus_s(10);
  l.life.schedule(s, s.expires_at);
  l.box.cx.latest = l.box.now.plus_s(9);
  EXPECT_FALSE(l.life.any_timer_due());
  l.life.run_timers(l.box.cx.latest);
  EXPECT_EQ(l.box.core.sessions.size(), 1u);
  l.box.cx.latest = l.box.now.plus_s(10);
  EXPECT_TRUE(l.life.any_timer_due());
  l.life.run_timers(l.box.cx.latest);
  EXPECT_EQ(l.box.core.sessions.size(), 0u);
  EXPECT_EQ(l.box.commit(), Strings{"delete_session 1"});
}

TEST(SessionLife, AConnectionThatIsTakenOverHearsSoFirst) {  // 3.1.4-3
  Life l;
  session::Channel& old = l.box.client("c", 600);
  session::Session& s = *old.session;
  l.life.take_over(s, l.asks("c"), l.box.now);
  EXPECT_EQ(l.box.clients.take(), Strings{"farewell 8e"});
  EXPECT_EQ(s.channel, nullptr);
  EXPECT_EQ(old.state, session::Channel::State::closing);
  EXPECT_EQ(l.box.probe.session_taken_over, 1u);
}

}  // namespace
}  // namespace berth::test
