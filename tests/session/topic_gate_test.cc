// Which topics and filters a client may use.
#include "session/topic_gate.h"

#include <gtest/gtest.h>

#include "session/principal_key.h"
#include "tests/support/core_box.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

TEST(Topics, ADeviceThatNamesItselfAsServicesDoIsRefused) {
  Site s;
  const int cam = s.come("acme/d/cam", "c");
  s.w.feed(cam, publish("v1/north/cam/event/x", "1", 1, 1));
  EXPECT_EQ(answer(s.w, cam, 4, 2), 0x87u);
  s.w.feed(cam, subscribe(1, "v1/north/cam/cmd/#", 1));
  EXPECT_EQ(answer(s.w, cam, 9, 3), 0x87u);
  s.w.feed(cam, publish("v1/north/camera/x", "1", 1, 2));  // a topic of its own, whatever it means
  EXPECT_NE(answer(s.w, cam, 4, 2), 0x87u);
}

TEST(Topics, ADeviceDoesNotHearItsOwnResults) {
  Site s;
  const int gate = s.come("acme/d/gate", "g");
  const int platform = s.come("acme/s/platform", "p");
  s.w.feed(gate, subscribe(1, "v1/cmd/#", 1));
  s.w.feed(platform, subscribe(1, "v1/+/+/cmd/+/res", 1));
  s.w.feed(gate, publish("v1/cmd/7/res", "done", 1, 1));
  EXPECT_TRUE(got(s.w, gate).empty());
  EXPECT_EQ(got(s.w, platform), Texts{"v1/north/gate/cmd/7/res done"});
  s.w.feed(platform, publish("v1/north/gate/cmd/8/req/open", "x", 1, 1));
  EXPECT_EQ(got(s.w, gate), Texts{"v1/cmd/8/req/open x"});
}

// -- the room alone

using protocol::mqtt::Reason;

class Prefix final : public session::AccessPolicy {
 public:
  bool may_publish(const session::Identity& who, std::string_view topic) const override {
    return topic.starts_with("up/" + std::string(who.user_name));
  }
  bool may_subscribe(const session::Identity& who, std::string_view filter) const override {
    return filter.starts_with("down/" + std::string(who.client_id));
  }
};

session::ScopePtr scope_of(session::Role role, const Strings& allowed = {}) {
  return std::make_shared<const session::Scope>(
      session::Principal{"acme", role, "x"}, role == session::Role::device ? "north" : "", allowed);
}

TEST(TopicGate, WithoutRulesEverythingIsAllowedButWhatIsOurs) {
  CoreBox box;
  session::Channel& ch = box.client("c");
  std::string_view inside;
  std::string raw;
  EXPECT_TRUE(box.core.gate.enter_topic(ch, "a/b", inside));
  EXPECT_EQ(inside, "a/b");
  EXPECT_FALSE(box.core.gate.enter_topic(ch, "$SYS/x", inside));
  EXPECT_FALSE(box.core.gate.enter_topic(ch, "$tenant/acme/v1/x", inside)) << "I8";
  EXPECT_EQ(box.core.gate.enter_filter(ch, "$SYS/#", raw), Reason::success) << "may be heard";
  EXPECT_EQ(box.core.gate.enter_filter(ch, "$tenant/acme/#", raw), Reason::not_authorized);
  EXPECT_EQ(box.core.gate.enter_filter(ch, "$share/g/$tenant/#", raw), Reason::not_authorized);
  EXPECT_EQ(box.core.gate.enter_filter(ch, "$share/g/a", raw), Reason::success);
  EXPECT_EQ(raw, "$share/g/a");
  EXPECT_EQ(box.core.gate.enter_filter(ch, "a/#/b", raw), Reason::topic_filter_invalid);
  EXPECT_TRUE(box.core.gate.may_hear(ch, "a"));
  EXPECT_FALSE(box.core.gate.may_hear(ch, "$tenant/acme/v1/x"));
}

