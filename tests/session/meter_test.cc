// What tenants and sites may use: what is refused, dropped or slowed, who is told, and that counts
// are right after an engine's death.
#include "session/meter.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/core_box.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using protocol::link::CloseReason;
using session::Limits;
using session::Quota;
using session::Usage;

Usage used(Site& s, const std::string& tenant, const std::string& site = {}) {
  Usage u;
  s.w.broker().accounts().each([&](const session::Account& a) {
    if (a.tenant() == tenant && a.site() == site) u = a.usage;
  });
  return u;
}

// Reason code and text of the first packet of this type.
std::string refusal(World& w, int c, unsigned type, std::size_t code_at) {
  for (const Packet& k : w.packets(c)) {
    if (k.type != type || k.body.size() <= code_at) continue;
    char code[8];
    std::snprintf(code, sizeof code, "%02x", static_cast<unsigned char>(k.body[code_at]));
    const std::size_t text = k.body.find("quota: ");
    return std::string(code) + (text == std::string::npos ? "" : " " + k.body.substr(text));
  }
  return "nothing";
}

TEST(Quota, ConnectionsOfATenantAndOfASite) {
  Site s;
  s.book.limits["acme/"] = {.connections = 2};
  s.book.limits["acme/south"] = {.connections = 1};
  s.book.sites[session::Principal{"acme", session::Role::device, "b"}.key()] = "south";
  s.book.sites[session::Principal{"acme", session::Role::device, "c"}.key()] = "south";
  const int b = s.come("acme/d/b", "b");
  EXPECT_FALSE(s.w.ended(b));
  const int c = s.come("acme/d/c", "c");
  EXPECT_EQ(refusal(s.w, c, 2, 1), "97 quota: connections") << "its site is full";
  const int a = s.come("acme/d/a", "a");
  EXPECT_FALSE(s.w.ended(a));
  const int d = s.come("acme/d/d", "d", {.version = 4});
  EXPECT_EQ(answer(s.w, d, 2, 1), 3u) << "3.1.1: server unavailable";
  EXPECT_FALSE(s.w.ended(s.come("other/d/a", "a"))) << "another tenant";
  const int again = s.come("acme/d/a", "a");
  EXPECT_FALSE(s.w.ended(again)) << "it takes its own place";
  EXPECT_EQ(used(s, "acme").connections, 2u);
  s.w.crash();
  EXPECT_EQ(used(s, "acme").connections, 2u);
  EXPECT_EQ(used(s, "acme", "south").connections, 1u);
  s.w.close(again);
  s.w.close(b);
  EXPECT_EQ(used(s, "acme").connections, 0u);
  EXPECT_FALSE(s.w.ended(s.come("acme/d/c", "c")));
}

// Devices that take all there is do not lock their own back end out.
TEST(Quota, AccountsHaveAReserve) {
  Site s;
  s.book.limits["acme/"] = {.connections = 2};
  for (const char* d : {"a", "b"}) EXPECT_FALSE(s.w.ended(s.come(std::string("acme/d/") + d, d)));
  EXPECT_EQ(refusal(s.w, s.come("acme/d/c", "c"), 2, 1), "97 quota: connections");
  for (int i = 0; i < 10; ++i) {
    const std::string name = std::to_string(i);
    const int c = s.come((i % 2 == 0 ? "acme/s/p" : "acme/o/p") + name, "p" + name);
    EXPECT_FALSE(s.w.ended(c)) << name;
  }
  EXPECT_EQ(refusal(s.w, s.come("acme/s/x", "x"), 2, 1), "97 quota: connections");
  EXPECT_EQ(refusal(s.w, s.come("acme/d/c", "c"), 2, 1), "97 quota: connections");
}

TEST(Quota, WhatAFullQueueLosesIsSaid) {
  Site s(-1, {.queue_messages_max = 2});
  const int p = s.come("acme/s/platform", "p", {.clean = false, .properties = expiry(600)});
  s.w.feed(p, subscribe(1, "#", 1));
  s.w.close(p);
  const int cam = s.come("acme/d/cam", "c");
  for (std::uint16_t i = 1; i <= 5; ++i) s.w.feed(cam, publish("v1/event/x", "e", 1, i));
  EXPECT_EQ(used(s, "acme").dropped, 3u);
}

