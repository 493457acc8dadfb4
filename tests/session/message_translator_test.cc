// What becomes of a device's message on its way to the platform, whatever dies.
#include "session/message_translator.h"

#include <gtest/gtest.h>

#include "tests/support/core_box.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using What = session::DeviceMessages::What;

// "device/x/beat" is nobody's business; else the payload goes to v1/event/x in brackets.
class Brackets : public session::DeviceMessages {
 public:
  What translate(const session::Scope&, std::uint64_t, base::Instant, std::string_view id,
                 std::string_view topic, std::string_view payload, Out& out) override {
    ids.insert(std::string(id));
    if (topic.ends_with("/beat")) return What::swallowed;
    if (!known) return What::wait;
    if (!topic.starts_with("device/") || topic.ends_with("/down")) return What::as_is;
    out.topic = "v1/event/x";
    out.payload = "[" + std::string(payload) + "]";
    return What::replaced;
  }
  bool known = true;
  bool products = true;
  std::set<std::string> ids;
  std::optional<Lasts> lasts(std::string_view, std::string_view, std::string_view type) override {
    return type == "own" ? std::nullopt : std::optional<Lasts>({2'000, 10'000});
  }
  bool is_devices_topic(std::string_view, std::string_view topic) override {
    return products && topic.starts_with("device/");
  }
  std::optional<Lasts> vendors_command(std::string_view, std::string_view topic) override {
    return products && topic == "device/cam/down" ? std::optional<Lasts>({2'000, 10'000})
                                                  : std::nullopt;
  }
  bool to_json(std::string_view, std::string&) override { return false; }
  Told command(const session::Scope&, base::Instant, std::string_view topic,
               std::string_view payload, Out& out) override {
    if (topic.ends_with("/fly")) out.why = "no class";
    if (topic.ends_with("/fly")) return Told::refused;
    if (topic.ends_with("/away")) out.topic = "$tenant/acme/v1/north/cam/cmd/1/req/away";
    if (topic.ends_with("/away")) return Told::elsewhere;
    if (!topic.ends_with("/open")) return Told::as_is;
    out.topic = "$tenant/acme/device/cam/down";
    out.payload = "<" + std::string(payload) + ">";
    return Told::in_vendors_words;
  }
};

struct Translated : Site {
  explicit Translated(int crash_at = -1) : Site(crash_at) {
    book.translation = {session::Format::protobuf, "p"};
    w.on_engine([this] { w.broker().use_messages(brackets); });
    w.broker().use_messages(brackets);
  }
  Brackets brackets;
};

TEST(Messages, EveryQosIsAnsweredAndHeardOnceTranslated) {
  for (int crash_at = -1; crash_at < 70; ++crash_at) {
    SCOPED_TRACE(crash_at);
    Translated s(crash_at);
    const int p = s.come("acme/s/platform", "p", {.clean = false, .properties = expiry(60)});
    s.w.feed(p, subscribe(1, "v1/north/cam/#", 2));
    const int cam = s.come("acme/d/cam", "c", {.clean = false, .properties = expiry(60)});
    s.w.packets(cam);
    s.w.packets(p);
    s.w.feed(cam, publish("device/cam/up", "one", 1, 1));
    s.w.feed(cam, publish("device/cam/up", "two", 2, 2) + publish("device/cam/beat", "b", 2, 3));
    s.w.feed(cam, ack(6, 2) + ack(6, 3) + publish("device/cam/beat", "b", 1, 4));
    s.w.feed(cam, publish("device/cam/beat", "b") + publish("v1/event/y", "as it is", 1, 5));
    std::multiset<unsigned> answers;
    for (const Packet& k : s.w.packets(cam)) answers.insert(k.type * 100 + k.id());
    EXPECT_EQ(answers, (std::multiset<unsigned>{401, 404, 405, 502, 503, 702, 703}));
    Texts heard;
    for (bool more = true; more;) {
      more = false;
      for (const Packet& k : s.w.packets(p)) {
        if (k.type == 6) s.w.feed(p, ack(7, k.id()));
        if (k.type != 3) continue;
        more = true;
        if (k.qos() != 0) s.w.feed(p, ack(k.qos() == 1 ? 4 : 5, k.id()));
        heard.push_back(k.topic() + " " + k.payload(5));
      }
    }
    heard.erase(std::unique(heard.begin(), heard.end()), heard.end());  // QoS 1: perhaps twice
    EXPECT_EQ(heard, (Texts{"v1/north/cam/event/x [one]", "v1/north/cam/event/x [two]",
                            "v1/north/cam/event/y as it is"}));
  }
}

