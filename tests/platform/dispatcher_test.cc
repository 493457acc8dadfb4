// The dispatcher at the sessions of a partition: each reason for which a command is not sent, what
// its home hears of it, and what is left in the store, around sessions of the core with nothing
// else.
#include "platform/dispatcher.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "platform/platform.pb.h"
#include "session/session.h"
#include "tests/support/core_box.h"

namespace berth::test {
namespace {

using platform::Delivery;
using platform::Entry;
using platform::Fate;
using session::Channel;
using session::Finished;
using session::Session;
using EdgeFate = protocol::link::Fate;

const std::string kTopic = "$tenant/acme/v1/north/gate/cmd/1/req/open";
const std::string kFilter = "$tenant/acme/v1/north/gate/cmd/#";
constexpr std::uint64_t kEdge = 77;       // link 0 of the box
constexpr std::uint64_t kOtherEdge = 78;  // link 1

class DispatcherSite final : public platform::Records,
                             public platform::Notes,
                             public platform::CommandWays {
 public:
  DispatcherSite() { d.use(*this); }

  // -- a device's sessions
  Channel& gate(const std::string& client = "c", const std::string& filter = kFilter,
                std::uint32_t link = 0, const std::string& device = "gate",
                std::uint32_t expiry_s = 0) {
    Channel& ch = box.client(key(device) + client, expiry_s, link);
    own(*ch.session, device, filter);
    return ch;
  }
  Session& away(const std::string& client = "c", std::uint32_t expiry_s = 600) {
    Session& s = box.session(key("gate") + client, expiry_s);
    own(s, "gate", kFilter);
    return s;
  }
  void subscribe(Session& s, const std::string& filter = kFilter) {
    box.core.subscriptions.add(s, filter, {1}, 0);
  }
  void goes(Channel& ch) {
    Session& s = *ch.session;
    ch.gone = true;
    box.core.sessions.offline(s, session::Offline{});
  }

  // -- a command
  Entry entry(Delivery delivery = Delivery::immediate, std::int64_t ttl_ms = 2000) const {
    Entry e;
    e.asked.tenant = "acme";
    e.asked.device = "gate";
    e.asked.id = "1";
    e.command.delivery = delivery;
    e.command.deadline = ttl_ms == 0 ? base::kNever : time.plus_ms(ttl_ms);
    return e;
  }
  void give(std::uint64_t number = 1, std::int64_t ttl_ms = 2000) {
    d.dispatch(tag(number), entry(Delivery::immediate, ttl_ms), time);
  }
  // To the connection, after the commit.
  void send(std::uint64_t number = 1) {
    give(number);
    commit();
    EXPECT_FALSE(box.clients.take().empty());
    EXPECT_EQ(said, Strings{});
  }
  // Into the queue of a session: the sequence number there.
  std::uint64_t queue(Session& s, std::uint64_t number = 1) {
    d.dispatch(tag(number), entry(Delivery::queued, 60'000), time);
    EXPECT_EQ(said, Strings{});
    return s.flow().last_seq;
  }
  static std::uint64_t tag(std::uint64_t number) { return platform::tag_of(3, number, 1); }

  void commit() {
    for (const auto& f : std::exchange(durable_, {})) f();
  }
  Strings take() { return std::exchange(said, {}); }

  CoreBox box;
  base::Instant time{1'700'000'000'000};
  platform::Dispatcher d{box.cx, box.core, *this, *this};
  Strings said;  // to homes
  std::map<std::string, std::string, std::less<>> store;
  int without_hurry = 0;
  bool has_way = true;

  void put(std::string_view k, std::string_view v) override {
    store.insert_or_assign(std::string(k), std::string(v));
  }
  void remove(std::string_view k) override { store.erase(std::string(k)); }
  void when_durable(std::function<void()> f) override { durable_.push_back(std::move(f)); }
  void unhurried(const std::function<void()>& f) override {
    ++without_hurry;
    f();
  }
  base::Instant now() const override { return time; }
  void read(session::RecordRange, session::Store::RecordsDone) override {}
  std::uint64_t tell(std::uint32_t partition, const platform::pb::Note& n) override {
    static const char* const kFates[] = {"", "sent", "dropped", "cut_off", "received", "refused"};
    std::string line = std::to_string(partition) + ": ";
    if (n.has_word()) {
      line += std::to_string(platform::serial_of_tag(n.word().tag())) + " " +
              kFates[n.word().fate()] + " " + n.word().code();
    } else {
      line += n.whereabouts().device() + (n.whereabouts().online()   ? " online"
                                          : n.whereabouts().coming() ? " coming"
                                                                     : " offline");
    }
    said.push_back(line);
    return kSelf;
  }

  platform::Refusal terms(const platform::Asked&, platform::Terms&) const override { return {}; }
  platform::Part part_of(std::string_view, std::string_view device) const override {
    return {std::string(device), {}};
  }
  void each_target(std::string_view, std::string_view device,
                   const std::function<bool(std::string_view)>& f) const override {
    f(device);
  }
  std::string read_request(std::string_view, std::int64_t, platform::Asked&) const override {
    return {};
  }
  bool render(const Entry&, std::int64_t now_ms, std::int64_t deadline_ms, std::int64_t left_ms,
              platform::Rendered& out) const override {
    out.topic = kTopic;
    out.payload = deadline_ms == 0 ? "any" : std::to_string(left_ms);
    out.park_payload = "park";
    EXPECT_EQ(deadline_ms == 0 ? 0 : now_ms + left_ms, deadline_ms);
    return has_way;
  }

 private:
  static std::string key(const std::string& device) {
    return session::Principal{"acme", session::Role::device, device}.key();
  }
  void own(Session& s, const std::string& device, const std::string& filter) {
    box.core.sessions.hold(s, key(device));
    if (!filter.empty()) subscribe(s, filter);
  }
  std::vector<std::function<void()>> durable_;
};

std::string delivered(std::int64_t left_ms, std::int64_t until_ms) {
  return "deliver " + kTopic + " " + std::to_string(left_ms) + " until " + std::to_string(until_ms);
}

// -- an immediate one

TEST(Dispatcher, WhereACommandGoesIsDurableBeforeItGoesAndUntilItsFateIs) {
  DispatcherSite s;
  const base::ConnId conn = s.gate().conn;
  s.give();
  EXPECT_EQ(s.box.clients.take(), Strings{});
  EXPECT_EQ(s.store.size(), 1u);
  EXPECT_TRUE(platform::Dispatcher::is_key(s.store.begin()->first));
  s.time = s.time.plus_ms(500);
  s.commit();
  EXPECT_EQ(s.box.clients.take(), Strings{delivered(1500, 1'700'000'001'999)});
  EXPECT_EQ(s.d.given(), 1u);
  s.d.told(conn, DispatcherSite::tag(1), EdgeFate::written);
  EXPECT_EQ(s.take(), Strings{"3: 1 sent "});
  EXPECT_EQ(s.without_hurry, 1) << "the device's answer is near, and goes into the same commit";
  EXPECT_TRUE(s.store.empty());
  EXPECT_TRUE(s.box.effects.taken.empty()) << "the edge keeps it until it is durable here";
  s.commit();
  EXPECT_EQ(s.box.effects.taken.size(), 1u);
}

TEST(Dispatcher, AtItsDeadlineItIsNotGivenToAConnection) {
  DispatcherSite s;
  s.gate();
  s.give(1, 1);
  EXPECT_EQ(s.take(), Strings{});
  Entry e = s.entry();
  e.command.deadline = s.time;
  s.d.dispatch(DispatcherSite::tag(2), e, s.time);
  EXPECT_EQ(s.take(), Strings{"3: 2 dropped expired"});
  EXPECT_EQ(s.d.given(), 1u);
}

TEST(Dispatcher, AtItsDeadlineItIsNotSentAlthoughItWasGiven) {
  DispatcherSite s;
  s.gate();
  s.give();
  s.time = s.time.plus_ms(2000);
  s.commit();
  EXPECT_EQ(s.box.clients.take(), Strings{});
  EXPECT_EQ(s.take(), Strings{"3: 1 dropped expired"});
  EXPECT_TRUE(s.store.empty());
  s.give(2);
  s.time = s.time.plus_ms(1999);
  s.commit();
  EXPECT_EQ(s.box.clients.take().size(), 1u);
}

TEST(Dispatcher, WithoutAWayItIsNeitherGivenNorSent) {
  DispatcherSite s;
  s.gate();
  s.has_way = false;
  s.give();
  EXPECT_EQ(s.take(), Strings{"3: 1 dropped no_way"});
  EXPECT_TRUE(s.store.empty());
  s.has_way = true;
  s.give(2);
  s.has_way = false;
  s.commit();
  EXPECT_EQ(s.take(), Strings{"3: 2 dropped no_way"});
  EXPECT_EQ(s.box.clients.take(), Strings{});
  EXPECT_TRUE(s.store.empty());
}

TEST(Dispatcher, ADeviceThatIsAwayOrHasNotSubscribedDoesNotGetIt) {
  const auto why = [](auto change) {
    DispatcherSite s;
    change(s);
    s.give();
    EXPECT_TRUE(s.store.empty());
    return s.take();
  };
  const auto as = [&](auto set) { return why([&](DispatcherSite& s) { set(s.gate()); }); };
  const Strings offline{"3: 1 dropped device_offline"};
  const Strings deaf{"3: 1 dropped not_subscribed"};
  EXPECT_EQ(why([](DispatcherSite&) {}), offline);
  EXPECT_EQ(why([](DispatcherSite& s) { s.away(); }), offline);
  EXPECT_EQ(why([](DispatcherSite& s) { s.gate("c", kFilter, 0, "another"); }), offline);
  EXPECT_EQ(as([](Channel& ch) { ch.gone = true; }), offline);
  EXPECT_EQ(as([](Channel& ch) { ch.connack_sent = false; }), offline);
  EXPECT_EQ(as([](Channel& ch) { ch.state = Channel::State::closing; }), offline);
  EXPECT_EQ(why([](DispatcherSite& s) { s.box.core.estates.add(s.gate().session->id, {}); }),
            offline);
  EXPECT_EQ(why([](DispatcherSite& s) { s.gate("c", ""); }), deaf);
  EXPECT_EQ(why([](DispatcherSite& s) { s.gate("c", "$tenant/acme/v1/north/gate/desired"); }),
            deaf);
}

TEST(Dispatcher, AnEdgeThatCannotWatchItDoesNotGetIt) {
  DispatcherSite s;
  s.gate();
  s.box.effects.watches_all = false;
  s.give();
  EXPECT_EQ(s.take(), Strings{"3: 1 dropped edge_too_old"});
  EXPECT_TRUE(s.store.empty());
}

TEST(Dispatcher, TheConnectionIsLookedAtAgainWhenItGoes) {
  const auto why = [](auto change) {
    DispatcherSite s;
    Channel& ch = s.gate();
    s.give();
    change(s, ch);
    s.commit();
    EXPECT_TRUE(s.store.empty());
    EXPECT_EQ(s.box.clients.take(), Strings{});
    return s.take();
  };
  const Strings offline{"3: 1 dropped device_offline"};
  const Strings busy{"3: 1 dropped busy"};
  EXPECT_EQ(why([](DispatcherSite& s, Channel& ch) { s.goes(ch); }), offline);
  EXPECT_EQ(why([](DispatcherSite&, Channel& ch) { ch.gone = true; }), offline);
  EXPECT_EQ(why([](DispatcherSite&, Channel& ch) { ch.waiting_room = true; }), busy);
  EXPECT_EQ(why([](DispatcherSite& s, Channel&) { s.box.effects.takes_output = false; }), busy);
  EXPECT_EQ(why([](DispatcherSite& s, Channel&) { s.box.clients.takes = false; }),
            Strings{"3: 1 dropped unsendable"});
}

TEST(Dispatcher, ItGoesToTheNewestConnectionThatHasSubscribed) {
  const auto goes_to = [](auto change) {
    DispatcherSite s;
    Channel& a = s.gate("a");
    Channel& b = s.gate("b");
    a.session->epoch = 5;
    b.session->epoch = 4;
    change(s, a, b);
    s.send();
    platform::pb::Given g;
    g.ParseFromString(s.store.begin()->second);
    EXPECT_EQ(g.edge(), kEdge);
    return g.connection() == a.conn.local().packed()   ? "a"
           : g.connection() == b.conn.local().packed() ? "b"
                                                       : "?";
  };
  EXPECT_STREQ(goes_to([](DispatcherSite&, Channel&, Channel&) {}), "a");
  EXPECT_STREQ(goes_to([](DispatcherSite&, Channel&, Channel& b) { b.session->epoch = 6; }), "b");
  EXPECT_STREQ(goes_to([](DispatcherSite&, Channel& a, Channel&) { a.gone = true; }), "b");
  EXPECT_STREQ(goes_to([](DispatcherSite& s, Channel& a, Channel&) {
                 s.box.core.subscriptions.remove(*a.session, kFilter);
               }),
               "b");
}

TEST(Dispatcher, AParkDeviceGetsThePayloadOfItsProtocol) {
  DispatcherSite s;
  s.gate().park = std::make_unique<session::ParkState>();
  s.give();
  s.commit();
  EXPECT_EQ(s.box.clients.take(), Strings{"deliver " + kTopic + " park until 1700000001999"});
}

TEST(Dispatcher, EachFateOfTheEdgeIsToldOnce) {
  const auto told = [](EdgeFate fate) {
    DispatcherSite s;
    const base::ConnId conn = s.gate().conn;
    s.send();
    s.d.told(conn, DispatcherSite::tag(1), fate);
    EXPECT_TRUE(s.store.empty());
    EXPECT_EQ(s.d.given(), 0u);
    return s.take();
  };
  EXPECT_EQ(told(EdgeFate::written), Strings{"3: 1 sent "});
  EXPECT_EQ(told(EdgeFate::dropped), Strings{"3: 1 dropped not_written"});
  EXPECT_EQ(told(EdgeFate::stale), Strings{"3: 1 dropped device_stale"});
  EXPECT_EQ(told(EdgeFate::cut_off), Strings{"3: 1 cut_off cut_off"});
}

// -- edges that are out of reach, and engines that die

TEST(Dispatcher, WhatAnEdgeDoesNotListAfterItsLinkBrokeHasNotReachedIt) {
  DispatcherSite s;
  s.gate();
  Channel& other = s.gate("o", kFilter, 1);
  other.session->epoch = 9;
  s.send(1);  // to the other edge: it has the newest connection
  other.session->epoch = 0;
  s.send(2);
  s.send(3);
  s.d.listed(kEdge);
  EXPECT_EQ(s.take(), Strings{}) << "its link has not broken";
  s.d.lost(kEdge);
  s.d.pending(DispatcherSite::tag(3));
  s.d.listed(kOtherEdge);
  EXPECT_EQ(s.take(), Strings{});
  s.d.listed(kEdge);
  EXPECT_EQ(s.take(), Strings{"3: 2 dropped not_reached"});
  EXPECT_EQ(s.d.given(), 2u);
  EXPECT_EQ(s.store.size(), 2u);
  s.d.listed(kEdge);
  EXPECT_EQ(s.take(), Strings{}) << "once";
}

TEST(Dispatcher, OfAConnectionThatTheEdgeHasGivenUpNobodyKnowsWhetherTheCommandWasSent) {
  DispatcherSite s;
  Channel& ch = s.gate();
  s.send();
  const base::ConnId conn = ch.conn;
  s.d.lost(kEdge);
  s.box.core.closed(conn, protocol::link::CloseReason::peer_reset);
  s.box.core.end_turn(s.box.now);
  s.box.commit();
  s.box.core.end_turn(s.box.now);
  ASSERT_EQ(s.box.core.connections.find(conn), nullptr);
  s.d.listed(kEdge);
  EXPECT_EQ(s.take(), Strings{"3: 1 cut_off connection_gone"});
  EXPECT_TRUE(s.store.empty());
}

TEST(Dispatcher, WhatGoesOutAfterTheLinkBrokeIsNotInDoubt) {
  DispatcherSite s;
  s.gate();
  s.give();
  s.d.lost(kEdge);
  s.commit();
  s.d.listed(kEdge);
  EXPECT_EQ(s.take(), Strings{});
  EXPECT_EQ(s.d.given(), 1u);
}

TEST(Dispatcher, AnEdgeThatHasEndedTakesItsCommandsWithIt) {
  DispatcherSite s;
  s.gate().session->epoch = 5;
  Channel& other = s.gate("o", kFilter, 1);
  s.send(1);
  other.session->epoch = 9;
  s.send(2);
  s.give(3);
  s.d.gone(kEdge);
  EXPECT_EQ(s.take(), Strings{"3: 1 cut_off edge_gone"});
  EXPECT_EQ(s.d.given(), 2u);
  s.d.gone(kOtherEdge);
  EXPECT_EQ(s.take(), (Strings{"3: 2 cut_off edge_gone", "3: 3 cut_off edge_gone"}));
  EXPECT_TRUE(s.store.empty());
  s.commit();
  EXPECT_EQ(s.box.clients.take(), Strings{}) << "the third has had its end";
  EXPECT_EQ(s.take(), Strings{});
}

TEST(Dispatcher, WhatAnEngineBeforeUsGaveIsInDoubt) {
  DispatcherSite first;
  first.gate();
  first.send(1);
  first.send(2);
  DispatcherSite s;
  s.gate();
  for (const auto& [key, value] : first.store) {
    s.store.emplace(key, value);
    s.d.restored(key, value);
  }
  ASSERT_EQ(s.d.given(), 2u);
  s.d.pending(DispatcherSite::tag(2));
  s.d.listed(kEdge);
  EXPECT_EQ(s.take(), Strings{"3: 1 dropped not_reached"});
  ASSERT_EQ(s.store.size(), 1u);
  s.d.forget(s.store.begin()->first);
  EXPECT_EQ(s.d.given(), 0u);
}

TEST(Dispatcher, DamagedRecordsAreNotTaken) {
  DispatcherSite s;
  const std::string given{"!g\0", 3};
  const std::string queued{"!q\0", 3};
  EXPECT_FALSE(platform::Dispatcher::is_key(std::string_view("!x\0", 3)));
  s.d.restored(given + "1234567", "");
  s.d.restored(given + "12345678", "\xff");
  s.d.restored(queued + std::string(16, '\0'), "1234567");
  s.d.restored(queued + std::string(15, '\0'), "12345678");
  s.d.forget(given + "1");
  s.d.forget(queued + "1");
  EXPECT_EQ(s.d.given(), 0u);
  EXPECT_FALSE(s.d.has_queued(base::SessionId{0}));
}

TEST(Dispatcher, AMinuteAfterItsDeadlineNoFateIsWaitedFor) {
  DispatcherSite s;
  s.gate();
  s.send();
  s.time = s.time.plus_ms(2000 + 59'999);
  s.d.tick(s.time);
  EXPECT_EQ(s.d.given(), 1u);
  s.time = s.time.plus_ms(1);
  s.d.tick(s.time);
  EXPECT_EQ(s.d.given(), 0u);
  EXPECT_TRUE(s.store.empty());
  EXPECT_EQ(s.take(), Strings{}) << "its command has its outcome";
}

// -- one for a queue

TEST(Dispatcher, AQueuedOneGoesIntoTheQueueOfADeviceThatIsAway) {
  DispatcherSite s;
  Session& away = s.away();
  const std::uint64_t seq = s.queue(away);
  EXPECT_EQ(seq, 1u);
  EXPECT_TRUE(s.d.has_queued(away.id));
  EXPECT_EQ(s.store.size(), 1u);
  EXPECT_TRUE(platform::Dispatcher::is_key(s.store.begin()->first));
  s.d.finished(away.id, seq, Finished::acknowledged, true);
  EXPECT_EQ(s.take(), Strings{"3: 1 received "});
  EXPECT_FALSE(s.d.has_queued(away.id));
  EXPECT_TRUE(s.store.empty());
}

TEST(Dispatcher, AnOpenConnectionIsChosenBeforeASessionThatIsAway) {
  DispatcherSite s;
  Session& away = s.away("a");
  Channel& here = s.gate("b", kFilter, 0, "gate", 600);
  away.epoch = 9;
  here.session->epoch = 1;
  s.queue(*here.session);
  EXPECT_TRUE(s.d.has_queued(here.session->id));
  here.gone = true;
  s.queue(away, 2);
  EXPECT_TRUE(s.d.has_queued(away.id));
  Session& newest = s.away("c");
  newest.epoch = 10;
  here.gone = false;
  s.queue(*here.session, 3);
  EXPECT_FALSE(s.d.has_queued(newest.id));
}

TEST(Dispatcher, AQueuedOneHasThePayloadOfTheDevicesProtocol) {
  for (const bool park : {false, true}) {
    DispatcherSite s;
    Channel& ch = s.gate("c", kFilter, 0, "gate", 600);
    if (park) ch.park = std::make_unique<session::ParkState>();
    s.queue(*ch.session);
    s.box.commit();
    s.box.core.end_turn(s.time);
    EXPECT_EQ(s.box.clients.take(),
              Strings{"deliver " + kTopic + (park ? " park" : " 60000") + " q1 #1"});
  }
}

TEST(Dispatcher, EachReasonWhyOneIsNotQueued) {
  const auto why = [](auto change, std::int64_t ttl_ms = 60'000) {
    DispatcherSite s;
    change(s);
    Entry e = s.entry(Delivery::queued, ttl_ms);
    s.time = s.time.plus_ms(60'000);
    s.d.dispatch(DispatcherSite::tag(1), e, s.time);
    EXPECT_TRUE(s.store.empty());
    return s.take();
  };
  EXPECT_EQ(why([](DispatcherSite& s) { s.away(); }), Strings{"3: 1 dropped expired"});
  EXPECT_EQ(why([](DispatcherSite& s) { s.away(); }, 59'000), Strings{"3: 1 dropped expired"});
  EXPECT_EQ(why([](DispatcherSite&) {}, 61'000), Strings{"3: 1 dropped device_offline"});
  EXPECT_EQ(why([](DispatcherSite& s) { s.gate("c", ""); }, 61'000),
            Strings{"3: 1 dropped not_subscribed"});
  EXPECT_EQ(why([](DispatcherSite& s) { s.away("c", 0); }, 61'000),
            Strings{"3: 1 dropped queue_full"});
  EXPECT_EQ(why([](DispatcherSite& s) { s.box.core.estates.add(s.away().id, {}); }, 61'000),
            Strings{"3: 1 dropped device_offline"});
  EXPECT_EQ(why(
                [](DispatcherSite& s) {
                  s.away();
                  s.has_way = false;
                },
                61'000),
            Strings{"3: 1 dropped no_way"});
}

TEST(Dispatcher, WithoutADeadlineItIsQueuedWhenever) {
  DispatcherSite s;
  Session& away = s.away();
  s.d.dispatch(DispatcherSite::tag(1), s.entry(Delivery::must, 0), s.time.plus_ms(1'000'000'000));
  EXPECT_EQ(s.take(), Strings{});
  EXPECT_TRUE(s.d.has_queued(away.id));
}

TEST(Dispatcher, EachEndOfAQueueEntryHasItsFate) {
  const auto told = [](Finished how, bool sent) {
    DispatcherSite s;
    Session& away = s.away();
    const std::uint64_t seq = s.queue(away);
    s.d.finished(base::SessionId{away.id.value + 1}, seq, how, sent);
    s.d.finished(away.id, seq + 1, how, sent);
    EXPECT_EQ(s.take(), Strings{}) << "of another entry";
    s.d.finished(away.id, seq, how, sent);
    EXPECT_TRUE(s.store.empty());
    const Strings said = s.take();
    return said.empty() ? std::string() : said[0].substr(5);
  };
  EXPECT_EQ(told(Finished::acknowledged, true), "received ");
  EXPECT_EQ(told(Finished::refused, true), "refused refused_by_device");
  EXPECT_EQ(told(Finished::dropped, false), "dropped queue_full");
  EXPECT_EQ(told(Finished::replaced, false), "dropped replaced");
  EXPECT_EQ(told(Finished::denied, false), "dropped not_authorized");
  EXPECT_EQ(told(Finished::expired, false), "dropped expired");
  EXPECT_EQ(told(Finished::unsendable, false), "dropped unsendable");
  for (const Finished how : {Finished::dropped, Finished::replaced, Finished::denied,
                             Finished::expired, Finished::unsendable})
    EXPECT_TRUE(told(how, true).starts_with("cut_off ")) << static_cast<int>(how);
}

TEST(Dispatcher, WhatMayHaveBeenSentWhenItsSessionEndsIsCutOff) {
  DispatcherSite s;
  Session& away = s.away();
  for (std::uint64_t n = 1; n <= 3; ++n) s.queue(away, n);
  s.d.ended(base::SessionId{away.id.value + 1}, 9);
  EXPECT_EQ(s.take(), Strings{});
  s.d.ended(away.id, 2);
  EXPECT_EQ(s.take(), (Strings{"3: 1 cut_off session_ended", "3: 2 cut_off session_ended",
                               "3: 3 dropped session_ended"}));
  EXPECT_TRUE(s.store.empty());
  EXPECT_FALSE(s.d.has_queued(away.id));
}

TEST(Dispatcher, QueueEntriesAreRestoredAndForgotten) {
  DispatcherSite first;
  Session& away = first.away();
  for (std::uint64_t n = 1; n <= 2; ++n) first.queue(away, n);
  DispatcherSite s;
  for (const auto& [key, value] : first.store) s.d.restored(key, value);
  ASSERT_TRUE(s.d.has_queued(away.id));
  s.d.forget(first.store.begin()->first);
  EXPECT_TRUE(s.d.has_queued(away.id));
  s.d.finished(away.id, 1, Finished::acknowledged, true);
  EXPECT_EQ(s.take(), Strings{}) << "it is forgotten";
  s.d.forget(first.store.rbegin()->first);
  EXPECT_FALSE(s.d.has_queued(away.id));
  s.d.forget(first.store.rbegin()->first);
}

// -- devices that homes wait for

TEST(Dispatcher, AHomeHearsOfADeviceThatIsReadyOnce) {
  DispatcherSite s;
  EXPECT_FALSE(s.d.any_wanted());
  s.d.wants(1, "acme", "gate", false);
  EXPECT_TRUE(s.d.any_wanted());
  EXPECT_EQ(s.take(), Strings{}) << "it is not here";
  Channel& ch = s.gate("c", "");
  s.d.whereabouts("acme", "gate");
  EXPECT_EQ(s.take(), Strings{"1: gate coming"}) << "it has subscribed to nothing";
  EXPECT_TRUE(s.d.is_online("acme", "gate"));
  EXPECT_FALSE(s.d.is_ready("acme", "gate"));
  s.d.tick(s.time);
  EXPECT_EQ(s.take(), Strings{});
  s.subscribe(*ch.session);
  s.d.tick(s.time);
  EXPECT_EQ(s.take(), Strings{"1: gate online"});
  s.d.tick(s.time);
  EXPECT_EQ(s.take(), Strings{}) << "once";
  s.d.wants(2, "acme", "gate", false);
  EXPECT_EQ(s.take(), (Strings{"1: gate online", "2: gate online"})) << "at once: it is here";
  s.goes(ch);
  s.d.whereabouts("acme", "gate");
  EXPECT_EQ(s.take(), (Strings{"1: gate offline", "2: gate offline"}));
  s.d.whereabouts("acme", "another");
  s.d.whereabouts("other", "gate");
  EXPECT_EQ(s.take(), Strings{});
}

// The CONNACK of a stored session waits for a commit; no event says when it is sent.
TEST(Dispatcher, ADeviceWhoseConnackWaitsForACommitIsNotOffline) {
  for (const bool wanted_before : {true, false}) {
    DispatcherSite s;
    if (wanted_before) s.d.wants(1, "acme", "gate", false);
    Channel& ch = s.gate("c", kFilter, 0, "gate", 600);
    ch.connack_sent = false;
    s.d.whereabouts("acme", "gate");
    if (!wanted_before) s.d.wants(1, "acme", "gate", false);
    s.d.tick(s.time);
    EXPECT_EQ(s.take(), Strings{"1: gate coming"});
    ch.connack_sent = true;
    s.d.tick(s.time);
    EXPECT_EQ(s.take(), Strings{"1: gate online"});
  }
}

TEST(Dispatcher, ADeviceThatGoesBeforeItHasSubscribedIsOffline) {
  DispatcherSite s;
  Channel& ch = s.gate("c", "");
  s.d.wants(1, "acme", "gate", false);
  EXPECT_EQ(s.take(), Strings{"1: gate coming"});
  s.goes(ch);
  s.d.whereabouts("acme", "gate");
  EXPECT_EQ(s.take(), Strings{"1: gate offline"});
  s.d.tick(s.time);
  EXPECT_EQ(s.take(), Strings{});
}

TEST(Dispatcher, AHomeThatWantsNoMoreHearsNoMore) {
  DispatcherSite s;
  Channel& ch = s.gate("c", "");
  s.d.wants(1, "acme", "gate", false);
  s.d.wants(2, "acme", "gate", false);
  s.d.wants(1, "acme", "gate", true);
  s.d.wants(1, "acme", "another", true);
  EXPECT_EQ(s.take(), (Strings{"1: gate coming", "1: gate coming", "2: gate coming"}));
  s.subscribe(*ch.session);
  s.d.tick(s.time);
  EXPECT_EQ(s.take(), Strings{"2: gate online"});
  s.goes(ch);
  Channel& again = s.gate("d", "");
  s.d.whereabouts("acme", "gate");
  EXPECT_EQ(s.take(), Strings{"2: gate coming"});
  s.d.wants(2, "acme", "gate", true);
  EXPECT_FALSE(s.d.any_wanted());
  s.subscribe(*again.session);
  s.d.tick(s.time);
  EXPECT_EQ(s.take(), Strings{});
}

TEST(Dispatcher, WhatHomesWantIsBounded) {
  DispatcherSite s;
  for (std::size_t i = 0; i < platform::Dispatcher::kWantedMax; ++i)
    s.d.wants(1, "acme", std::to_string(i), false);
  EXPECT_EQ(s.box.probe.command_wants_refused, 0u);
  s.d.wants(1, "acme", "gate", false);
  EXPECT_EQ(s.box.probe.command_wants_refused, 1u);
  s.gate();
  s.d.whereabouts("acme", "gate");
  EXPECT_EQ(s.take(), Strings{});
  s.d.wants(2, "acme", "7", false);
  EXPECT_EQ(s.box.probe.command_wants_refused, 1u) << "another home of a wanted device";
  s.d.wants(1, "acme", "7", true);
  s.d.wants(2, "acme", "7", true);
  s.d.wants(1, "acme", "gate", false);
  EXPECT_EQ(s.take(), Strings{"1: gate online"});
}

}  // namespace
}  // namespace berth::test
