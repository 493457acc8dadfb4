// I8: tenants by construction. Each attacks the other by every way that MQTT has, also while the
// engine dies.
#include "session/scope.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using protocol::link::CloseReason;
using session::Principal;
using session::Role;
using session::Scope;

unsigned suback(World& w, int c) {
  return answer(w, c, 9, 3);
}

TEST(Scope, NamesGoInAndComeOut) {
  const Scope device({"acme", Role::device, "cam-1"}, "north", {"device/cam-1/#"});
  const Scope service({"acme", Role::service, "platform"}, "", {});
  const Scope limited({"acme", Role::service, "lot"}, "", {"north"});
  const Scope looks({"acme", Role::operator_, "eve"}, "", {});
  std::string in;
  std::string scratch;
  ASSERT_TRUE(device.enter_topic("v1/event/plate", in));
  EXPECT_EQ(in, "$tenant/acme/v1/north/cam-1/event/plate");
  EXPECT_EQ(device.leave(in, scratch), "v1/event/plate");
  EXPECT_EQ(service.leave(in, scratch), "v1/north/cam-1/event/plate");
  ASSERT_TRUE(device.enter_topic("device/cam-1/up", in));
  EXPECT_EQ(in, "$tenant/acme/device/cam-1/up");
  EXPECT_EQ(device.leave(in, scratch), "device/cam-1/up");
  for (const char* t : {"device/cam-2/up", "$SYS/x", "$tenant/acme/x", "v1/", "x", "v1"})
    EXPECT_FALSE(device.enter_topic(t, in)) << t;
  ASSERT_TRUE(device.enter_filter("v1/#", in));
  EXPECT_EQ(in, "$tenant/acme/v1/north/cam-1/#");
  for (const char* f : {"#", "+/event", "device/#", "$tenant/#", "$SYS/#", "device/+/up"})
    EXPECT_FALSE(device.enter_filter(f, in)) << f;
  ASSERT_TRUE(service.enter_filter("#", in));
  EXPECT_EQ(in, "$tenant/acme/#");
  EXPECT_TRUE(limited.enter_filter("v1/north/+/event/#", in));
  for (const char* f : {"v1/+/x", "#", "v1/northern/x", "v1/north", "device/cam-1/up"})
    EXPECT_FALSE(limited.enter_filter(f, in)) << f;
  EXPECT_FALSE(limited.enter_topic("v1/south/cam-1/cmd", in));
  EXPECT_FALSE(looks.enter_topic("v1/north/cam-1/cmd", in));
  EXPECT_TRUE(looks.enter_filter("#", in));
  const std::string longest(65530, 'x');
  EXPECT_FALSE(device.enter_topic("v1/" + longest, in));
  std::string deep = "v1";
  for (int i = 0; i < 126; ++i) deep += "/a";
  EXPECT_FALSE(service.enter_topic(deep, in));
}

TEST(Scope, ADeviceNamesNothingInAServicesForm) {
  const Scope device({"acme", Role::device, "cam-1"}, "north", {});
  std::string in;
  for (const char* t :
       {"v1/north/cam-1", "v1/north/cam-1/x", "v1/north/cam-2/event/plate", "v1/south/x/state",
        "v1/south/x/telemetry/t", "v1/a/b/cmd/7/req/open", "v1/a/b/desired", "v1/a/b/sub/c/state"})
    EXPECT_FALSE(device.enter_topic(t, in)) << t;
  for (const char* t :
       {"v1/event/plate", "v1/event/a/event/b", "v1/state", "v1/state/a/state", "v1/cmd/7/res",
        "v1/cmd/state/event", "v1/sub/gate/event/plate", "v1/sub/gate/state", "v1/desired",
        "v1/telemetry/a/event", "v1/north/cam-2/x", "v1/a/b/c/event", "v1/x", "v1/a/event"})
    EXPECT_TRUE(device.enter_topic(t, in)) << t;
  for (const char* f : {"v1/north/cam-2/cmd/#", "v1/a/+/event/#"})
    EXPECT_FALSE(device.enter_filter(f, in)) << f;
  for (const char* f : {"v1/#", "v1/cmd/#", "v1/+/+/event/#", "v1/sub/+/cmd/#", "v1/cmd/+/req/+"})
    EXPECT_TRUE(device.enter_filter(f, in)) << f;
}