TEST(TopicGate, RulesAreAskedWithUserAndClientId) {
  CoreBox box;
  const Prefix rules;
  box.core.gate.use_access(&rules);
  session::Channel& ch = box.client(session::user_key("ann") + "c");
  ch.user_name = std::make_unique<std::string>("ann");
  std::string_view inside;
  std::string raw;
  EXPECT_TRUE(box.core.gate.enter_topic(ch, "up/ann", inside));
  EXPECT_FALSE(box.core.gate.enter_topic(ch, "up/bob", inside));
  EXPECT_EQ(box.core.gate.enter_filter(ch, "down/c", raw), Reason::success);
  EXPECT_EQ(box.core.gate.enter_filter(ch, "$share/g/down/c", raw), Reason::success)
      << "rules are asked for the filter, not for its group";
  EXPECT_EQ(box.core.gate.enter_filter(ch, "down/d", raw), Reason::not_authorized);
  EXPECT_TRUE(box.core.gate.may_hear(ch, "down/c"));
  EXPECT_FALSE(box.core.gate.may_hear(ch, "down/d"));
  box.core.gate.use_access(nullptr);
  EXPECT_TRUE(box.core.gate.enter_topic(ch, "up/bob", inside));
}

TEST(TopicGate, AScopeHasItsTopicsInsideItsTenant) {
  CoreBox box;
  session::Channel& device = box.client("d");
  device.scope = scope_of(session::Role::device, {"own/#"});
  std::string_view inside;
  std::string raw;
  ASSERT_TRUE(box.core.gate.enter_topic(device, "v1/event/x", inside));
  EXPECT_EQ(inside, "$tenant/acme/v1/north/x/event/x");
  ASSERT_TRUE(box.core.gate.enter_topic(device, "own/y", inside));
  EXPECT_EQ(inside, "$tenant/acme/own/y");
  EXPECT_FALSE(box.core.gate.enter_topic(device, "others/y", inside));
  ASSERT_EQ(box.core.gate.enter_filter(device, "v1/cmd/#", raw), Reason::success);
  EXPECT_TRUE(box.core.gate.may_hear(device, "$tenant/acme/v1/north/x/cmd/7/req/open"));
  EXPECT_FALSE(box.core.gate.may_hear(device, "$tenant/acme/v1/north/other/cmd/7/req/open"));
  EXPECT_FALSE(box.core.gate.may_hear(device, "$tenant/evil/v1/north/x/cmd/7/req/open"));
  session::Channel& service = box.client("s");
  service.scope = scope_of(session::Role::service);
  const std::string longest = "v1/north/" + std::string(65'510, 'x');
  EXPECT_EQ(box.core.gate.enter_filter(service, longest, raw), Reason::success);
  EXPECT_EQ(box.core.gate.enter_filter(service, "$share/g/" + longest, raw),
            Reason::topic_filter_invalid)
      << "with its group it is longer inside than MQTT has them";
}

TEST(TopicGate, APersonWhoLooksTakesNothingAwayFromServices) {
  CoreBox box;
  session::Channel& ch = box.client("c");
  std::string raw;
  ch.scope = scope_of(session::Role::service);
  ASSERT_EQ(box.core.gate.enter_filter(ch, "$share/g/v1/#", raw), Reason::success);
  EXPECT_EQ(raw, "$share/g/$tenant/acme/v1/#");
  ch.scope = scope_of(session::Role::operator_);
  EXPECT_EQ(box.core.gate.enter_filter(ch, "v1/#", raw), Reason::success);
  EXPECT_EQ(box.core.gate.enter_filter(ch, "$share/g/v1/#", raw), Reason::not_authorized);
}

TEST(TopicGate, AWillIsKeptAsItsTopicIsInside) {
  CoreBox box;
  session::Channel& ch = box.connection(9);
  ch.connect = std::make_unique<session::PendingConnect>();
  EXPECT_TRUE(box.core.gate.admit_will(ch)) << "there is none";
  const auto will = [&](const char* topic) {
    ch.connect->will = std::make_unique<session::Will>();
    ch.connect->will->message = session::MessagePtr(message(topic, "gone", 1));
    return box.core.gate.admit_will(ch);
  };
  EXPECT_TRUE(will("w"));
  EXPECT_FALSE(will("$SYS/w"));
  ch.scope = scope_of(session::Role::device);
  EXPECT_TRUE(will("v1/event/gone"));
  EXPECT_EQ(ch.connect->will->message->view().topic, "$tenant/acme/v1/north/x/event/gone");
  EXPECT_EQ(ch.connect->will->message->view().payload, "gone");
  EXPECT_FALSE(will("elsewhere"));
}

}  // namespace
}  // namespace berth::test
