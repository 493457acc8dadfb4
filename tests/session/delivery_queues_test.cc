// Packets that the edge has dropped because their deadline had passed (Broker::told):
// the delivery is finished, its packet id is free, and an engine's death changes nothing of it.
#include "session/delivery_queues.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "session/entry_codec.h"
#include "tests/support/core_box.h"
#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

using Strings = std::vector<std::string>;

std::string window(unsigned n) {
  return std::string("\x21", 1) + u16(n);  // Receive Maximum
}
ConnectOptions subscriber(bool stored, unsigned receive_maximum) {
  return {.client_id = "s",
          .clean = !stored,
          .properties = (stored ? expiry(600) : std::string()) + window(receive_maximum)};
}

void say(World& w, int p, unsigned qos, unsigned from, unsigned to) {
  for (unsigned i = from; i <= to; ++i) {
    w.feed(p, publish("t", "m" + std::to_string(i), qos, i, 5));
    if (qos == 2) w.feed(p, ack(6, i));
  }
}

// Three messages, of which the second is dropped at the edge, with room for two at a time.
void second_of_three(World& w, bool stored, unsigned qos) {
  int s = w.open_connected(subscriber(stored, 2));
  w.feed(s, subscribe(1, "t", qos));
  w.packets(s);
  const int p = w.open_connected({.client_id = "p"});
  say(w, p, qos, 1, 3);
  ASSERT_EQ(heard(w, s), (Strings{"m1", "m2"}));
  w.drop(s, 2);
  EXPECT_EQ(w.dropped_untaken(s), 0u);
  EXPECT_EQ(heard(w, s), (Strings{"m3"}));  // there is room again
  if (!stored) return;
  w.close(s);
  s = w.open_connected(subscriber(stored, 10));
  EXPECT_EQ(heard(w, s), (Strings{"m1 dup", "m3 dup"}));  // never m2
}

TEST(Expired, ADroppedPacketIsFinishedAndItsPlaceIsFree) {
  for (const bool stored : {false, true}) {
    for (const unsigned qos : {1u, 2u}) {
      SCOPED_TRACE(testing::Message() << "stored " << stored << " qos " << qos);
      World w;
      second_of_three(w, stored, qos);
    }
  }
}

TEST(Expired, TheEngineMayDieAtEveryBoundary) {
  for (const bool stored : {false, true}) {
    for (const unsigned qos : {1u, 2u}) {
      for (const int breaks : {-1, 0}) {
        int deaths = 0;
        for (int at = 0;; ++at) {
          SCOPED_TRACE(testing::Message()
                       << "stored " << stored << " qos " << qos << " at " << at << " " << breaks);
          World w({}, at, breaks);
          int s = w.open_connected(subscriber(stored, 2));
          w.feed(s, subscribe(1, "t", qos));
          const int p = w.open_connected({.client_id = "p"});
          say(w, p, qos, 1, 2);
          w.drop(s, 2);
          EXPECT_EQ(w.dropped_untaken(s), 0u);
          say(w, p, qos, 3, 3);
          const Strings all = heard(w, s);  // a death may double m1 or m2 as new messages
          EXPECT_GE(all.size(), 3u);  // two are in flight, and the place of the second is free
          if (!w.crashed()) {
            EXPECT_EQ(all, (Strings{"m1", "m2", "m3"}));
          }
          if (w.crashed()) ++deaths;
          if (stored) {
            w.close(s);
            s = w.open_connected(subscriber(stored, 100));
            for (const Packet& m : w.packets(s)) {
              if (m.type == 3) {
                EXPECT_NE(m.id(), 2u);  // the one that was dropped
              }
            }
          }
          if (!w.crashed()) break;
        }
        EXPECT_GT(deaths, 10);
      }
    }
  }
}

// What has been acknowledged, or was never sent, is told too: nothing happens but the answer.
TEST(Expired, ANoticeThatComesTwiceOrTooLateChangesNothing) {
  World w;
  const int s = w.open_connected(subscriber(true, 10));
  w.feed(s, subscribe(1, "t", 1));
  w.packets(s);
  const int p = w.open_connected({.client_id = "p"});
  say(w, p, 1, 1, 2);
  ASSERT_EQ(heard(w, s), (Strings{"m1", "m2"}));
  w.feed(s, ack(4, 1));
  w.drop(s, 1);
  w.drop(s, 2);
  w.drop(s, 2);
  w.drop(s, 77);
  EXPECT_EQ(w.dropped_untaken(s), 0u);
  say(w, p, 1, 3, 3);
  EXPECT_EQ(heard(w, s), (Strings{"m3"}));
}