TEST(Messages, WhatIsNotUnderstoodYetWaitsAndIsNotLost) {
  Translated s;
  const int p = s.come("acme/s/platform", "p");
  s.w.feed(p, subscribe(1, "v1/north/cam/#", 1));
  const int cam = s.come("acme/d/cam", "c");
  s.brackets.known = false;
  s.w.feed(cam, publish("device/cam/up", "one", 1, 1) + publish("device/cam/up", "two", 1, 2));
  s.w.advance_s(1);
  EXPECT_EQ(got(s.w, p), Texts{});
  s.brackets.known = true;
  s.w.advance_s(1);
  EXPECT_EQ(got(s.w, p), (Texts{"v1/north/cam/event/x [one]", "v1/north/cam/event/x [two]"}));
  EXPECT_FALSE(s.w.ended(cam));
}

// Its will too, and each with an id of its own, the same when it is said again.
TEST(Messages, AWillIsTranslatedWhenItFires) {
  for (int crash_at = -1; crash_at < 30; ++crash_at) {
    SCOPED_TRACE(crash_at);
    Translated s(crash_at);
    const int p = s.come("acme/s/platform", "p", {.clean = false, .properties = expiry(60)});
    s.w.feed(p, subscribe(1, "v1/north/cam/#", 1));
    const int cam = s.come("acme/d/cam", "c",
                           {.will_topic = "device/cam/gone", .will_payload = "bye", .will_qos = 1});
    s.w.feed(cam, publish("device/cam/up", "one", 1, 1));
    s.w.close(cam);
    Texts heard = got(s.w, p);
    heard.erase(std::unique(heard.begin(), heard.end()), heard.end());
    EXPECT_EQ(heard, (Texts{"v1/north/cam/event/x [one]", "v1/north/cam/event/x [bye]"}));
    EXPECT_EQ(s.brackets.ids.size(), 2u);
  }
}

// However its rights end, its platform hears of it, and as it hears of all else.
TEST(Messages, AWillIsTranslatedHoweverItsRightsEnd) {
  const std::string key = session::Principal{"acme", session::Role::device, "cam"}.key();
  for (const char* end : {"disabled", "removed", "removed and back", "moved"}) {
    SCOPED_TRACE(end);
    Translated s;
    const int p = s.come("acme/s/platform", "p");
    s.w.feed(p, subscribe(1, "#", 1));
    const int cam = s.come("acme/d/cam", "c",
                           {.clean = false,
                            .properties = expiry(600),
                            .will_topic = "device/cam/gone",
                            .will_payload = "bye",
                            .will_qos = 1});
    session::Concerned who{.principals = {key}};
    const std::string how = end;
    if (how == "disabled") s.book.disabled.insert(key);
    if (how == "removed") s.book.gone.insert(key);
    if (how == "removed and back") who.removed_principals.insert(key);
    if (how == "moved") s.book.sites[key] = "south";
    s.review(who);
    EXPECT_TRUE(s.w.ended(cam));
    const Texts heard = got(s.w, p);
    ASSERT_EQ(heard.size(), 1u);
    EXPECT_TRUE(heard[0].ends_with("/cam/event/x [bye]")) << heard[0];
  }
}

TEST(Messages, WhatADeviceMayNotSayIsRefusedAsBefore) {
  Translated s;
  const int p = s.come("acme/s/platform", "p");
  s.w.feed(p, subscribe(1, "#", 1));
  const int cam = s.come("acme/d/cam", "c");
  s.w.feed(cam, publish("device/other/up", "forged", 1, 1));
  EXPECT_EQ(answer(s.w, cam, 4, 2), 0x87u);
  EXPECT_EQ(got(s.w, p), Texts{});
}

