// All sessions: by number, by client and by principal, and what they are counted for.
#include "session/session_table.h"

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "session/core.h"
#include "session/principal_key.h"
#include "tests/support/core_box.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using session::Concerned;
using session::Offline;
using session::Session;
using Ids = std::set<std::uint64_t>;

std::string key_of(const std::string& tenant, session::Role role, const std::string& name) {
  return session::Principal{tenant, role, name}.key();
}

// -- the index from principals to their sessions

// Devices and services of two tenants, each with up to three client ids.
class Population {
 public:
  struct Member {
    std::string tenant;
    std::string user;
    std::string key;
  };
  Population() : s_(-1, options()) {
    for (const std::string tenant : {"acme", "other"}) {
      for (const std::string name : {"a", "b", "c"}) {
        all_.push_back(
            {tenant, tenant + "/d/" + name, key_of(tenant, session::Role::device, name)});
        all_.push_back(
            {tenant, tenant + "/s/" + name, key_of(tenant, session::Role::service, name)});
      }
    }
  }
  void step(std::mt19937& random) {
    const Member& m = all_[random() % all_.size()];
    const std::string client = std::string(1, static_cast<char>('x' + random() % 3));
    const bool kept = random() % 3 != 0;
    const int c = s_.come(
        m.user, client,
        kept ? ConnectOptions{.clean = false, .properties = expiry(600)} : ConnectOptions{});
    if (random() % 2 == 0) s_.w.close(c);
    if (random() % 16 == 0) s_.come("", client, {.clean = false, .properties = expiry(600)});
    if (random() % 32 == 0) s_.w.crash();
  }
  // By looking at each session that there may be.
  template <class F>
  Ids expected(F&& which) {
    Ids out;
    for (const Member& m : all_) {
      for (const char* client : {"x", "y", "z"}) {
        const session::Session* s = s_.w.broker().find_session(m.key + client);
        if (s != nullptr && which(m)) out.insert(s->id.value);
      }
    }
    return out;
  }
  Ids found(const Concerned& who) {
    std::vector<base::SessionId> removed;
    const auto list = s_.w.broker().concerned(who, removed);
    EXPECT_TRUE(removed.empty());
    Ids out;
    for (const base::SessionId id : list)
      EXPECT_TRUE(out.insert(id.value).second) << "a session comes twice";
    return out;
  }
  void check() {
    for (const Member& m : all_) {
      EXPECT_EQ(found({.principals = {m.key}}),
                expected([&m](const Member& x) { return x.key == m.key; }));
    }
    const auto of_acme = [](const Member& x) { return x.tenant == "acme"; };
    EXPECT_EQ(found({.tenants = {"acme"}}), expected(of_acme));
    EXPECT_EQ(found({.tenants = {"acme"}, .principals = {all_[0].key}}), expected(of_acme));
    EXPECT_EQ(found({.everybody = true}), expected([](const Member&) { return true; }));
    EXPECT_EQ(found({.principals = {key_of("acme", session::Role::device, "nobody")}}), Ids{});
    std::size_t anonymous = 0;
    for (const char* client : {"x", "y", "z"})
      anonymous += s_.w.broker().find_session(client) != nullptr ? 1 : 0;
    EXPECT_EQ(s_.w.broker().under_access().size(), anonymous);
  }

 private:
  static session::BrokerOptions options() {
    session::BrokerOptions o;
    o.holdings.per_device = 2;
    return o;
  }
  Site s_;
  std::vector<Member> all_;
};

TEST(SessionTable, FindsTheSessionsOfAPrincipalWhileTheyComeAndGo) {
  for (const unsigned seed : {1u, 2u, 3u}) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Population p;
    for (int i = 0; i < 60; ++i) {
      p.step(random);
      p.check();
    }
  }
}

// What an ended member of a shared subscription has left goes with its service.
TEST(SessionTable, FindsWhatIsLeftOfAnEndedSession) {
  session::BrokerOptions o;
  o.holdings.per_account = 1;
  Site s(-1, o);
  const int a = s.come("acme/s/p", "a", {.clean = false, .properties = expiry(600)});
  s.w.feed(a, subscribe(1, "$share/g/v1/#", 1));
  s.w.close(a);
  const int cam = s.come("acme/d/cam", "cam");
  s.w.feed(cam, publish("v1/event/x", "1", 1, 1));
  s.w.close(cam);
  s.w.hold_commits(true);
  s.w.advance_s(601);
  ASSERT_EQ(s.w.broker().session_count(), 1u) << "its message waits for another member";
  std::vector<base::SessionId> removed;
  const std::string key = key_of("acme", session::Role::service, "p");
  EXPECT_EQ(s.w.broker().concerned({.principals = {key}}, removed).size(), 1u);
  EXPECT_FALSE(s.w.ended(s.come("acme/s/p", "b"))) << "it does not count as a session any more";
  s.w.hold_commits(false);
  s.book.gone.insert(key);
  s.review({.principals = {key}, .removed_principals = {key}});
  EXPECT_EQ(s.w.broker().session_count(), 0u);
}