// Durable first: the edge is told to forget a notice when no engine can miss it any more.
TEST(Expired, TheEdgeKeepsANoticeUntilTheEndOfItsDeliveryIsStored) {
  World w;
  const int s = w.open_connected(subscriber(true, 10));
  w.feed(s, subscribe(1, "t", 1));
  w.packets(s);
  const int p = w.open_connected({.client_id = "p"});
  say(w, p, 1, 1, 1);
  w.hold_commits(true);
  w.drop(s, 1);
  EXPECT_EQ(w.dropped_untaken(s), 1u);
  w.hold_commits(false);
  EXPECT_EQ(w.dropped_untaken(s), 0u);
}

// Another connection has the session by now, and was sent the message: it stays in flight there.
TEST(Expired, ANoticeOfAConnectionThatWasTakenOverTouchesNoOther) {
  World w;
  const int old = w.open_connected(subscriber(true, 10));
  w.feed(old, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  say(w, p, 1, 1, 1);
  const int now = w.open_connected(subscriber(true, 10));
  EXPECT_EQ(heard(w, now), (Strings{"m1 dup"}));
  w.drop(old, 1);
  w.close(now);
  EXPECT_EQ(heard(w, w.open_connected(subscriber(true, 10))), (Strings{"m1 dup"}));
}

// Answers reads of queues when the test says so, and notes what the edge is told to forget.
class SlowStore : public World {
 public:
  struct Read {
    base::SessionId session;
    std::uint64_t ticket = 0;
  };
  void answer(base::result<std::vector<session::StoredEntry>> entries) {
    const Read r = reads.front();
    reads.erase(reads.begin());
    broker().queue_loaded(r.session, r.ticket, std::move(entries), now());
    run();
  }
  std::vector<Read> reads;
  std::vector<std::uint64_t> taken;

 private:
  void load_queue(base::SessionId s, std::uint64_t, std::size_t, std::size_t,
                  std::uint64_t ticket) override {
    reads.push_back({s, ticket});
  }
  void told_taken(base::ConnId, std::uint64_t seq, protocol::link::Fate) override {
    taken.push_back(seq);
  }
};

session::StoredEntry entry(std::uint64_t seq) {
  session::StoredEntry e{seq, {}};
  session::encode_entry(e.value, {.topic = "t", .payload = "m"}, 1, false, 10 * seq, nullptr);
  return e;
}

// A new engine has not read what is in flight when the edge repeats its notices: each is kept once,
// however often it comes, and waits for a read of its own session's queue.
TEST(Expired, NoticesWaitForTheirQueueEachOnce) {
  SlowStore w;
  const int s = w.open_connected(subscriber(true, 10));
  w.feed(s, subscribe(1, "t", 1));
  const int other = w.open_connected({.client_id = "o", .clean = false, .properties = expiry(600)});
  w.feed(other, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  say(w, p, 1, 1, 2);
  ASSERT_EQ(heard(w, s), (Strings{"m1", "m2"}));
  w.crash();
  const auto notices = [&] {
    for (int i = 0; i < 1000; ++i) {
      for (const std::uint64_t seq : {1u, 2u})
        w.broker().told(base::ConnId{0, 1}, seq, protocol::link::Fate::dropped, w.now());
    }
    w.run();
  };
  notices();
  ASSERT_EQ(w.reads.size(), 2u);
  if (w.reads[0].session != w.broker().find_session("s")->id) std::swap(w.reads[0], w.reads[1]);
  EXPECT_TRUE(w.taken.empty());
  const auto& expired = w.broker().find_session("s")->outbox->expired;
  ASSERT_TRUE(expired);
  EXPECT_EQ(expired->size(), 2u);
  w.answer(boost::system::errc::make_error_code(boost::system::errc::io_error));
  EXPECT_TRUE(w.taken.empty());
  EXPECT_EQ(w.reads.size(), 1u) << "the other session's";
  notices();
  ASSERT_EQ(w.reads.size(), 2u) << "whoever waits for a read asks for it";
  w.answer(std::vector{entry(1), entry(2)});  // of the other session
  EXPECT_TRUE(w.taken.empty());
  w.answer(std::vector{entry(1), entry(2)});
  EXPECT_EQ(w.taken, (std::vector<std::uint64_t>{1, 2}));
}

// They end with their connection.
TEST(Expired, NoticesEndWithTheirConnection) {
  SlowStore w;
  const int s = w.open_connected(subscriber(true, 10));
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  say(w, p, 1, 1, 1);
  w.crash();
  w.broker().told(base::ConnId{0, 1}, 1, protocol::link::Fate::dropped, w.now());
  w.close(s);
  w.reads.clear();
  const int next = w.open_connected(subscriber(true, 10));
  ASSERT_EQ(w.reads.size(), 1u);
  w.answer(std::vector{entry(1)});
  EXPECT_TRUE(w.taken.empty());
  EXPECT_EQ(heard(w, next), Strings{"m dup"});
}

TEST(Session, SubscriptionIdentifiersCountInItsQueue) {
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(600)});
  const Strings filters{"a/b/c", "#", "a/#", "a/b/#", "a/b/c/#", "+/b/c", "a/+/c", "a/b/+"};
  for (unsigned i = 0; i < filters.size(); ++i)
    w.feed(s, subscribe(i + 1, filters[i], 1, 5, from_hex("0b ff ff ff 7f")));
  w.close(s);
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("a/b/c", "m", 1, 1));
  w.broker().refresh_gauges();
  EXPECT_EQ(w.probe().queued, 1u);
  EXPECT_GE(w.probe().queued_bytes_now, 16 + 5 + 1 + 4 * filters.size());
}

