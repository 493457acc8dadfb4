// What observers of sessions hear (session_events.h): one online(), one offline() with its cause,
// one finished() for each entry that leaves a queue.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/park_world.h"
#include "tests/support/tenants.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

using session::Finished;
using session::Offline;
using session::OutEntry;
using session::Session;

class Notes final : public session::SessionEvents {
 public:
  void online(const Session& s) override { said.push_back("online " + s.client_id); }
  void offline(const Session& s, Offline cause) override {
    said.push_back("offline " + s.client_id + " " + std::to_string(static_cast<int>(cause)));
  }
  void finished(const Session& s, std::uint64_t, const OutEntry& e, Finished how) override {
    said.push_back("finished " + s.client_id + " " + std::to_string(static_cast<int>(how)) + " " +
                   std::to_string(e.qos));
  }
  void ended(const Session& s) override { said.push_back("ended " + s.client_id); }
  std::vector<std::string> said;
};

std::string offline(const char* client, Offline cause) {
  return std::string("offline ") + client + " " + std::to_string(static_cast<int>(cause));
}
std::string finished(const char* client, Finished how, int qos) {
  return std::string("finished ") + client + " " + std::to_string(static_cast<int>(how)) + " " +
         std::to_string(qos);
}

using Strings = std::vector<std::string>;

struct Watched {
  Watched() { w.broker().watch_sessions(notes); }
  Strings take() { return std::exchange(notes.said, {}); }
  World w;
  Notes notes;
};

ConnectOptions stored(const char* id) {
  return {.client_id = id, .clean = false, .properties = expiry(600)};
}

TEST(SessionEvents, OnceForEachConnectionWithItsCause) {
  Watched x;
  const int a = x.w.open_connected(stored("a"));
  EXPECT_EQ(x.take(), (Strings{"online a"}));
  const int b = x.w.open_connected(stored("a"));
  EXPECT_EQ(x.take(), (Strings{offline("a", Offline::taken_over), "online a"}));
  x.w.close(a);
  EXPECT_EQ(x.take(), Strings{}) << "its session is another connection's";
  x.w.feed(b, disconnect());
  x.w.close(b);
  EXPECT_EQ(x.take(), (Strings{offline("a", Offline::disconnect)}));
  const int c = x.w.open_connected(stored("a"));
  x.w.close(c);
  EXPECT_EQ(x.take(), (Strings{"online a", offline("a", Offline::device)}));
}

TEST(SessionEvents, EachEntryOfAQueueIsFinishedOnce) {
  Watched x;
  const int s = x.w.open_connected(stored("s"));
  x.w.feed(s, subscribe(1, "t", 2));
  const int p = x.w.open_connected({.client_id = "p"});
  x.take();
  x.w.feed(p, publish("t", "one", 1, 1));
  x.w.feed(s, ack(4, 1));
  EXPECT_EQ(x.take(), (Strings{finished("s", Finished::acknowledged, 1)}));
  x.w.feed(s, ack(4, 1));
  EXPECT_EQ(x.take(), Strings{}) << "acknowledged before";
  x.w.feed(p, publish("t", "two", 2, 2));
  x.w.feed(s, ack(5, 2));
  EXPECT_EQ(x.take(), Strings{});
  x.w.feed(s, ack(7, 2));
  EXPECT_EQ(x.take(), (Strings{finished("s", Finished::acknowledged, 2)}));
}

TEST(SessionEvents, WhatExpiresInAQueueIsFinished) {
  Watched x;
  const int s = x.w.open_connected(stored("s"));
  x.w.feed(s, subscribe(1, "t", 1));
  x.w.close(s);
  const int p = x.w.open_connected({.client_id = "p"});
  x.w.feed(p,
           publish("t", "late", 1, 1, 5, false, false, std::string("\x02", 1) + u16(0) + u16(10)));
  x.w.advance_s(11);
  x.take();
  x.w.open_connected(stored("s"));
  EXPECT_EQ(x.take(), (Strings{"online s", finished("s", Finished::expired, 1)}));
}