// -- what it costs

double cpu_s() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

template <class F>
double least_cpu_s(F&& f) {
  double least = 1e9;
  for (int i = 0; i < 20; ++i) {
    const double from = cpu_s();
    f();
    least = std::min(least, cpu_s() - from);
  }
  return least;
}

// Ten questions about one device of 20,000 cost less than one look at all sessions.
TEST(SessionTable, LooksAtNoSessionOfAnotherPrincipal) {
  constexpr int kDevices = 20'000;
  World effects;
  metrics::EngineProbe probe;
  session::Context cx({}, effects, probe);
  session::TenantUsage usage(cx);
  session::Holdings holdings({});
  session::SessionTable table(cx, usage, holdings);
  const auto device = [](int i) {
    return key_of("acme", session::Role::device, "cam-" + std::to_string(i));
  };
  for (int i = 0; i < kDevices; ++i) {
    const std::string key = device(i);
    table.hold(table.make_new(key + "c"), key);
  }
  const std::string one = device(77);
  int looked = 0;
  table.each_of(one, [&](const session::Session& s) {
    ++looked;
    EXPECT_EQ(s.client_id, one + "c");
  });
  EXPECT_EQ(looked, 1);
  const double own = least_cpu_s([&] {
    for (int i = 0; i < 10; ++i) table.each_of(one, [&](const session::Session&) { ++looked; });
  });
  const double all = least_cpu_s([&] {
    for (const session::Session* s : table.all()) looked += s->peer == 0 ? 1 : 0;
  });
  EXPECT_LT(own, all);
  EXPECT_GT(looked, kDevices);
}

// -- the room alone

const std::string kCam(
    "acme\0"
    "0cam\0",
    10);  // a registered device's principal

struct Heard final : session::SessionEvents {
  void online(const Session& s) override { all.push_back("online " + s.client_id); }
  void ended(const Session&) override {}
  void offline(const Session& s, Offline cause) override {
    all.push_back("offline " + s.client_id + " " + std::to_string(static_cast<int>(cause)));
  }
  void finished(const Session&, std::uint64_t, const session::OutEntry&,
                session::Finished) override {}
  Strings all;
};

TEST(SessionTable, ANumberIsNeverGivenTwice) {
  CoreBox box;
  auto& table = box.core.sessions;
  Session& restored = table.make("r", {10});
  EXPECT_EQ(table.make_new("a").id.value, 11u);
  table.skip_id({20});
  EXPECT_EQ(table.make_new("b").id.value, 21u);
  table.skip_id({5});
  EXPECT_EQ(table.make_new("c").id.value, 22u) << "older ones change nothing";
  table.erase(restored);
  EXPECT_EQ(table.by_id({10}), nullptr);
  EXPECT_EQ(table.by_client("r"), nullptr);
  EXPECT_EQ(table.make_new("r").id.value, 23u);
  EXPECT_EQ(table.size(), 4u);
}

TEST(SessionTable, ASessionWithAnotherKeyIsFoundByThatOnly) {
  CoreBox box;
  auto& table = box.core.sessions;
  Session& s = table.make_new("old");
  table.rekey(s, "new");
  EXPECT_EQ(table.by_client("old"), nullptr);
  EXPECT_EQ(table.by_client("new"), &s);
  EXPECT_EQ(table.by_id(s.id), &s);
}

TEST(SessionTable, AnUnownedSessionIsForTheFirstProvenUserOnly) {
  CoreBox box;
  auto& table = box.core.sessions;
  Session& unowned = table.make_new(std::string(session::kUnownedKey) + "c");
  const std::string ann = session::user_key("ann") + "c";
  const std::string bob = session::user_key("bob") + "c";
  table.adopt_unowned("c", ann);
  EXPECT_EQ(table.by_client(ann), &unowned);
  table.adopt_unowned("c", bob);
  EXPECT_EQ(table.by_client(bob), nullptr);
  Session& another = table.make_new(std::string(session::kUnownedKey) + "c");
  table.adopt_unowned("c", ann);
  EXPECT_EQ(table.by_client(ann), &unowned) << "who has a session keeps it";
  EXPECT_TRUE(another.client_id.starts_with(session::kUnownedKey));
}