TEST(Session, QueueOfAnOfflineSessionIsKeptInOrder) {
  World w;
  const int s = w.open_connected({.client_id = "s", .version = 4, .clean = false});
  w.feed(s, subscribe(1, "t", 1, 4));
  w.close(s);
  const int p = w.open_connected({.client_id = "p"});
  Strings sent;
  for (unsigned i = 1; i <= 700; ++i) {
    sent.push_back(std::to_string(i));
    w.feed(p, publish("t", sent.back(), 1, i));
  }
  const int s2 = w.open_connected({.client_id = "s", .version = 4, .clean = false});
  std::vector<Packet> all = w.packets(s2);
  EXPECT_EQ(only(all, 2).body[0], 1) << "session present";
  EXPECT_EQ(payloads(all, 4), sent);
  for (const auto& m : all) {
    if (m.type == 3) w.feed(s2, ack(4, m.id()));
  }
  w.close(s2);
  const int s3 = w.open_connected({.client_id = "s", .version = 4, .clean = false});
  EXPECT_TRUE(payloads(w.packets(s3), 4).empty());
}

TEST(Session, UnacknowledgedIsSentAgainWithDupAndItsPacketId) {  // 4.4.0-1, 3.3.1-1
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  w.feed(s, subscribe(1, "t", 2));
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("t", "a", 1, 1));
  w.feed(p, publish("t", "b", 2, 2));
  w.packets(s);
  w.feed(s, ack(5, 2));  // PUBREC for "b"
  EXPECT_EQ(only(w.packets(s), 6).id(), 2u);
  w.close(s);
  w.feed(p, publish("t", "c", 1, 3));
  const int s2 = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  const auto all = w.packets(s2);
  ASSERT_EQ(payloads(all), (Strings{"a", "c"}));
  EXPECT_EQ(only(all, 6).id(), 2u) << "PUBREL again, not the message";
  for (const auto& m : all) {
    if (m.type != 3) continue;
    EXPECT_EQ(m.dup(), m.payload(5) == "a");
  }
}

TEST(Session, PacketIdsGoOnAfterARestartOfEverything) {
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("t", "old", 1, 1));
  const unsigned old_id = only(w.packets(s), 3).id();
  w.restart_all(78);
  const int s2 = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  const int p2 = w.open_connected({.client_id = "p"});
  w.feed(p2, publish("t", "new", 1, 1));
  unsigned new_id = 0;
  for (const auto& m : w.packets(s2)) {
    if (m.type != 3) continue;
    if (m.payload(5) == "old") {
      EXPECT_EQ(m.id(), old_id);
      EXPECT_TRUE(m.dup());
    } else {
      new_id = m.id();
    }
  }
  EXPECT_NE(new_id, 0u);
  EXPECT_NE(new_id, old_id);
}

TEST(Session, EndsWithItsExpiry) {  // 3.1.2-23, 4.1.0-2
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(10)});
  w.close(s);
  w.advance_s(11);
  EXPECT_EQ(w.broker().find_session("s"), nullptr);
  const int s2 = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(10)});
  EXPECT_EQ(only(w.packets(s2), 2).body[0], 0);
}