TEST(Quota, Connects) {
  Site s;
  s.book.limits["acme/"] = {.connects_per_s = 2};
  int refused = -1;
  for (int i = 0; i < 3; ++i) refused = s.come("acme/d/d" + std::to_string(i), "c");
  EXPECT_EQ(refusal(s.w, refused, 2, 1), "9f quota: connects_per_s");
  s.w.advance_s(1);
  EXPECT_FALSE(s.w.ended(s.come("acme/d/x", "c")));
}

TEST(Quota, Sessions) {
  Site s;
  s.book.limits["acme/"] = {.sessions = 1};
  const ConnectOptions kept{.clean = false, .properties = expiry(60)};
  s.w.close(s.come("acme/d/a", "c", kept));
  EXPECT_EQ(refusal(s.w, s.come("acme/d/b", "c"), 2, 1), "97 quota: sessions");
  const int a = s.come("acme/d/a", "c", kept);
  EXPECT_FALSE(s.w.ended(a)) << "its session is there";
  s.w.crash();
  EXPECT_EQ(used(s, "acme").sessions, 1u);
  s.w.close(a);
  s.w.advance_s(61);
  EXPECT_EQ(used(s, "acme").sessions, 0u);
  EXPECT_FALSE(s.w.ended(s.come("acme/d/b", "c")));
}

// I8: a tenant that retains for ever takes nobody else's place.
TEST(Quota, RetainedMessages) {
  Site s;
  s.book.limits["acme/"] = {.retained_messages = 3};
  const int a = s.come("acme/d/a", "a");
  const int platform = s.come("acme/s/p", "p");
  s.w.feed(platform, subscribe(1, "v1/#", 0));
  const auto retain = [&](int c, const std::string& topic, const std::string& payload) {
    s.w.feed(c, publish(topic, payload, 1, 7, 5, true));
  };
  const auto retained = [&](const std::string& user) {
    const int c = s.come(user, "late-" + user);
    s.w.packets(c);
    s.w.feed(c, subscribe(1, "#", 0));
    Texts all = got(s.w, c);
    s.w.close(c);
    std::sort(all.begin(), all.end());
    return all;
  };
  s.w.packets(platform);
  retain(platform, "notice", "n");
  for (const char* topic : {"v1/one", "v1/two", "v1/three"}) retain(a, topic, "x");
  EXPECT_EQ(got(s.w, platform).size(), 3u) << "it goes to those who are there";
  EXPECT_EQ(retained("acme/s/x"), (Texts{"notice n", "v1/north/a/one x", "v1/north/a/two x"}));
  retain(a, "v1/one", "y");
  retain(a, "v1/two", "");
  retain(a, "v1/three", "z");
  retain(platform, "another", "n");
  EXPECT_EQ(retained("acme/s/x"), (Texts{"notice n", "v1/north/a/one y", "v1/north/a/three z"}));
  retain(s.come("other/d/a", "a"), "v1/one", "o");
  EXPECT_EQ(retained("other/s/x"), Texts{"v1/north/a/one o"});
  EXPECT_EQ(used(s, "acme").retained_messages, 3u);
  EXPECT_EQ(used(s, "acme").dropped, 2u);
  s.w.crash();
  EXPECT_EQ(used(s, "acme").retained_messages, 3u);
  std::size_t accounts = 0;
  s.w.broker().accounts().each([&](const session::Account&) { ++accounts; });
  const int service = s.come("acme/s/q", "q");
  for (int i = 0; i < 100; ++i) retain(service, "v1/site-" + std::to_string(i) + "/d/state", "x");
  std::size_t after = 0;
  s.w.broker().accounts().each([&](const session::Account&) { ++after; });
  EXPECT_EQ(after, accounts) << "whatever sites it names";
  const ConnectOptions will{.will_topic = "v1/will", .will_payload = "w", .will_retain = true};
  s.w.close(s.come("acme/d/b", "b", will));
  EXPECT_EQ(retained("acme/s/x").size(), 3u) << "a will is retained no more than others";
}