TEST(Scope, OutcomesOfCommandsAreSaidByTheGatewayOnly) {
  const Scope device({"acme", Role::device, "cam-1"}, "north", {"#"});
  const Scope service({"acme", Role::service, "platform"}, "", {});
  const Scope limited({"acme", Role::service, "lot"}, "", {"north"});
  std::string in;
  for (const Scope* s : {&service, &limited}) {
    for (const char* t :
         {"v1/north/cam-1/command/7/result", "v1/north/cam-1/command", "v1/north/cam-1/command/",
          "v1/north/cam-1/command/7/request", "v1/north/cam-1/command/7/request/",
          "v1/north/cam-1/command//request/open", "v1/north/cam-1/command/7/request/open/x",
          "v1/north/cam-1/command/7/result/request/open"})
      EXPECT_FALSE(s->enter_topic(t, in)) << t;
    for (const char* t : {"v1/north/cam-1/command/7/request/open", "v1/north/cam-1/commands/x",
                          "v1/north/cam-1/cmd/7/req/open"})
      EXPECT_TRUE(s->enter_topic(t, in)) << t;
    EXPECT_TRUE(s->enter_filter("v1/north/+/command/+/result", in));
  }
  for (const char* t : {"v1/command/7/result", "v1/command/7/request/open", "v1/command"})
    EXPECT_FALSE(device.enter_topic(t, in)) << t;
  EXPECT_TRUE(device.enter_topic("command/7/result", in)) << "a vendor's topic is another one";
}

// What the platform side publishes when it hears a message matches topics of its own.
TEST(Scope, AMessageThatMakesThePlatformPublishReachesItsOwnReceivers) {
  struct Ports final : session::PlatformPorts {
    explicit Ports(session::Core& c) : core(c) {}
    void result(const session::Scope&, const session::MessageView& m, base::Instant) override {
      const std::string topic = "$tenant/acme/v1/north/other/event/" + std::string(1100, 'x');
      EXPECT_NE(m.topic, topic);
      core.distributor.match(topic);
      core.distributor.match(topic + "y");
    }
    void request(const session::Scope&, const session::MessageView&, base::Instant) override {}
    void note(std::uint32_t, std::string_view, base::Instant) override {}
    session::Core& core;
  };
  Site site;
  Ports ports(site.w.broker().core());
  site.w.broker().context().platform = &ports;
  const int a = site.come("acme/s/a", "a");
  const std::string id(1100, 'i');
  site.w.feed(a, subscribe(1, "v1/north/cam/cmd/#", 1));
  const int b = site.come("acme/s/b", "b");
  site.w.feed(b, subscribe(1, "v1/north/other/#", 1));
  const int cam = site.come("acme/d/cam", "cam");
  site.w.packets(a);
  site.w.packets(b);
  site.w.feed(cam, publish("v1/cmd/" + id + "/res", "done", 1, 7));
  EXPECT_EQ(got(site.w, a), (Texts{"v1/north/cam/cmd/" + id + "/res done"}));
  EXPECT_EQ(got(site.w, b), Texts{});
}

TEST(Scope, KeysOfSessionsAreNobodyElses) {
  const Scope a({"acme", Role::device, "x"}, "s", {});
  const Scope b({"acme", Role::service, "x"}, "", {});
  EXPECT_NE(a.session_key("c"), b.session_key("c"));
  EXPECT_EQ(session::client_id_of(a.session_key("c")), "c");
  EXPECT_EQ(session::client_id_of(a.session_key("")), "");
  EXPECT_EQ(session::principal_of(a.session_key("c")), a.who().key());
  EXPECT_EQ(session::client_id_of("plain"), "plain");
  EXPECT_TRUE(session::principal_of("plain").empty());
}

TEST(Tenants, DevicesSpeakAndServicesHear) {
  Site s;
  const int cam = s.come("acme/d/cam", "c1");
  const int platform = s.come("acme/s/platform", "p");
  s.w.feed(platform, subscribe(1, "v1/+/+/event/#", 1));
  s.w.feed(cam, subscribe(1, "v1/cmd/+/req/+", 1));
  s.w.feed(cam, publish("v1/event/plate", "A", 1, 1));
  EXPECT_EQ(got(s.w, platform), Texts{"v1/north/cam/event/plate A"});
  s.w.feed(platform, publish("v1/north/cam/cmd/7/req/open", "go", 1, 1));
  EXPECT_EQ(got(s.w, cam), Texts{"v1/cmd/7/req/open go"});
}