TEST(Session, FullQueueDropsTheOldestAndCounts) {
  session::BrokerOptions o;
  o.queue_messages_max = 3;
  World w(o);
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  w.feed(s, subscribe(1, "t", 1));
  w.close(s);
  const int p = w.open_connected({.client_id = "p"});
  for (unsigned i = 1; i <= 5; ++i) w.feed(p, publish("t", std::to_string(i), 1, i));
  EXPECT_EQ(w.probe().drop_queue_full, 2u);
  const int s2 = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(100)});
  EXPECT_EQ(payloads(w.packets(s2)), (Strings{"3", "4", "5"}));
}

TEST(Session, SendQuotaIsThatOfTheNewConnection) {
  World w;
  ConnectOptions o{
      .client_id = "s", .clean = false, .properties = expiry(100) + from_hex("21 00 02")};
  const int s = w.open_connected(o);
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  for (unsigned i = 1; i <= 10; ++i) w.feed(p, publish("t", std::to_string(i), 1, i));
  EXPECT_EQ(payloads(w.packets(s)).size(), 2u);
  w.close(s);
  o.properties = expiry(100) + from_hex("21 00 06");
  const int again = w.open_connected(o);
  EXPECT_EQ(payloads(w.packets(again)), (Strings{"1", "2", "3", "4", "5", "6"}));
}

TEST(Session, TakeOverWhileTheBacklogDrainsLosesNothing) {
  World w;
  const ConnectOptions o{
      .client_id = "s", .clean = false, .properties = expiry(100) + from_hex("21 00 14")};
  w.close([&] {
    const int s = w.open_connected(o);
    w.feed(s, subscribe(1, "t", 1));
    return s;
  }());
  const int p = w.open_connected({.client_id = "p"});
  Strings sent;
  for (unsigned i = 1; i <= 900; ++i) {
    sent.push_back(std::to_string(i));
    w.feed(p, publish("t", sent.back(), 1, i));
  }
  Strings got;
  for (int round = 0; got.size() < sent.size() && round < 200; ++round) {
    const int c = w.open_connected(o);  // takes over the one before, in the middle of its window
    const auto all = w.packets(c);
    for (const auto& m : all) {
      if (m.type != 3) continue;
      if (std::find(got.begin(), got.end(), m.payload(5)) == got.end()) got.push_back(m.payload(5));
      if (m.id() % 3 != 0 || round % 2 == 1) w.feed(c, ack(4, m.id()));
    }
  }
  EXPECT_EQ(got, sent);
}