TEST(Messages, ServicesSayWhatTheySay) {
  Translated s;
  const int p = s.come("acme/s/platform", "p");
  const int q = s.come("acme/s/other", "q");
  s.w.feed(q, subscribe(1, "#", 1));
  s.w.feed(p, publish("device/cam/up", "plain", 1, 1));
  EXPECT_EQ(got(s.w, q), Texts{"device/cam/up plain"});
}

TEST(Messages, ACommandGoesWhereItsVendorHasIt) {
  Translated s;
  const int p = s.come("acme/s/platform", "p");
  const int cam = s.come("acme/d/cam", "c");
  s.w.feed(cam, subscribe(1, "device/cam/down", 1));
  s.w.feed(cam, subscribe(2, "v1/cmd/#", 1));
  s.w.feed(p, publish("v1/north/cam/cmd/1/req/open", "now", 1, 1));
  s.w.feed(p, publish("v1/north/cam/cmd/2/req/other", "now", 1, 2));
  EXPECT_EQ(got(s.w, cam), (Texts{"device/cam/down <now>", "v1/cmd/2/req/other now"}));
  s.w.packets(p);
  s.w.feed(p, publish("v1/north/cam/cmd/3/req/fly", "now", 1, 3));
  EXPECT_EQ(answer(s.w, p, 4, 2), 0x90u) << "a type without a class";
  s.w.feed(p, publish("v1/north/cam/sub/a/cmd/3/req/fly", "now", 1, 4));
  EXPECT_EQ(answer(s.w, p, 4, 2), 0x90u) << "of a part behind it";
  EXPECT_EQ(s.w.probe().drop_command_refused, 2u);
  s.w.feed(p, publish("v1/north/arm/cmd/1/req/away", "now", 1, 5));
  EXPECT_EQ(got(s.w, cam), Texts{"v1/cmd/1/req/away now"}) << "the device that carries it out";
  s.book.limited[session::Principal{"acme", session::Role::service, "south"}.key()] = {"south"};
  const int elsewhere = s.come("acme/s/south", "s");
  s.w.feed(elsewhere, publish("v1/north/cam/cmd/3/req/open", "now", 1, 1));
  EXPECT_EQ(answer(s.w, elsewhere, 4, 2), 0x87u) << "it is not of its sites";
  EXPECT_EQ(got(s.w, cam), Texts{});
}

// -- the room alone

TEST(MessageTranslator, OnlyReportsUnderV1AreReports) {
  CoreBox box;
  session::Channel& ch = box.client("d");
  ch.scope = std::make_shared<const session::Scope>(
      session::Principal{"acme", session::Role::device, "cam"}, "north", Strings{});
  EXPECT_EQ(box.core.translator.name_fault(ch, "v1/event/x", false), nullptr);
  EXPECT_EQ(box.core.translator.name_fault(ch, "own/topic", false), nullptr);
  EXPECT_EQ(box.probe.untranslated, 0u);
  EXPECT_EQ(box.core.translator.name_fault(ch, "v1/evnt/x", false), nullptr) << "nobody's fault";
  EXPECT_EQ(box.probe.untranslated, 1u) << "but counted: its platform does not get it";
}

TEST(MessageTranslator, ACommandThatCouldNotBeAnsweredIsRefused) {
  CoreBox box;
  session::Channel& ch = box.client("p");
  ch.scope = std::make_shared<const session::Scope>(
      session::Principal{"acme", session::Role::service, "p"}, "", Strings{});
  EXPECT_EQ(box.core.translator.name_fault(ch, "v1/north/cam/cmd/7/req/open", false), nullptr);
  EXPECT_NE(box.core.translator.name_fault(ch, "v1/north/cam/cmd/a b/req/open", false), nullptr);
  EXPECT_NE(box.core.translator.name_fault(ch, "v1/north/cam/cmd/7/req/open", true), nullptr);
  EXPECT_EQ(box.probe.drop_command_refused, 2u);
}