// One message, three receivers that call its topic differently.
TEST(Tenants, EachReceiverHearsItsOwnName) {
  Site s;
  const int cam = s.come("acme/d/cam", "c");
  const int a = s.come("acme/s/a", "a");
  const int b = s.come("acme/s/b", "b");
  for (const int c : {a, b}) s.w.feed(c, subscribe(1, "#", 0));
  s.w.feed(cam, subscribe(1, "v1/#", 0));
  s.w.feed(b, publish("v1/north/cam/x", "1"));
  EXPECT_EQ(got(s.w, a), Texts{"v1/north/cam/x 1"});
  EXPECT_EQ(got(s.w, cam), Texts{"v1/x 1"});
  EXPECT_EQ(got(s.w, b), Texts{"v1/north/cam/x 1"});
}

TEST(Tenants, TheSameClientIdIsTwoSessions) {
  Site s;
  const ConnectOptions kept{.clean = false, .properties = expiry(60)};
  const int a = s.come("acme/d/cam", "same", kept);
  const int b = s.come("other/d/cam", "same", kept);
  const int c = s.come("acme/d/door", "same", kept);
  const int d = s.come("acme/s/cam", "same", kept);
  const int nobody = s.w.open_connected({.client_id = "same"});
  for (const int each : {a, b, c, d, nobody}) EXPECT_FALSE(s.w.ended(each));
  EXPECT_EQ(s.w.broker().session_count(), 5u);
  const int again = s.come("acme/d/cam", "same", kept);
  EXPECT_TRUE(s.w.ended(a));
  EXPECT_EQ(s.w.reason(a), CloseReason::taken_over);
  EXPECT_FALSE(s.w.ended(again));
  EXPECT_FALSE(s.w.ended(b));
}

// Whatever the one says, the other hears nothing and loses nothing; a death at each boundary.
TEST(Tenants, I8_AttackOneAnotherAndGetNowhere) {
  for (int crash_at = -1; crash_at < 90; ++crash_at) {
    SCOPED_TRACE(crash_at);
    Site s(crash_at);
    const ConnectOptions kept{.clean = false, .properties = expiry(600)};
    const int victim = s.come("acme/s/platform", "p", kept);
    s.w.feed(victim, subscribe(1, "#", 1));
    s.w.feed(victim, subscribe(2, "$share/g/v1/north/+/event/#", 1));
    const int cam = s.come("acme/d/cam", "c");
    s.w.feed(cam, publish("v1/event/secret", "keep", 1, 1, 5, true));
    (void)got(s.w, victim);

    const int thief = s.come("evil/s/platform", "p", kept);
    for (const char* f : {"#", "v1/#", "+/+/+/+/+", "$share/g/v1/north/+/event/#", "$tenant/#",
                          "$tenant/acme/#", "$share/g/$tenant/acme/#", "../acme/#"})
      s.w.feed(thief, subscribe(9, f, 1));
    const int nobody = s.w.open_connected({.client_id = "n"});
    for (const char* f : {"#", "$tenant/#", "$tenant/acme/v1/north/cam/#", "+/#"})
      s.w.feed(nobody, subscribe(9, f, 1));
    for (const char* t : {"$tenant/acme/v1/north/cam/event/x", "v1/north/cam/event/x"}) {
      s.w.feed(thief, publish(t, "forged", 1, 3));
      s.w.feed(nobody, publish(t, "forged", 1, 3));
    }
    s.w.feed(thief, publish("v1/north/cam/event/secret", "", 1, 4, 5, true));
    const int door = s.come("acme/d/door", "d");
    s.w.feed(door, subscribe(1, "v1/#", 1));
    s.w.feed(door, publish("v1/north/cam/event/x", "forged", 1, 5));
    s.w.feed(door, publish("v1/event/x", "mine", 1, 6));
    s.w.feed(cam, publish("v1/event/plate", "A", 1, 2));

    for (const std::string& t : got(s.w, thief))
      EXPECT_TRUE(t == "v1/north/cam/event/x forged" || t == "v1/north/cam/event/secret ") << t;
    for (const std::string& t : got(s.w, nobody)) EXPECT_EQ(t, "v1/north/cam/event/x forged");
    EXPECT_TRUE(got(s.w, door).size() == 1) << "its own and no other";
    std::multiset<std::string> heard;
    for (const std::string& t : got(s.w, victim)) heard.insert(t);
    EXPECT_GE(heard.count("v1/north/cam/event/plate A"), 2u);  // "#" and the shared one
    EXPECT_GE(heard.count("v1/north/door/event/x mine"), 1u);
    for (const std::string& t : heard) {
      EXPECT_TRUE(t.ends_with(" A") || t.ends_with(" mine") || t.ends_with(" keep")) << t;
    }
    const int late = s.come("acme/s/late", "l");
    s.w.feed(late, subscribe(1, "v1/north/cam/event/secret", 1));
    EXPECT_EQ(got(s.w, late), Texts{"v1/north/cam/event/secret keep"});
  }
}

