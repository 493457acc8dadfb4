// An engine death, or the break of a link, at every boundary (I1 to I4). Each scenario runs
// once undisturbed and then once for each boundary with a death there; what the devices see must be
// the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/support/world.h"

namespace berth::test {
namespace {

// What the devices of a scenario saw, one line a packet.
using Trace = std::vector<std::string>;

std::string describe(const Packet& p, int version) {
  std::string o = std::to_string(p.type);
  if (p.type == 3) {
    return o + " " + p.topic() + " " + p.payload(version) + " q" + std::to_string(p.qos()) +
           (p.qos() == 1 ? " id" + std::to_string(p.id()) : "") + (p.dup() ? " dup" : "") +
           (p.retain() ? " ret" : "");
  }
  if (p.type == 6) return o + (p.body.size() > 2 ? " failed" : "");  // PUBREL
  for (const char c : p.body) {
    o += " " + std::to_string(static_cast<unsigned char>(c));
  }
  return o;
}
void append(Trace& t, const std::string& who, const std::vector<Packet>& packets, int version = 5) {
  for (const auto& p : packets) t.push_back(who + ": " + describe(p, version));
}

// QoS 1 may be doubled by a crash, as a new message with its own packet id: those go. A PUBLISH
// sent again (same id) stays and fails the comparison. Then packet ids are of no interest.
Trace without_doubles(const Trace& t) {
  Trace out;
  std::map<std::string, std::string> first_id;
  for (const std::string& line : t) {
    const std::size_t at = line.find(" q1 id");
    if (at == std::string::npos) {
      out.push_back(line);
      continue;
    }
    const std::size_t end = line.find(' ', at + 6);
    const std::string id = line.substr(at + 6, end == std::string::npos ? end : end - at - 6);
    const std::string rest =
        line.substr(0, at) + (end == std::string::npos ? "" : line.substr(end));
    const auto [it, fresh] = first_id.try_emplace(rest, id);
    if (fresh || it->second == id) out.push_back(rest);
  }
  return out;
}

void ack_all(World& w, int c, const std::vector<Packet>& packets) {
  for (const auto& p : packets) {
    if (p.type == 3 && p.qos() == 1) w.feed(c, ack(4, p.id()));
  }
}

std::vector<Packet> receive_qos2(World& w, int c) {
  std::vector<Packet> got = w.packets(c);
  for (const auto& p : got) {
    if (p.type == 3 && p.qos() == 2) w.feed(c, ack(5, p.id()));
    if (p.type == 6) w.feed(c, ack(7, p.id()));
  }
  return got;
}

// With messages of many bytes: minutes under ASan if it is each boundary.
#ifdef __SANITIZE_ADDRESS__
constexpr int kStepOfMany = 7;
#else
constexpr int kStepOfMany = 1;
#endif

void at_every_boundary(const std::function<Trace(World&)>& scenario,
                       const session::BrokerOptions& o = {}, int step = 1) {
  World undisturbed(o);
  const Trace expected = without_doubles(scenario(undisturbed));
  ASSERT_FALSE(expected.empty());
  for (const int breaks : {-1, 0, 1}) {
    int deaths = 0;
    for (int at = 0;; at += step) {
      World w(o, at, breaks);
      const Trace seen = without_doubles(scenario(w));
      if (!w.crashed()) break;
      ++deaths;
      ASSERT_EQ(seen, expected) << (breaks < 0 ? "engine death" : "break of a link") << " "
                                << breaks << " at boundary " << at;
    }
    EXPECT_GT(deaths, 10 / step);
  }
}

TEST(Crash, ConnectKeepsItsSessionPresent) {
  at_every_boundary([](World& w) {
    Trace t;
    const int a = w.open_connected(kPersistent);
    append(t, "a", w.packets(a));
    w.close(a);
    const int b = w.open_connected(kPersistent);
    append(t, "b", w.packets(b));
    const int c = w.open_connected({.client_id = "s", .clean = true, .properties = expiry(600)});
    append(t, "b", w.packets(b));
    append(t, "c", w.packets(c));
    return t;
  });
}

TEST(Crash, SubscribeAndUnsubscribeRepeatTheirOutcome) {
  at_every_boundary([](World& w) {
    Trace t;
    const int p = w.open_connected({.client_id = "p"});
    w.feed(p, publish("r/1", "ret", 1, 1, 5, true));
    append(t, "p", w.packets(p));
    const int s = w.open_connected(kPersistent);
    w.feed(s, subscribe(1, "r/#", 0x10 | 1));  // retained only if new
    w.feed(s, subscribe(2, "r/#", 0x10 | 1));
    w.feed(s, unsubscribe(3, "r/#"));
    w.feed(s, unsubscribe(4, "r/#"));
    append(t, "s", w.packets(s));
    std::sort(t.begin(), t.end());  // 3.8.4: a PUBLISH may come before its SUBACK
    return t;
  });
}

TEST(Crash, Qos2IsRoutedOnceFromPersistentAndCleanPublishers) {
  for (const bool clean : {true, false}) {
    at_every_boundary([clean](World& w) {
      Trace t;
      const int s = w.open_connected(kPersistent);
      w.feed(s, subscribe(1, "t", 2));
      const int v = w.open_connected({.client_id = "volatile"});
      w.feed(v, subscribe(1, "t", 2));
      const int p = w.open_connected(
          {.client_id = "p", .clean = clean, .properties = expiry(clean ? 0 : 60)});
      for (unsigned i = 1; i <= 3; ++i) {
        w.feed(p, publish("t", std::to_string(i), 2, i));
        w.feed(p, ack(6, i));
      }
      append(t, "p", w.packets(p));
      for (int round = 0; round < 3; ++round) {
        append(t, "s", receive_qos2(w, s));
        append(t, "v", receive_qos2(w, v));
      }
      return t;
    });
  }
}

// Several batches for one PUBLISH: each receiver has it once, QoS 1 at least once.
TEST(Crash, APublishOfManyBytesReachesAllItsReceivers) {
  for (const unsigned qos : {1u, 2u}) {
    const bool clean = qos == 1;  // all four: 30 s, and minutes under ASan
    at_every_boundary(
        [qos, clean](World& w) {
          Trace t;
          std::vector<int> receivers;
          for (int i = 0; i < 4; ++i) {
            const bool stored = i < 3;
            const int s = w.open_connected({.client_id = "s" + std::to_string(i),
                                            .clean = !stored,
                                            .properties = expiry(stored ? 600 : 0)});
            w.feed(s, subscribe(1, "t", 2));
            receivers.push_back(s);
          }
          const int p = w.open_connected(
              {.client_id = "p", .clean = clean, .properties = expiry(clean ? 0 : 60)});
          for (unsigned i = 1; i <= 2; ++i) {
            w.feed(p, publish("t", std::string(270'000, static_cast<char>('a' + i)), qos, i));
            if (qos == 2) w.feed(p, ack(6, i));
          }
          append(t, "p", w.packets(p));
          for (int round = 0; round < 3; ++round) {
            for (std::size_t i = 0; i < receivers.size(); ++i) {
              std::vector<Packet> got = receive_qos2(w, receivers[i]);
              ack_all(w, receivers[i], got);
              append(t, std::to_string(i), got);
            }
          }
          std::sort(t.begin(), t.end());
          return t;
        },
        {}, kStepOfMany);
  }
}

// Several batches for one SUBSCRIBE: what is retained comes once.
TEST(Crash, RetainedMessagesOfManyBytesComeOnce) {
  at_every_boundary(
      [](World& w) {
        Trace t;
        const int p = w.open_connected({.client_id = "p"});
        for (unsigned i = 1; i <= 5; ++i)
          w.feed(p, publish("r/" + std::to_string(i), std::string(400'000, 'x'), i % 2 + 1, i, 5,
                            true));
        const int s = w.open_connected(kPersistent);
        w.feed(s, subscribe(1, "r/#", 2));
        for (int round = 0; round < 3; ++round) {
          std::vector<Packet> got = receive_qos2(w, s);
          ack_all(w, s, got);
          append(t, "s", got);
        }
        std::sort(t.begin(), t.end());
        return t;
      },
      {}, kStepOfMany);
}

TEST(Crash, NothingIsResentOnALiveConnection) {  // I3, 4.4.0-1
  at_every_boundary([](World& w) {
    Trace t;
    const int s = w.open_connected(kPersistent);
    w.feed(s, subscribe(1, "t", 1));
    const int p = w.open_connected({.client_id = "p"});
    for (unsigned i = 1; i <= 4; ++i) w.feed(p, publish("t", std::to_string(i), 1, i));
    const std::vector<Packet> first = w.packets(s);
    w.feed(p, publish("t", "5", 1, 5));
    const std::vector<Packet> second = w.packets(s);
    ack_all(w, s, second);
    ack_all(w, s, first);
    append(t, "s", first);
    append(t, "s", second);
    append(t, "p", w.packets(p));
    w.close(s);
    const int again = w.open_connected(kPersistent);
    append(t, "again", w.packets(again));
    return t;
  });
}

// QoS 0 copies and expiry-0 subscribers leave in one step with the publisher's acknowledgement.
TEST(Crash, VolatileSubscribersMissNothingAndQos0IsNotDoubled) {
  at_every_boundary([](World& w) {
    Trace t;
    const int v = w.open_connected({.client_id = "v", .properties = from_hex("21 00 02")});
    w.feed(v, subscribe(1, "t/#", 1));
    const int p = w.open_connected({.client_id = "p"});
    for (unsigned i = 1; i <= 6; ++i) {
      w.feed(p, publish("t/1", std::to_string(i), 1, i));
      w.feed(p, publish("t/0", "q0 " + std::to_string(i), 0));
    }
    append(t, "p", w.packets(p));
    std::vector<Packet> got = w.packets(v);
    for (int round = 0; round < 8;
         ++round) {  // Receive Maximum 2: the rest had to wait in the store
      ack_all(w, v, got);
      append(t, "v", got);
      got = w.packets(v);
    }
    return t;
  });
}

TEST(Crash, AliasesAndRetainedCursorSurvive) {
  at_every_boundary([](World& w) {
    Trace t;
    const int s = w.open_connected({.client_id = "s", .properties = from_hex("22 00 04")});
    w.feed(s, subscribe(1, "a/#", 0));
    const int p = w.open_connected({.client_id = "p"});
    w.feed(p, publish("a/long", "1", 0, 0, 5, false, false, from_hex("23 00 01")));
    w.feed(p, publish("", "2", 0, 0, 5, false, false, from_hex("23 00 01")));
    w.feed(p, publish("a/other", "3", 0, 0, 5, false, false, from_hex("23 00 01")));
    w.feed(p, publish("", "4", 0, 0, 5, false, false, from_hex("23 00 01")));
    append(t, "s", w.packets(s));
    return t;
  });
}

TEST(Crash, TakeOverAndWillHappenOnce) {
  at_every_boundary([](World& w) {
    Trace t;
    const int watch = w.open_connected({.client_id = "watch"});
    w.feed(watch, subscribe(1, "w", 1));
    const ConnectOptions d{
        .client_id = "d", .will_topic = "w", .will_payload = "gone", .will_qos = 1};
    const int a = w.open_connected(d);
    const int b = w.open_connected(d);
    append(t, "a", w.packets(a));
    append(t, "b", w.packets(b));
    w.feed(b, publish("x", "last", 1, 1) + disconnect());
    w.close(b);
    append(t, "b", w.packets(b));
    append(t, "watch", w.packets(watch));
    return t;
  });
}

// Many packets in one read, as after a gap: those before one that waits for a commit have taken
// effect and must be acknowledged with it, or a death before the commit sends their copies again.
TEST(Crash, QoS0BeforeAPublishThatWaitsIsNotDoubled) {
  at_every_boundary([](World& w) {
    Trace t;
    const int s = w.open_connected(kPersistent);
    w.feed(s, subscribe(1, "stored", 1));
    const int v = w.open_connected({.client_id = "v"});
    w.feed(v, subscribe(1, "plain", 2));
    const int p = w.open_connected({.client_id = "p"});
    w.feed(p, publish("plain", "0a", 0) + publish("plain", "2a", 2, 1) +
                  publish("stored", "1", 1, 2) + publish("plain", "0b", 0) +
                  publish("stored", "2", 1, 3) + publish("plain", "0c", 0));
    append(t, "p", w.packets(p));
    append(t, "v", w.packets(v));
    append(t, "s", w.packets(s));
    return t;
  });
}

// A retained message whose copies must wait a second time is not kept a second time: another's, set
// in between, would be undone.
TEST(Crash, RetainedIsKeptInTheOrderOfCommits) {
  World w;
  const int slow = w.open_connected({.client_id = "slow"}, 0);
  w.feed(slow, subscribe(1, "x", 1));
  const int a = w.open_connected({.client_id = "a"}, 0);
  const int b = w.open_connected({.client_id = "b"}, 0);
  w.hold_commits(true);
  w.feed(a, publish("x", "first", 1, 1, 5, true));
  w.feed(b, publish("x", "second", 0, 0, 5, true));
  w.set_writable(slow, false);  // at the commit neither copy can leave at once
  w.hold_commits(false);
  w.set_writable(slow, true);
  for (const bool crash : {false, true}) {
    if (crash) w.crash();
    const int late = w.open_connected({.client_id = crash ? "late2" : "late1"}, 0);
    w.feed(late, subscribe(1, "x", 0));
    std::string kept;
    for (const Packet& k : w.packets(late)) {
      if (k.type == 3) kept = k.payload(5);
    }
    EXPECT_EQ(kept, "second") << (crash ? "from the store" : "from memory");
  }
}

// PUBLISH, DISCONNECT and FIN at once: the DISCONNECT waits for the PUBLISH's commit, the end of
// the connection must wait behind it, or a will fires that was taken back (3.14.4-3).
TEST(Crash, DisconnectBehindACommitStillTakesTheWillBack) {
  at_every_boundary([](World& w) {
    Trace t;
    const int watch = w.open_connected({.client_id = "watch"});
    w.feed(watch, subscribe(1, "w", 1));
    const int s = w.open_connected(kPersistent);
    w.feed(s, subscribe(1, "t", 1));
    const int d = w.open_connected(
        {.client_id = "d", .will_topic = "w", .will_payload = "gone", .will_qos = 1});
    w.hold_commits(true);
    w.feed(d, publish("t", "last", 1, 1) + disconnect());
    w.close(d);
    w.hold_commits(false);
    append(t, "s", w.packets(s));
    const std::vector<Packet> seen = w.packets(watch);
    EXPECT_EQ(seen.size(), 2u) << "CONNACK and SUBACK, no will";
    append(t, "watch", seen);
    return t;
  });
}

// Publisher and subscribers on different edge shards: their frames are not one, so what must not be
// lost or doubled goes by the store.
TEST(Crash, CopiesToAnotherEdgeShardAreNeitherLostNorDoubled) {
  for (const unsigned qos : {1u, 2u}) {
    at_every_boundary([qos](World& w) {
      Trace t;
      const int far = w.open_connected({.client_id = "far"}, 1);
      w.feed(far, subscribe(1, "t/#", static_cast<int>(qos)));
      const int near = w.open_connected({.client_id = "near"}, 0);
      w.feed(near, subscribe(1, "t/#", static_cast<int>(qos)));
      const int stored = w.open_connected(kPersistent, 1);
      w.feed(stored, subscribe(1, "t/#", static_cast<int>(qos)));
      const int p = w.open_connected({.client_id = "p"}, 0);
      std::string burst;
      for (unsigned i = 1; i <= 3; ++i) {
        burst += publish("t", std::to_string(i), static_cast<int>(qos), i);
      }
      w.feed(p, burst);
      if (qos == 2) {
        for (unsigned i = 1; i <= 3; ++i) w.feed(p, ack(6, i));
      }
      append(t, "p", w.packets(p));
      for (const auto& [name, c] : {std::pair("far", far), {"near", near}, {"stored", stored}}) {
        const std::vector<Packet> got = w.packets(c);
        append(t, name, got);
        ack_all(w, c, got);
        append(t, name, w.packets(c));
      }
      return t;
    });
  }
}

void qos0_from(std::uint32_t publisher_link, std::uint32_t subscriber_link, int breaks) {
  for (int at = 0;; ++at) {
    World w({}, at, breaks);
    const int far = w.open_connected({.client_id = "far"}, subscriber_link);
    w.feed(far, subscribe(1, "t", 0));
    const int p = w.open_connected({.client_id = "p"}, publisher_link);
    for (int i = 1; i <= 4; ++i) w.feed(p, publish("t", std::to_string(i), 0));
    std::vector<std::string> got;
    for (const Packet& k : w.packets(far)) {
      if (k.type == 3) got.push_back(k.payload(5));
    }
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
    EXPECT_EQ(std::adjacent_find(got.begin(), got.end()), got.end()) << "death at boundary " << at;
    EXPECT_GE(got.size(), 3u);
    if (w.crashed()) continue;
    EXPECT_EQ(got.size(), 4u);
    return;
  }
}

TEST(Crash, Qos0ToAnotherEdgeShardMayBeLostAndIsNeverDoubled) {
  for (const int breaks : {-1, 0, 1}) {
    qos0_from(0, 1, breaks);
    qos0_from(1, 0, breaks);
  }
}

// One receiver can take the message at once, another has to wait in the store: the first must not
// have it before the second's copy is committed.
TEST(Crash, Qos2ToOneThatCanTakeItAndOneThatCannot) {
  at_every_boundary([](World& w) {
    Trace t;
    const int slow = w.open_connected({.client_id = "slow", .properties = from_hex("21 00 01")});
    w.feed(slow, subscribe(1, "t", 2));
    const int quick = w.open_connected({.client_id = "quick"});
    w.feed(quick, subscribe(1, "t", 2));
    const int p = w.open_connected({.client_id = "p"});
    for (unsigned i = 1; i <= 3; ++i) {
      w.feed(p, publish("t", std::to_string(i), 2, i));
      w.feed(p, ack(6, i));
    }
    append(t, "quick", w.packets(quick));
    append(t, "p", w.packets(p));
    for (int round = 0; round < 8; ++round) append(t, "slow", receive_qos2(w, slow));
    return t;
  });
}

TEST(Crash, TakeOverFromAnotherEdgeShard) {
  at_every_boundary([](World& w) {
    Trace t;
    const int a = w.open_connected(kPersistent, 0);
    w.feed(a, subscribe(1, "t", 1));
    append(t, "a", w.packets(a));
    const int p = w.open_connected({.client_id = "p"}, 1);
    const int b = w.open_connected(kPersistent, 1);
    w.feed(p, publish("t", "after", 1, 1));
    append(t, "a", w.packets(a));
    append(t, "b", w.packets(b));
    t.push_back(w.ended(a) && !w.ended(b) ? "a ended, b lives" : "wrong");
    const int v1 = w.open_connected({.client_id = "v"}, 0);
    const int v2 = w.open_connected({.client_id = "v"}, 1);
    append(t, "v1", w.packets(v1));
    append(t, "v2", w.packets(v2));
    t.push_back(w.ended(v1) && !w.ended(v2) ? "v1 ended, v2 lives" : "wrong");
    return t;
  });
}

// A long input is worked on in several turns; its end, a DISCONNECT, is not lost for it.
TEST(Crash, ALongInputRestsAndIsFinished) {
  World w;
  const int watch = w.open_connected({.client_id = "watch"});
  w.feed(watch, subscribe(1, "w", 1));
  w.packets(watch);
  std::vector<int> subscribers;
  for (int i = 0; i < 150; ++i) {
    subscribers.push_back(w.open_connected({.client_id = "s" + std::to_string(i)}));
    w.feed(subscribers.back(), subscribe(1, "t", 0));
    w.packets(subscribers.back());
  }
  const int p = w.open_connected(
      {.client_id = "p", .will_topic = "w", .will_payload = "gone", .will_qos = 1});
  std::string burst;
  for (int i = 0; i < 200; ++i) burst += publish("t", std::to_string(i), 0);
  w.send_and_close(p, burst + disconnect());
  for (const int s : subscribers) EXPECT_EQ(w.packets(s).size(), 200u);
  EXPECT_TRUE(w.packets(watch).empty()) << "the DISCONNECT was read";
}

}  // namespace
}  // namespace berth::test