// A device that refuses the same message again and again: its queue has no limit any more.
TEST(SessionEvents, ARefusalThatComesAgainFinishesNothing) {
  Watched x;
  const int s = x.w.open_connected(stored("s"));
  x.w.feed(s, subscribe(1, "t", 2));
  const int p = x.w.open_connected({.client_id = "p"});
  for (unsigned i = 1; i <= 5; ++i) x.w.feed(p, publish("t", "m", 1, i));
  for (unsigned i = 6; i <= 10; ++i) {
    x.w.feed(p, publish("t", "m", 2, i));
    x.w.feed(p, ack(6, i));
  }
  x.take();
  const std::string refused = std::string("\x50\x03", 2) + u16(7) + "\x80";
  for (int i = 0; i < 20; ++i) x.w.feed(s, refused);
  EXPECT_EQ(x.take(), (Strings{finished("s", Finished::refused, 2)}));
  x.w.broker().refresh_gauges();
  EXPECT_EQ(x.w.probe().queued_now, 9u);
}

TEST(SessionEvents, NoRefusalMakesRoomInAFullQueue) {
  session::BrokerOptions o;
  o.queue_messages_max = 10;
  World w(o);
  const int s = w.open_connected({.client_id = "s",
                                  .clean = false,
                                  .properties = expiry(600) + std::string("\x21", 1) + u16(4)});
  w.feed(s, subscribe(1, "t", 2));
  const int p = w.open_connected({.client_id = "p"});
  for (unsigned i = 1; i <= 2; ++i) {
    w.feed(p, publish("t", "m", 2, i));
    w.feed(p, ack(6, i));
  }
  const std::string refused = std::string("\x50\x03", 2) + u16(2) + "\x80";
  for (unsigned i = 3; i <= 103; ++i) {
    w.feed(p, publish("t", "m", 2, i));
    w.feed(p, ack(6, i));
    w.feed(s, refused);
  }
  EXPECT_GE(w.probe().drop_queue_full, 80u);
}

// One before it is in flight: it is still in the queue, and finished.
TEST(SessionEvents, ANoticeOfWhatIsFinishedFinishesNothing) {
  Watched x;
  const int s = x.w.open_connected(stored("s"));
  x.w.feed(s, subscribe(1, "t", 1));
  const int p = x.w.open_connected({.client_id = "p"});
  for (unsigned i = 1; i <= 3; ++i) x.w.feed(p, publish("t", "m", 1, i));
  x.w.feed(s, ack(4, 2));
  x.take();
  x.w.drop(s, 2);
  EXPECT_EQ(x.w.dropped_untaken(s), 0u);
  EXPECT_EQ(x.take(), Strings{});
  x.w.drop(s, 3);
  x.w.drop(s, 3);
  EXPECT_EQ(x.w.dropped_untaken(s), 0u);
  EXPECT_EQ(x.take(), (Strings{finished("s", Finished::expired, 1)}));
  x.w.broker().refresh_gauges();
  EXPECT_EQ(x.w.probe().queued_now, 1u);
}

// The device had it, and says so: PUBCOMP ends it, not a notice of its packet.
TEST(SessionEvents, ANoticeOfWhatTheDeviceHasTakenFinishesNothing) {
  Watched x;
  const int s = x.w.open_connected(stored("s"));
  x.w.feed(s, subscribe(1, "t", 2));
  const int p = x.w.open_connected({.client_id = "p"});
  x.w.feed(p, publish("t", "one", 2, 1));
  x.w.feed(p, ack(6, 1));
  x.w.feed(s, ack(5, 1));
  x.take();
  x.w.drop(s, 1);
  EXPECT_EQ(x.w.dropped_untaken(s), 0u);
  EXPECT_EQ(x.take(), Strings{});
  x.w.feed(s, ack(7, 1));
  EXPECT_EQ(x.take(), (Strings{finished("s", Finished::acknowledged, 2)}));
  x.w.drop(s, 1);
  EXPECT_EQ(x.w.dropped_untaken(s), 0u);
  EXPECT_EQ(x.take(), Strings{}) << "finished before";
  x.w.broker().refresh_gauges();
  EXPECT_EQ(x.w.probe().queued_now, 0u);
}