TEST(Tenants, WhatIsNotTheirsIsRefused) {
  Site s;
  const int cam = s.come("acme/d/cam", "c");
  s.w.packets(cam);
  s.w.feed(cam, subscribe(1, "#", 1));
  EXPECT_EQ(suback(s.w, cam), 0x87u);
  s.w.feed(cam, subscribe(2, "device/cam/#", 1));
  EXPECT_EQ(suback(s.w, cam), 1u);
  s.w.feed(cam, publish("device/door/x", "1", 1, 1));
  EXPECT_EQ(answer(s.w, cam, 4, 2), 0x87u);
  const int eve = s.come("acme/o/eve", "e");
  s.w.packets(eve);
  s.w.feed(eve, publish("v1/north/cam/cmd/1/req/open", "1", 1, 1));
  EXPECT_EQ(answer(s.w, eve, 4, 2), 0x87u);
  s.w.feed(eve, subscribe(2, "v1/#", 1));
  EXPECT_EQ(suback(s.w, eve), 1u);
  s.w.feed(eve, subscribe(3, "$share/g/v1/#", 1));
  EXPECT_EQ(suback(s.w, eve), 0x87u) << "who looks takes nothing away from a group";
}

TEST(Tenants, WillsAreSaidInOnesOwnName) {
  Site s;
  const int platform = s.come("acme/s/p", "p");
  s.w.feed(platform, subscribe(1, "#", 0));
  const int cam = s.come("acme/d/cam", "c", {.will_topic = "v1/state", .will_payload = "gone"});
  const int bad = s.come("acme/d/door", "d", {.will_topic = "$tenant/acme/x", .will_payload = "x"});
  EXPECT_EQ(answer(s.w, bad, 2, 1), 0x87u);
  EXPECT_TRUE(s.w.ended(bad));
  s.w.crash();
  s.w.close(cam);
  EXPECT_EQ(got(s.w, platform), Texts{"v1/north/cam/state gone"});
}

TEST(Tenants, AWillWithoutAScopeNeedsTheRightToo) {
  Site s;
  for (const char* t : {"$SYS/x", "$tenant/acme/v1/x"}) {
    const int c = s.w.open_connected({.client_id = "w", .will_topic = t, .will_payload = "x"});
    EXPECT_TRUE(s.w.ended(c)) << t;
  }
}

TEST(Tenants, UnsubscribeFindsWhatWasSubscribed) {
  Site s;
  const int cam = s.come("acme/d/cam", "c", {.clean = false, .properties = expiry(60)});
  s.w.feed(cam, subscribe(1, "$share/g/v1/cmd/#", 1) + subscribe(2, "v1/cmd/#", 1));
  s.w.crash();
  s.w.packets(cam);
  s.w.feed(cam, unsubscribe(3, "$share/g/v1/cmd/#"));
  EXPECT_EQ(answer(s.w, cam, 11, 3), 0u);
  s.w.feed(cam, unsubscribe(4, "v1/cmd/#"));
  EXPECT_EQ(answer(s.w, cam, 11, 3), 0u);
  s.w.feed(cam, unsubscribe(5, "v1/cmd/#"));
  EXPECT_EQ(answer(s.w, cam, 11, 3), 0x11u);
}

TEST(Tenants, AnAssignedClientIdIsToldWithoutItsScope) {
  Site s;
  const int c = s.come("acme/d/cam", "");
  const auto packets = s.w.packets(c);
  ASSERT_EQ(packets.size(), 1u);
  EXPECT_NE(packets[0].body.find("auto-"), std::string::npos);
  EXPECT_EQ(packets[0].body.find("acme"), std::string::npos);
}