// Events wait and lose nothing, at each death of the engine; telemetry is dropped and told so.
TEST(Quota, EventsAreSlowedTelemetryIsDropped) {
  for (int crash_at = -1; crash_at < 60; ++crash_at) {
    SCOPED_TRACE(crash_at);
    Site s(crash_at);
    const int platform = s.come("acme/s/p", "p");
    s.w.feed(platform, subscribe(1, "#", 1));
    s.w.packets(platform);
    s.book.limits["acme/north"] = {.messages_per_s = 3};
    const int cam = s.come("acme/d/cam", "c");
    s.w.packets(cam);
    std::string all;
    for (unsigned i = 1; i <= 8; ++i) all += publish("v1/event/x", std::to_string(i), 1, i);
    s.w.feed(cam, all);
    std::vector<std::string> heard = got(s.w, platform);
    if (crash_at < 0) {
      EXPECT_EQ(heard.size(), 3u);
      EXPECT_EQ(used(s, "acme", "north").slowed, 1u);
    }
    for (int second = 0; second < 4; ++second) {
      s.w.advance_s(1);
      for (const auto& t : got(s.w, platform)) heard.push_back(t);
    }
    std::vector<std::string> wanted;
    for (int i = 1; i <= 8; ++i) wanted.push_back("v1/north/cam/event/x " + std::to_string(i));
    heard.erase(std::unique(heard.begin(), heard.end()), heard.end());  // QoS 1 may be doubled
    EXPECT_EQ(heard, wanted);
    if (crash_at >= 0) continue;
    s.w.packets(cam);
    s.w.advance_s(1);
    for (unsigned i = 1; i <= 3; ++i) s.w.feed(cam, publish("v1/event/x", "e", 1, i));
    s.w.packets(cam);
    s.w.feed(cam, publish("v1/telemetry/t", "1", 1, 9) + publish("v1/telemetry/t", "1"));
    EXPECT_EQ(refusal(s.w, cam, 4, 2), "97 quota: messages_per_s");
    EXPECT_EQ(used(s, "acme", "north").dropped, 2u);
    EXPECT_EQ(used(s, "acme").dropped, 2u);
  }
}

// One that has much to say does not keep the others from it.
TEST(Quota, SlowedDevicesOfATenantShareItsRate) {
  Site s;
  s.book.limits["acme/"] = {.messages_per_s = 4};
  const int platform = s.come("acme/o/o", "o");
  s.w.feed(platform, subscribe(1, "#", 0));
  std::vector<int> devices;
  for (int i = 0; i < 4; ++i) devices.push_back(s.come("acme/d/d" + std::to_string(i), "c"));
  for (const int d : devices) {
    std::string all;
    for (unsigned i = 1; i <= 40; ++i) all += publish("v1/event/x", "e", 1, i);
    s.w.feed(d, all);
  }
  std::map<std::string, int> heard;
  for (int second = 0; second < 16; ++second) {
    s.w.advance_s(1);
    for (const auto& t : got(s.w, platform)) ++heard[t.substr(0, t.find("/event"))];
  }
  EXPECT_EQ(heard.size(), 4u);
  for (const auto& [who, n] : heard) EXPECT_GE(n, 8) << who;
}

TEST(Quota, BytesOfALargeMessageAreADebt) {
  Site s;
  s.book.limits["acme/"] = {.bytes_per_s = 100};
  const int platform = s.come("acme/o/o", "o");
  s.w.feed(platform, subscribe(1, "#", 0));
  const int cam = s.come("acme/d/cam", "c");
  s.w.feed(cam,
           publish("v1/event/x", std::string(240, 'x'), 1, 1) + publish("v1/event/x", "2", 1, 2));
  EXPECT_EQ(got(s.w, platform).size(), 1u);
  s.w.advance_s(1);
  EXPECT_EQ(got(s.w, platform).size(), 0u);
  s.w.advance_s(1);
  EXPECT_EQ(got(s.w, platform).size(), 1u);
}