// The link to an edge breaks, or the edge is upgraded, while the end of a delivery waits for its
// commit: what the edge says again comes to the same engine.
TEST(SessionEvents, WhatIsSaidAgainToTheSameEngineFinishesOnce) {
  for (const bool notice : {false, true}) {
    SCOPED_TRACE(notice);
    Watched x;
    const int s = x.w.open_connected(stored("s"));
    x.w.feed(s, subscribe(1, "t", 1));
    const int p = x.w.open_connected({.client_id = "p"}, 1);
    for (unsigned i = 1; i <= 3; ++i) x.w.feed(p, publish("t", "m", 1, i));
    x.take();
    x.w.hold_commits(true);
    if (notice) {
      x.w.drop(s, 2);
    } else {
      x.w.feed(s, ack(4, 2));
    }
    x.w.lose(0);
    x.w.join(0);
    x.w.hold_commits(false);
    EXPECT_EQ(x.w.dropped_untaken(s), 0u);
    EXPECT_EQ(x.take(),
              (Strings{finished("s", notice ? Finished::expired : Finished::acknowledged, 1),
                       offline("s", Offline::edge_lost), "online s"}));
    x.w.broker().refresh_gauges();
    EXPECT_EQ(x.w.probe().queued_now, 2u);
  }
}

TEST(SessionEvents, WhatAnOfflineQueueDropsIsFinished) {
  session::BrokerOptions o;
  o.queue_messages_max = 2;
  World w(o);
  Notes n;
  w.broker().watch_sessions(n);
  const int s = w.open_connected(stored("s"));
  w.feed(s, subscribe(1, "t", 1));
  w.close(s);
  const int p = w.open_connected({.client_id = "p"});
  n.said.clear();
  for (unsigned i = 1; i <= 3; ++i) w.feed(p, publish("t", std::to_string(i), 1, i));
  EXPECT_EQ(w.probe().drop_queue_full, 1u);
  EXPECT_EQ(n.said, (Strings{finished("s", Finished::dropped, 0)}));  // only the store had it
}

TEST(SessionEvents, WhatIsDroppedInMemoryIsFinished) {
  session::BrokerOptions o;
  o.queue_messages_max = 2;
  World w(o);
  Notes n;
  w.broker().watch_sessions(n);
  const int s = w.open_connected({.client_id = "s",
                                  .clean = false,
                                  .properties = expiry(600) + std::string("\x21", 1) + u16(1)});
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  n.said.clear();
  for (unsigned i = 1; i <= 3; ++i) w.feed(p, publish("t", std::to_string(i), 1, i));
  EXPECT_EQ(w.probe().drop_queue_full, 1u);
  EXPECT_EQ(n.said, (Strings{finished("s", Finished::dropped, 1)}));
}

TEST(SessionEvents, ASessionEndsWithItsQueue) {
  Watched x;
  const int s = x.w.open_connected(stored("s"));
  x.w.feed(s, subscribe(1, "t", 1));
  x.w.close(s);
  const int p = x.w.open_connected({.client_id = "p"});
  x.w.feed(p, publish("t", "one", 1, 1));
  x.take();
  x.w.advance_s(601);
  EXPECT_EQ(x.take(), (Strings{"ended s"}));
}

TEST(SessionEvents, WhatASessionWithExpiry0CantTakeIsFinished) {
  Watched x;
  const int s = x.w.open_connected({.client_id = "s", .properties = from_hex("27 00 00 00 20")});
  x.w.feed(s, subscribe(1, "t", 1));
  const int p = x.w.open_connected({.client_id = "p"});
  x.take();
  x.w.feed(p, publish("t", std::string(100, 'x'), 1, 1));
  EXPECT_EQ(x.take(), (Strings{finished("s", Finished::unsendable, 1)}));
}

TEST(SessionEvents, WhatAStoredQueueCantSendIsFinished) {
  Watched x;
  const int s = x.w.open_connected(
      {.client_id = "s", .clean = false, .properties = expiry(600) + from_hex("27 00 00 00 20")});
  x.w.feed(s, subscribe(1, "t", 1));
  const int p = x.w.open_connected({.client_id = "p"});
  x.take();
  x.w.feed(p, publish("t", std::string(100, 'x'), 1, 1));
  EXPECT_EQ(x.take(), (Strings{finished("s", Finished::unsendable, 1)}));
}

TEST(SessionEvents, WhatADeviceMayNotHearAnyMoreIsFinished) {
  struct Rules final : session::AccessPolicy {
    bool may_publish(const session::Identity&, std::string_view) const override { return true; }
    bool may_subscribe(const session::Identity&, std::string_view) const override { return all; }
    bool all = true;
  } rules;
  World w;
  Notes n;
  w.use_access(rules);
  w.broker().watch_sessions(n);
  const int s = w.open_connected(stored("s"));
  w.feed(s, subscribe(1, "t", 1));
  w.close(s);
  const int p = w.open_connected({.client_id = "p"});
  w.feed(p, publish("t", "one", 1, 1));
  n.said.clear();
  rules.all = false;
  w.open_connected(stored("s"));
  EXPECT_EQ(n.said, (Strings{"online s", finished("s", Finished::denied, 1)}));
}