TEST(Tenants, WhatIsDisabledEndsAndWhatIsRemovedIsForgotten) {
  Site s;
  const ConnectOptions kept{.clean = false, .properties = expiry(600)};
  const int cam = s.come("acme/d/cam", "c", kept);
  const int door = s.come("acme/d/door", "d", kept);
  const int gate = s.come("acme/d/gate", "g", kept);
  const int stays = s.come("acme/d/stays", "s", kept);
  const int off = s.come("acme/d/off", "o", kept);
  s.w.close(off);
  ASSERT_EQ(s.w.broker().session_count(), 5u);
  const auto key = [](const char* name) { return Principal{"acme", Role::device, name}.key(); };
  s.book.disabled.insert(key("cam"));
  s.book.gone = {key("door"), key("off")};
  s.book.sites[key("gate")] = "south";
  s.w.packets(cam);
  s.review();
  s.w.run();
  EXPECT_TRUE(s.w.ended(cam));
  EXPECT_EQ(answer(s.w, cam, 14, 0), 0x98u);
  EXPECT_TRUE(s.w.ended(door));
  EXPECT_TRUE(s.w.ended(gate));
  EXPECT_FALSE(s.w.ended(stays));
  EXPECT_EQ(s.w.broker().session_count(), 2u);  // cam's waits for it, stays is there
  s.w.crash();
  EXPECT_EQ(s.w.broker().session_count(), 2u);
  EXPECT_FALSE(s.w.ended(stays));
}

TEST(Tenants, AChangeConcernsWhomItConcerns) {
  Site s;
  const int cam = s.come("acme/d/cam", "c");
  const int door = s.come("acme/d/door", "d");
  const auto key = [](const char* name) { return Principal{"acme", Role::device, name}.key(); };
  s.book.disabled = {key("cam"), key("door")};
  s.review({.everybody = false, .tenants = {"other"}, .principals = {key("door")}});
  EXPECT_FALSE(s.w.ended(cam)) << "nobody has said anything of it";
  EXPECT_TRUE(s.w.ended(door));
  s.review({.everybody = false, .tenants = {"acme"}, .principals = {}});
  EXPECT_TRUE(s.w.ended(cam));
}

TEST(Tenants, WhatAProductMayUseChangesWithoutANewConnection) {
  Site s;
  const int lot = s.come("acme/s/lot", "l");
  s.w.packets(lot);
  s.w.feed(lot, subscribe(1, "v1/south/#", 1));
  EXPECT_EQ(suback(s.w, lot), 1u);
  s.w.feed(lot, subscribe(3, "v1/north/#", 1));
  s.w.packets(lot);
  s.book.limited[Principal{"acme", Role::service, "lot"}.key()] = {"north"};
  s.review();
  s.w.run();
  s.w.crash();
  s.w.feed(lot, subscribe(2, "v1/south/x", 1));
  EXPECT_EQ(suback(s.w, lot), 0x87u);
  const int other = s.come("acme/s/other", "o");
  s.w.feed(other,
           publish("v1/south/cam/event/x", "1", 1, 1) + publish("v1/north/cam/x", "2", 1, 2));
  EXPECT_EQ(got(s.w, lot), Texts{"v1/north/cam/x 2"});
  EXPECT_FALSE(s.w.ended(lot));
}

TEST(Tenants, WhatMayNotBeHeardAnyMoreIsNotHeardAfterComingBackEither) {
  Site s;
  const ConnectOptions kept{.clean = false, .properties = expiry(600)};
  const int lot = s.come("acme/s/lot", "l", kept);
  s.w.feed(lot, subscribe(1, "v1/south/#", 1) + subscribe(2, "v1/north/#", 1));
  s.w.close(lot);
  s.book.limited[Principal{"acme", Role::service, "lot"}.key()] = {"north"};
  const int again = s.come("acme/s/lot", "l", kept);
  s.w.packets(again);
  const int other = s.come("acme/s/other", "o");
  s.w.feed(other, publish("v1/south/c/x", "1", 1, 1) + publish("v1/north/c/x", "2", 1, 2));
  EXPECT_EQ(got(s.w, again), Texts{"v1/north/c/x 2"});
}

// A CONNECT that waits for a batch with room (Login::may_write_record): the registry is asked
// again.
TEST(Scopes, OfAConnectThatWaitsAreLookedUpAgain) {
  for (const bool removed : {false, true}) {
    Site x;
    x.w.hold_commits(true);
    for (int i = 0; i < 20; ++i) {
      const std::string name = "d" + std::to_string(i);
      ConnectOptions o{.clean = false, .properties = expiry(600)};
      o.will_topic = "device/" + name + "/gone";
      o.will_payload = std::string(60'000, 'w');
      x.come("acme/d/" + name, name, o);
    }
    const int late = x.come("acme/d/late", "late", {.clean = false, .properties = expiry(600)});
    ASSERT_EQ(x.w.packets(late).size(), 0u) << "it waits";
    if (removed)
      x.book.disabled.insert(session::Principal{"acme", session::Role::device, "late"}.key());
    x.w.hold_commits(false);
    EXPECT_EQ(answer(x.w, late, 2, 1), removed ? 0x87u : 0u);
  }
}

}  // namespace
}  // namespace berth::test