TEST(MessageTranslator, OfADeviceItself) {
  Translated s;
  const int cam = s.come("acme/d/cam", "c");
  s.w.packets(cam);
  s.w.feed(cam, publish("device/cam/down", "open", 1, 1, 5, true));
  EXPECT_EQ(answer(s.w, cam, 4, 2), 0x90u) << "retained";
  const auto will = [&s](const char* topic) {
    const int c = s.come("acme/d/cam", "w", {.will_topic = topic, .will_payload = "open"});
    return answer(s.w, c, 2, 1);
  };
  EXPECT_EQ(will("device/cam/down"), 0x87u);
  EXPECT_EQ(will("v1/desired"), 0x87u);
  EXPECT_EQ(will("v1/sub/left/desired"), 0x87u);
  EXPECT_EQ(will("device/cam/up"), 0u);
}

// A product may come after the CONNECT whose will names its topic.
TEST(MessageTranslator, AWillThatHasBecomeACommandIsNotPublished) {
  Translated s;
  const int cam = s.come("acme/d/cam", "c");
  s.w.feed(cam, subscribe(1, "device/cam/#", 1));
  s.brackets.products = false;
  const int p =
      s.come("acme/s/platform", "p", {.will_topic = "device/cam/down", .will_payload = "open"});
  EXPECT_EQ(answer(s.w, p, 2, 1), 0u);
  s.brackets.products = true;
  s.w.close(p);
  EXPECT_EQ(got(s.w, cam), Texts{});
}

TEST(MessageTranslator, AVendorsTopicIsACommandToo) {
  Translated s;
  const int p = s.come("acme/s/platform", "p");
  s.w.packets(p);
  s.w.feed(p, publish("device/cam/down", "open", 1, 1, 5, true));
  EXPECT_EQ(answer(s.w, p, 4, 2), 0x90u) << "retained";
  s.w.feed(p, publish("device/cam/down", "open", 1, 2));
  EXPECT_LT(answer(s.w, p, 4, 2), 0x80u);
  s.w.feed(p, publish("other/cam", "x", 1, 3, 5, true));
  EXPECT_LT(answer(s.w, p, 4, 2), 0x80u);
  const int w =
      s.come("acme/s/platform", "w", {.will_topic = "device/cam/down", .will_payload = "open"});
  EXPECT_EQ(answer(s.w, w, 2, 1), 0x87u) << "of a will";
}

// By a device that is away when it is published, and comes `after_s`.
Texts heard_later(const std::string& topic, int after_s, const std::string& properties = {},
                  int version = 5) {
  Translated s;
  const int cam = s.come("acme/d/cam", "c", {.clean = false, .properties = expiry(600)});
  s.w.feed(cam, subscribe(1, "v1/cmd/#", 1) + subscribe(2, "device/cam/#", 1));
  s.w.close(cam);
  const int p = s.come("acme/s/platform", "p", {.version = version});
  s.w.feed(p, publish(topic, "x", 1, 1, version, false, false, properties));
  s.w.advance_s(after_s);
  return got(s.w, s.come("acme/d/cam", "c", {.clean = false, .properties = expiry(600)}));
}

std::string message_expiry(std::uint32_t s) {
  return {'\x02', static_cast<char>(s >> 24), static_cast<char>(s >> 16), static_cast<char>(s >> 8),
          static_cast<char>(s)};
}

TEST(MessageTranslator, ACommandWaitsNoLongerThanItsTypeAllows) {
  const std::string close = "v1/north/cam/cmd/1/req/close";
  const Texts went{"v1/cmd/1/req/close x"};
  EXPECT_EQ(heard_later(close, 1), went);
  EXPECT_EQ(heard_later(close, 3), Texts{}) << "without a Message Expiry Interval";
  EXPECT_EQ(heard_later(close, 3, {}, 4), Texts{});
  EXPECT_EQ(heard_later(close, 3, message_expiry(3600)), went);
  EXPECT_EQ(heard_later(close, 11, message_expiry(3600)), Texts{}) << "cut to its type's";
  EXPECT_EQ(heard_later(close, 3, message_expiry(2)), Texts{}) << "its own is shorter";
}