TEST(SessionTable, ObserversHearOfEachConnectionOnceWithItsCause) {
  CoreBox box;
  Heard heard;
  auto& table = box.core.sessions;
  table.watch(heard);
  session::Channel& ch = box.client("c", 600);
  Session& s = *ch.session;
  EXPECT_EQ(table.online(), 1u);
  table.offline(s, Offline::edge_lost);
  EXPECT_EQ(table.online(), 0u);
  EXPECT_EQ(s.channel, nullptr);
  EXPECT_EQ(ch.session, nullptr);
  EXPECT_TRUE(s.limbo) << "the connection may well be alive";
  table.online(s, ch);
  EXPECT_FALSE(s.limbo);
  table.offline(s, Offline::device);
  EXPECT_FALSE(s.limbo);
  EXPECT_EQ(heard.all, (Strings{"online c", "offline c 5", "online c", "offline c 1"}));
}

TEST(SessionTable, WhatASessionHasCountsForItsSiteAndMovesWithIt) {
  CoreBox box;
  auto& table = box.core.sessions;
  session::Channel& ch = box.connection(0);
  ch.scope = std::make_shared<const session::Scope>(
      session::Principal{"acme", session::Role::device, "cam"}, "north", Strings{});
  Session& s = table.make_new(kCam + "c");
  s.own_flow().queued_bytes = 500;
  s.own_flow().queued = 2;
  table.count_entries(2);
  table.join_account(s, "north");
  table.count_queue(s, 100);
  s.own_flow().queued_bytes = 600;
  table.online(s, ch);
  session::Account& north = box.core.usage.accounts().of("acme", "north");
  session::Account& south = box.core.usage.accounts().of("acme", "south");
  session::Account& tenant = box.core.usage.accounts().of("acme", "");
  EXPECT_EQ(north.usage.sessions, 1u);
  EXPECT_EQ(north.usage.connections, 1u);
  EXPECT_EQ(north.usage.queue_bytes, 600u);
  table.offline(s, Offline::device);
  EXPECT_EQ(north.usage.connections, 0u);
  table.join_account(s, "south");
  EXPECT_EQ(north.usage.sessions, 0u);
  EXPECT_EQ(north.usage.queue_bytes, 0u);
  EXPECT_EQ(south.usage.queue_bytes, 600u);
  EXPECT_EQ(tenant.usage.sessions, 1u) << "it has moved within its tenant";
  EXPECT_EQ(table.queued(), 2u);
  table.erase(s);
  EXPECT_EQ(tenant.usage.sessions, 0u);
  EXPECT_EQ(tenant.usage.queue_bytes, 0u);
  EXPECT_EQ(table.queued(), 0u) << "its entries are gone with it";
  EXPECT_EQ(table.queued_bytes(), 0u);
}

TEST(SessionTable, WhoIsNotRegisteredHasNoAccount) {
  CoreBox box;
  Session& s = box.session(session::user_key("ann") + "c", 600);
  box.core.sessions.join_account(s, "north");
  EXPECT_EQ(s.account, nullptr);
}

TEST(SessionTable, WhatASessionHoldsIsAnothersWhenItIsRenamed) {
  CoreBox box;
  auto& table = box.core.sessions;
  Session& s = table.make_new(std::string(session::kUnownedKey) + "c");
  table.hold(s, session::kUnownedKey);
  s.held.keep({100, 1000});
  s.will = std::make_unique<session::Will>();
  s.will->message = session::MessagePtr(message("w", "gone"));
  table.hold_will(*s.will, s);
  const std::uint64_t before = box.core.holdings.all().bytes();
  EXPECT_GT(before, 1000u) << "the will counts too";
  table.rename(s, session::user_key("ann") + "c");
  EXPECT_EQ(box.core.holdings.all().bytes(), before) << "moved, not doubled";
  EXPECT_EQ(box.core.holdings.sessions_of(session::user_key("ann")), 1u);
  EXPECT_EQ(box.core.holdings.sessions_of(session::kUnownedKey), 0u);
  EXPECT_EQ(s.held.holder()->principal(), session::user_key("ann"));
  EXPECT_EQ(s.will->held.holder()->principal(), session::user_key("ann"));
}

TEST(SessionTable, TotalsDoNotFallBelowNothing) {
  CoreBox box;
  auto& table = box.core.sessions;
  Session& s = box.session("c", 600);
  table.count_entries(-1);
  table.count_queue(s, -5);
  EXPECT_EQ(table.queued(), 0u);
  EXPECT_EQ(table.queued_bytes(), 0u);
  table.count_entries(3);
  EXPECT_EQ(table.queued(), 3u);
}

}  // namespace
}  // namespace berth::test