// What is dropped while a connected session's queue is being read from the store leaves a hole
// there, which is passed over. (It made the engine read the queue for ever.)
TEST(Delivery, DroppedWhileTheQueueIsRead) {
  session::BrokerOptions o;
  o.queue_messages_max = 12;
  o.queue_bytes_max = 100u << 20;
  o.packet_max = 1u << 20;
  World w(o);
  const std::string receive_maximum = std::string("\x21", 1) + u16(4);
  const int c = w.open_connected(
      {.client_id = "c", .clean = false, .properties = expiry(600) + receive_maximum});
  w.feed(c, subscribe(1, "t", 1));
  const std::string large(300'000, 'x');  // four of them fill what is kept in memory
  const auto say = [&](unsigned id) { return publish("t", std::to_string(id) + large, 1, id); };
  for (unsigned id = 1; id <= 12; ++id) w.feed(c, say(id));
  std::string next;  // what is in memory is acknowledged, the rest is being read, more comes
  for (unsigned id = 1; id <= 7; ++id) next += ack(4, id);
  for (unsigned id = 13; id <= 22; ++id) next += say(id);
  w.packets(c);
  w.feed(c, next);
  std::vector<std::string> got;
  for (bool more = true; more;) {
    more = false;
    for (const Packet& p : w.packets(c)) {
      if (p.type != 3) continue;
      more = true;
      got.push_back(p.payload(5).substr(0, 2));
      w.feed(c, ack(4, p.id()));
    }
  }
  EXPECT_GE(got.size(), 12u);
  EXPECT_TRUE(std::is_sorted(got.end() - 12, got.end()));
  EXPECT_EQ(got.back(), "22");
  EXPECT_GT(w.probe().drop_queue_full, 2u);
}

// -- the room alone

struct Queue {
  CoreBox box;
  session::Channel& ch;
  session::Session& s = *ch.session;
  session::DeliveryQueues& queues = box.core.queues;
  explicit Queue(std::uint32_t expiry_s = 600, session::BrokerOptions o = {})
      : box(std::move(o)), ch(box.client("c", expiry_s)) {}

  void append(const std::string& payload, std::uint8_t qos = 1) {
    session::Delivery d{.message = message("t", payload, qos), .owned = {}, .publisher = {}};
    queues.append(s, d, qos, false, {});
  }
  void deliver(const std::string& payload, std::uint8_t qos = 1) {
    session::Delivery d{.message = message("t", payload, qos), .owned = {}, .publisher = {}};
    queues.deliver(s, d, {qos}, false, {}, box.now);
  }
  void finish(std::uint64_t seq) {
    queues.finish(s, seq, session::Finished::acknowledged);
    queues.trim(s);
    queues.pump(s, box.now);
  }
};

TEST(DeliveryQueues, AnEntryIsSentWhenItIsDurable) {
  Queue q;
  q.append("1");
  q.append("2", 2);
  q.queues.pump(q.s, q.box.now);
  EXPECT_TRUE(q.box.clients.take().empty());
  const Strings wrote = q.box.commit();
  EXPECT_EQ(wrote.back(), "append 1 2");
  EXPECT_EQ(q.box.clients.take(), (Strings{"deliver t 1 q1 #1", "deliver t 2 q2 #2"}));
  EXPECT_EQ(q.s.flow().queued, 2u);
  EXPECT_GE(q.s.flow().sent_max, 2u) << "stored before anything is sent";
}

TEST(DeliveryQueues, NoMoreIsInFlightThanTheDeviceTakes) {  // 3.3.4-9
  Queue q;
  q.ch.receive_maximum = 2;
  for (int i = 1; i <= 4; ++i) q.append(std::to_string(i));
  q.box.commit();
  EXPECT_EQ(q.box.clients.take().size(), 2u);
  q.finish(2);
  EXPECT_EQ(q.box.clients.take(), Strings{"deliver t 3 q1 #3"}) << "whichever it has acknowledged";
  EXPECT_EQ(q.s.flow().first_seq, 1u) << "1 is not done";
  q.finish(1);
  EXPECT_EQ(q.box.clients.take(), Strings{"deliver t 4 q1 #4"});
  EXPECT_EQ(q.s.flow().first_seq, 3u);
  EXPECT_EQ(q.s.flow().queued, 2u);
  EXPECT_EQ(q.box.core.sessions.queued(), 2u);
}

TEST(DeliveryQueues, OutputThatNobodyTakesIsNotAddedTo) {
  Queue q;
  q.box.effects.takes_output = false;
  q.append("1");
  q.box.commit();
  EXPECT_TRUE(q.box.clients.take().empty());
  EXPECT_TRUE(q.ch.waiting_room);
  q.box.effects.takes_output = true;
  q.ch.waiting_room = false;
  q.queues.pump(q.s, q.box.now);
  EXPECT_EQ(q.box.clients.take().size(), 1u);
}

TEST(DeliveryQueues, WhatTheDeviceCannotTakeIsFinishedAndPassedOver) {
  Queue q;
  q.box.clients.takes = false;
  q.append("too large");
  q.box.commit();
  EXPECT_EQ(q.s.flow().first_seq, 2u);
  EXPECT_EQ(q.s.flow().queued, 0u);
  EXPECT_EQ(q.box.commit(), Strings{"remove 1 1"});
}

TEST(DeliveryQueues, AReleasedEntryHasNoMessageAnyMore) {
  Queue q;
  q.append("1", 2);
  q.box.commit();
  session::OutEntry* e = session::entry_at(q.s, 1);
  ASSERT_NE(e, nullptr);
  q.queues.release(q.s, *e, 1);
  EXPECT_EQ(e->state, session::EntryState::released);
  EXPECT_FALSE(e->message);
  EXPECT_EQ(q.s.outbox->bytes, 0u);
  const auto batch = q.box.core.commits.seal();
  ASSERT_TRUE(batch);
  const auto stored = session::decode_entry((*batch)[0].value);
  ASSERT_TRUE(stored);
  EXPECT_TRUE(stored->released);
  EXPECT_EQ(stored->cumulative, q.s.flow().cumulative_bytes) << "so the queue's bytes can be told";
}

TEST(DeliveryQueues, AFullQueueDoesAsItsPolicySays) {
  for (const auto policy : {session::QueuePolicy::drop_oldest, session::QueuePolicy::drop_new,
                            session::QueuePolicy::disconnect}) {
    session::BrokerOptions o;
    o.queue_messages_max = 2;
    o.queue_policy = policy;
    Queue q(600, o);
    q.box.effects.takes_output = false;  // nothing is sent
    for (int i = 1; i <= 3; ++i) q.append(std::to_string(i));
    q.box.commit();
    EXPECT_EQ(q.box.probe.drop_queue_full, 1u);
    EXPECT_EQ(q.s.flow().queued, 2u);
    const bool ended = q.ch.state == session::Channel::State::closing;
    EXPECT_EQ(ended, policy == session::QueuePolicy::disconnect);
    if (ended) continue;
    q.box.effects.takes_output = true;
    q.queues.pump(q.s, q.box.now);
    const bool oldest = policy == session::QueuePolicy::drop_oldest;
    EXPECT_EQ(q.box.clients.take().at(0), oldest ? "deliver t 2 q1 #2" : "deliver t 1 q1 #1");
  }
}

TEST(DeliveryQueues, WhatIsNotStoredGoesAtOnceOrWaitsInMemory) {
  Queue q(0);
  q.ch.receive_maximum = 1;
  q.deliver("1");
  q.deliver("2");
  EXPECT_EQ(q.box.clients.take(), Strings{"deliver t 1 q1 #1"});
  EXPECT_TRUE(q.box.commit().empty()) << "nothing is stored";
  q.finish(1);
  EXPECT_EQ(q.box.clients.take(), Strings{"deliver t 2 q1 #2"});
}

TEST(DeliveryQueues, WhatStandsInTheStoreOnlyIsReadOnceAndSent) {
  Queue q;
  session::Flow& flow = q.s.own_flow();
  flow.last_seq = flow.durable_seq = 3;
  flow.queued = 3;
  q.queues.pump(q.s, q.box.now);
  q.queues.pump(q.s, q.box.now);
  ASSERT_EQ(q.box.effects.loads.size(), 1u);
  EXPECT_EQ(q.box.effects.loads[0].from, 1u);
  const std::uint64_t ticket = q.box.effects.loads[0].ticket;
  std::vector<session::StoredEntry> entries(2);
  entries[0].seq = 1;
  session::encode_entry(entries[0].value, message("t", "1", 1), 1, false, 10, nullptr);
  entries[1].seq = 3;  // 2 is a hole
  session::encode_entry(entries[1].value, message("t", "3", 1), 1, false, 30, nullptr);
  q.queues.loaded(q.s.id, ticket + 1, entries, q.box.now);
  EXPECT_TRUE(q.box.clients.take().empty()) << "asked by an earlier connection";
  q.queues.loaded(q.s.id, ticket, entries, q.box.now);
  EXPECT_EQ(q.box.clients.take(), (Strings{"deliver t 1 q1 #1", "deliver t 3 q1 #3"}));
}

TEST(DeliveryQueues, AReadThatFailedIsTriedAgain) {
  Queue q;
  q.s.own_flow().last_seq = q.s.own_flow().durable_seq = 1;
  q.queues.pump(q.s, q.box.now);
  ASSERT_EQ(q.box.effects.loads.size(), 1u);
  q.queues.loaded(q.s.id, q.box.effects.loads[0].ticket,
                  base::error_code(std::make_error_code(std::errc::io_error)), q.box.now);
  EXPECT_EQ(q.box.effects.loads.size(), 1u) << "not at once";
  q.queues.read_again();
  EXPECT_EQ(q.box.effects.loads.size(), 2u);
  q.queues.read_again();
  EXPECT_EQ(q.box.effects.loads.size(), 2u) << "one is under way";
}

TEST(DeliveryQueues, PacketIdsAreThoseOfSequenceNumbers) {
  EXPECT_EQ(session::packet_id_of(1), 1);
  EXPECT_EQ(session::packet_id_of(65535), 65535);
  EXPECT_EQ(session::packet_id_of(65536), 1) << "0 is none";
  for (const std::uint64_t first : {1ull, 65535ull, 65536ull, 1'000'000ull}) {
    for (const std::uint64_t ahead : {0ull, 1ull, 65534ull})
      EXPECT_EQ(session::seq_of(session::packet_id_of(first + ahead), first), first + ahead);
  }
}

}  // namespace
}  // namespace berth::test