TEST(Quota, CommandsAreRefusedNotDelayed) {
  Site s;
  s.book.limits["acme/"] = {.commands_per_s = 1};
  const int cam = s.come("acme/d/cam", "c");
  s.w.feed(cam, subscribe(1, "v1/cmd/#", 1));
  const int platform = s.come("acme/s/p", "p");
  s.w.packets(platform);
  s.w.feed(platform, publish("v1/north/cam/cmd/1/req/open", "1", 1, 1));
  EXPECT_EQ(got(s.w, cam).size(), 1u);
  s.w.packets(platform);
  s.w.feed(platform, publish("v1/north/cam/cmd/2/req/open", "2", 1, 2));
  EXPECT_EQ(refusal(s.w, platform, 4, 2), "97 quota: commands_per_s");
  s.w.feed(platform, publish("v1/north/cam/config", "3", 1, 3));
  EXPECT_EQ(answer(s.w, platform, 4, 2), 0x10u) << "no command, nobody has subscribed";
  s.w.advance_s(2);
  EXPECT_EQ(got(s.w, cam).size(), 0u) << "what was refused does not come late";
  EXPECT_EQ(used(s, "acme").commands, 1u);
  EXPECT_EQ(used(s, "acme").refused, 1u);
}

TEST(Quota, BytesInQueues) {
  Site s;
  s.book.limits["acme/"] = {.queue_bytes = 1000};
  const ConnectOptions kept{.clean = false, .properties = expiry(600)};
  const int p = s.come("acme/s/p", "p", kept);
  s.w.feed(p, subscribe(1, "#", 1));
  s.w.close(p);
  const int cam = s.come("acme/d/cam", "c");
  for (unsigned i = 1; i <= 5; ++i)
    s.w.feed(cam, publish("v1/event/x", std::string(300, 'x'), 1, i));
  EXPECT_LE(used(s, "acme").queue_bytes, 1000u);
  EXPECT_GT(used(s, "acme").queue_bytes, 600u);
  const std::uint64_t before = used(s, "acme").queue_bytes;
  s.w.crash();
  EXPECT_NEAR(static_cast<double>(used(s, "acme").queue_bytes), static_cast<double>(before), 100);
  const int again = s.come("acme/s/p", "p", kept);
  EXPECT_EQ(got(s.w, again).size(), 2u);
  EXPECT_EQ(used(s, "acme").queue_bytes, 0u);
  EXPECT_EQ(used(s, "other").queue_bytes, 0u);
}

TEST(Quota, WhatOtherPartitionsUseCounts) {
  Site s;
  s.book.limits["acme/"] = {.connections = 3};
  s.w.broker().use_elsewhere({{"acme", "", {.connections = 2}}});
  EXPECT_FALSE(s.w.ended(s.come("acme/d/a", "a")));
  const int b = s.come("acme/d/b", "b");
  EXPECT_EQ(refusal(s.w, b, 2, 1), "97 quota: connections");
  s.w.broker().use_elsewhere({});
  EXPECT_FALSE(s.w.ended(s.come("acme/d/b", "b")));
}

TEST(Quota, WhoHasMovedCountsWhereHeIs) {
  Site s;
  const ConnectOptions kept{.clean = false, .properties = expiry(600)};
  s.w.close(s.come("acme/d/cam", "c", kept));
  EXPECT_EQ(used(s, "acme", "north").sessions, 1u);
  s.book.sites[session::Principal{"acme", session::Role::device, "cam"}.key()] = "south";
  EXPECT_FALSE(s.w.ended(s.come("acme/d/cam", "c", kept)));
  EXPECT_EQ(used(s, "acme", "north").sessions, 0u);
  EXPECT_EQ(used(s, "acme", "south").sessions, 1u);
  EXPECT_EQ(used(s, "acme", "south").connections, 1u);
  EXPECT_EQ(used(s, "acme").sessions, 1u);
}