TEST(SessionEvents, WhatAParkDeviceHasReceivedIsFinished) {
  Watched x;
  const int p = x.w.open_connected({.client_id = "p"});
  WorldDevice d(x.w, {.client_id = "gate"});
  d.come();
  x.take();
  x.w.feed(p, publish("v1/_/gate/cmd/1/req/open", "a", 1, 1));
  d.pump();
  ASSERT_EQ(d.commands, Strings{"open 1 a"});
  EXPECT_EQ(x.take(), (Strings{finished("gate", Finished::acknowledged, 1)}));
}

TEST(SessionEvents, WhomTheRegistryHasRemovedIsOfflineByThat) {
  Site s;
  Notes n;
  s.w.broker().watch_sessions(n);
  const int cam = s.come("acme/d/cam", "c", {.clean = false, .properties = expiry(600)});
  n.said.clear();
  s.book.gone.insert(session::Principal{"acme", session::Role::device, "cam"}.key());
  s.review();
  EXPECT_TRUE(s.w.ended(cam));
  ASSERT_EQ(n.said.size(), 2u);
  EXPECT_TRUE(n.said[0].ends_with(" " + std::to_string(static_cast<int>(Offline::removed))))
      << n.said[0];
  EXPECT_TRUE(n.said[1].starts_with("ended ")) << n.said[1];
}

// A message that is dropped for a newer one while it is on its way from the store.
TEST(SessionEvents, WhatIsDroppedWhileItIsReadIsNotSentAndFinishedOnce) {
  session::BrokerOptions o;
  o.queue_messages_max = 12;
  o.queue_bytes_max = 100u << 20;
  o.packet_max = 1u << 20;
  World w(o);
  Notes n;
  w.broker().watch_sessions(n);
  const int c = w.open_connected({.client_id = "c",
                                  .clean = false,
                                  .properties = expiry(600) + std::string("\x21", 1) + u16(4)});
  w.feed(c, subscribe(1, "t", 1));
  const std::string large(300'000, 'x');
  const auto say = [&](unsigned id) { return publish("t", large, 1, id); };
  for (unsigned id = 1; id <= 12; ++id) w.feed(c, say(id));
  std::string next;
  for (unsigned id = 1; id <= 7; ++id) next += ack(4, id);
  for (unsigned id = 13; id <= 22; ++id) next += say(id);
  const auto take = [&] {
    std::vector<unsigned> ids;
    for (const Packet& p : w.packets(c)) {
      if (p.type == 3) ids.push_back(p.id());
    }
    return ids;
  };
  std::size_t got = take().size();
  w.feed(c, next);
  for (auto ids = take(); !ids.empty(); ids = take()) {
    got += ids.size();
    for (const unsigned id : ids) w.feed(c, ack(4, id));
  }
  w.broker().refresh_gauges();
  EXPECT_EQ(got + w.probe().drop_queue_full, 22u);
  EXPECT_EQ(w.probe().queued_now, 0u);
  EXPECT_EQ(n.said.size(), 1u + 22u);  // online, and each once
}

TEST(SessionEvents, WhoseConnectionHadEndedIsNotTakenOver) {
  Watched x;
  const int a = x.w.open_connected(stored("a"));
  const int b = x.w.open();
  x.take();
  x.w.close_and_feed(a, protocol::link::CloseReason::client, b, connect(stored("a")));
  EXPECT_EQ(x.take(), (Strings{offline("a", Offline::device), "online a"}));
}

TEST(SessionEvents, WhomTheGatewaySendsAwayIsOfflineByUs) {
  Watched x;
  for (const auto why : {protocol::link::CloseReason::policy, protocol::link::CloseReason::poison,
                         protocol::link::CloseReason::drained}) {
    const int a = x.w.open_connected(stored("a"));
    x.take();
    x.w.close(a, why);
    EXPECT_EQ(x.take(), (Strings{offline("a", Offline::us)})) << static_cast<int>(why);
  }
}

}  // namespace
}  // namespace berth::test