// A device that has heard it and not acknowledged it, and comes again `after_s`.
Texts heard_again(const std::string& topic, int after_s, unsigned qos = 1) {
  Translated s;
  const ConnectOptions options{.clean = false, .properties = expiry(600)};
  int cam = s.come("acme/d/cam", "c", options);
  s.w.feed(cam, subscribe(1, "v1/cmd/#", qos) + subscribe(2, "device/cam/#", qos));
  const int p = s.come("acme/s/platform", "p");
  s.w.feed(p, publish(topic, "x", qos, 1, 5, false, false, message_expiry(5)));
  s.w.run();  // nothing is acknowledged
  s.w.close(cam);
  s.w.advance_s(after_s);
  return got(s.w, s.come("acme/d/cam", "c", options));
}

TEST(MessageTranslator, ACommandIsNotRepeatedLate) {
  for (const char* topic : {"v1/north/cam/cmd/1/req/close", "v1/north/cam/cmd/1/close",
                            "device/cam/down", "device/cam/other"}) {
    for (const unsigned qos : {1u, 2u}) {  // with 2: granted 1
      SCOPED_TRACE(testing::Message() << topic << " QoS " << qos);
      EXPECT_EQ(heard_again(topic, 4, qos).size(), 1u) << "with DUP";
      EXPECT_EQ(heard_again(topic, 6, qos), Texts{});
    }
  }
}

// PUBREL would hand it over, on a later connection too.
TEST(MessageTranslator, ADeviceIsGrantedQos1AtMost) {
  Translated s;
  const int cam = s.come("acme/d/cam", "c");
  s.w.packets(cam);
  s.w.feed(cam, subscribe(1, "v1/cmd/#", 2));
  EXPECT_EQ(answer(s.w, cam, 9, 3), 1u);
  const int p = s.come("acme/s/platform", "p");
  s.w.packets(p);
  s.w.feed(p, subscribe(1, "v1/+/+/event/#", 2));
  EXPECT_EQ(answer(s.w, p, 9, 3), 2u) << "a service";
}

// Of a client that is not registered, and without a registry. What is no command comes again, as
// MQTT has it (4.4).
TEST(MessageTranslator, ACommandIsNotRepeatedLateToAnUnregisteredClientEither) {
  for (const char* topic : {"v1/_/gate/cmd/1/req/open", "v1/_/gate/cmd/1/res", "prices"}) {
    World w;
    const ConnectOptions options{.client_id = "gate", .clean = false, .properties = expiry(600)};
    int gate = w.open_connected(options);
    w.feed(gate, subscribe(1, "#", 1));
    const int p = w.open_connected({.client_id = "p"});
    w.feed(p, publish(topic, "x", 1, 1, 5, false, false, message_expiry(5)));
    w.run();
    w.close(gate);
    w.advance_s(6);
    EXPECT_EQ(got(w, w.open_connected(options)).size(),
              std::string(topic).ends_with("open") ? 0u : 1u)
        << topic;
  }
}

TEST(MessageTranslator, WhatMayBeACommandWaitsNoLongerEither) {
  for (const char* topic : {"v1/north/cam/cmd/1/req/own", "v1/north/cam/cmd/1/req/close/",
                            "v1/north/cam/cmd/1/close", "device/cam/down", "device/cam/other"}) {
    SCOPED_TRACE(topic);
    EXPECT_EQ(heard_later(topic, 1).size(), 1u);
    EXPECT_EQ(heard_later(topic, 3), Texts{});
    EXPECT_EQ(heard_later(topic, 8, message_expiry(3600)).size(), 1u);
    EXPECT_EQ(heard_later(topic, 61, message_expiry(3600)), Texts{});
  }
}

TEST(MessageTranslator, WithoutATranslatorMessagesStayAsTheyAre) {
  CoreBox box;
  session::Channel& ch = box.client("d");
  ch.scope = std::make_shared<const session::Scope>(
      session::Principal{"acme", session::Role::device, "cam"}, "north", Strings{},
      session::Translation{session::Format::json, "vendor"});
  session::MessageView p;
  p.topic = "v1/event/x";
  p.payload = "as said";
  EXPECT_EQ(box.core.translator.translate(ch, p, box.now), session::DeviceMessages::What::as_is);
  EXPECT_EQ(p.payload, "as said");
  EXPECT_EQ(box.core.translator.to_json(ch, "report"), nullptr);
}

}  // namespace
}  // namespace berth::test