TEST(Quota, LimitsChangeWhileConnected) {
  Site s;
  const int cam = s.come("acme/d/cam", "c");
  s.book.limits["acme/"] = {.connections = 1};
  EXPECT_FALSE(s.w.ended(s.come("acme/d/a", "a"))) << "not heard of yet";
  s.review();
  EXPECT_TRUE(s.w.ended(s.come("acme/d/b", "b")));
  EXPECT_FALSE(s.w.ended(cam)) << "who is there stays";
}

// -- the room alone

// Whoever was first the last time is not first again.
TEST(Meter, ThrottledClientsResumeRoundRobin) {
  CoreBox box;
  std::vector<session::Channel*> all;
  for (int i = 0; i < 3; ++i) all.push_back(&box.client("c" + std::to_string(i)));
  std::set<base::ConnId> first;
  for (int second = 0; second < 3; ++second) {
    for (session::Channel* ch : all) box.core.meter.throttle(*ch);
    box.core.meter.throttle(*all[0]);  // once in the line
    for (session::Channel* ch : all) EXPECT_TRUE(ch->stalled);
    box.effects.resumed.clear();
    for (session::Channel* ch : all) ch->resting = false;
    box.core.meter.resume_throttled();
    ASSERT_EQ(box.effects.resumed.size(), 3u);
    first.insert(box.effects.resumed[0]);
    for (session::Channel* ch : all) EXPECT_FALSE(ch->stalled || ch->slowed);
  }
  EXPECT_EQ(first.size(), 3u);
}

TEST(Meter, WhoWaitsForSomethingElseTooIsNotResumed) {
  CoreBox box;
  session::Channel& waits = box.client("waits");
  session::Channel& ends = box.client("ends");
  session::Channel& gone = box.client("gone");
  for (session::Channel* ch : {&waits, &ends, &gone}) box.core.meter.throttle(*ch);
  waits.pending = 1;
  ends.state = session::Channel::State::closing;
  box.core.sessions.offline(*gone.session, session::Offline::device);
  box.core.connections.forget(gone);
  box.core.meter.resume_throttled();
  EXPECT_TRUE(box.effects.resumed.empty());
  EXPECT_FALSE(waits.slowed);
}

TEST(Meter, WhatIsRetainedAlreadyMayBeReplacedAtTheLimit) {
  CoreBox box;
  session::Account& tenant = box.core.usage.accounts().of("acme", "");
  tenant.limits.retained_messages = 1;
  const auto said = [](const char* topic, const char* payload) {
    session::MessageView m = message(topic, payload);
    m.retain = true;
    return m;
  };
  auto& meter = box.core.meter;
  EXPECT_FALSE(meter.may_retain(message("$tenant/acme/a", "x"), true)) << "nobody asks for it";
  EXPECT_TRUE(meter.may_retain(said("$tenant/acme/a", "x"), true));
  box.core.retained.put("$tenant/acme/a", session::MessagePtr(said("$tenant/acme/a", "x")));
  EXPECT_FALSE(meter.may_retain(said("$tenant/acme/b", "x"), true));
  EXPECT_EQ(tenant.usage.dropped, 1u);
  EXPECT_EQ(box.probe.drop_retained_full, 1u);
  EXPECT_TRUE(meter.may_retain(said("$tenant/acme/a", "y"), true));
  EXPECT_TRUE(meter.may_retain(said("$tenant/acme/b", ""), true)) << "it ends what is retained";
  EXPECT_TRUE(meter.may_retain(said("$tenant/other/b", "x"), true));
  EXPECT_TRUE(meter.may_retain(said("of no tenant", "x"), true));
  EXPECT_FALSE(meter.may_retain(said("of no tenant", "x"), false))
      << "a dead engine has refused it, or it would be there";
}

}  // namespace
}  // namespace berth::test
