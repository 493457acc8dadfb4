// The command catalog: which type may be sent to which device, in whose words and within which
// bounds; how vendors' answers are known.
#include "gateway/registry/commands.h"

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <regex>
#include <sstream>

#include "base/charset.h"
#include "gateway/registry/command_json.h"
#include "gateway/registry/password_hash.h"
#include "protocol/messages/envelope.pb.h"
#include "protocol/mqtt/properties.h"
#include "tests/gateway/registry_texts.h"

namespace berth::gateway::registry {
namespace {

namespace json = boost::json;
using platform::Outcome;
using session::Role;

std::string text_of(const std::string& path) {
  std::ifstream in(std::string(BERTH_SOURCE "/") + path);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

constexpr const char* kLot = R"(
tenants:
  - name: acme
    sites: [{name: north}, {name: gone, enabled: false}]
    products:
      - {name: native, command_form: json}
      - {name: binary, command_form: protobuf}
      - {name: plain, command_form: plain, capabilities: [open, flash],
         commands: [{name: flash, delivery: latest, ttl_ms: 1000, ttl_max_ms: 5000, result_ms: 700}]}
      - {name: careful, commands: [{name: open, ttl_max_ms: 1500}, {name: reboot, delivery: immediate},
                                   {name: OPEN_lid, qos: 0, delivery: queued}]}
    devices:
      - {name: gate, site: north}
      - {name: proto, site: north, product: binary}
      - {name: lamp, site: north, product: plain}
      - {name: lid, site: north, product: careful}
      - {name: off, site: north, enabled: false}
      - {name: away, site: gone}
      - {name: box, site: north}
      - {name: loop, site: north, parent: box}
      - {name: relay, site: north, parent: box, child: r2}
      - {name: arm, site: north, executor: lid, child: left}
      - {name: arm-2, site: north, executor: relay}
      - {name: arm-3, site: north, executor: off}
      - {name: deep, site: north, parent: loop}
)";

class Commands : public ::testing::Test {
 protected:
  void load(const std::string& yaml) { registry_.apply(changes_of(yaml)); }
  void SetUp() override { load(kLot); }
  CommandPlan plan(std::string_view device, std::string_view type, std::string_view payload = {}) {
    return catalog_.plan({.tenant = tenant_, .device = device, .type = type, .payload = payload});
  }
  CommandMessage say(const CommandPlan& p, const std::string& id = "7f3a") {
    EXPECT_TRUE(p.good()) << p.refusal.text;
    CommandMessage m;
    std::string why;
    if (!p.good()) return m;
    EXPECT_TRUE(p.render({.id = id,
                          .wall_ms = 1'795'000'001'000,
                          .deadline_unix_ms = 1'795'000'003'000,
                          .ttl_ms = 1500},
                         m, why))
        << why;
    return m;
  }
  static std::string refused(const CommandPlan& p) {
    return std::to_string(p.refusal.status) + " " + p.refusal.code;
  }
  session::Scope scope(const std::string& device) {
    return {{tenant_, Role::device, device}, "north", {}};
  }
  std::string tenant_ = "acme";
  Registry registry_{"acme"};
  CommandCatalog catalog_{registry_};
};

TEST_F(Commands, TopicsOfProductsAreThoseOfAllDevices) {
  load(R"(
tenants:
  - name: acme
    products: [{name: camera, topics: ["device/%d/#", "lot/%s/cam-%d/up"]}]
  - {name: other}
)");
  for (const char* topic : {"device/cam/down", "device/x", "lot/north/cam-1/up"})
    EXPECT_TRUE(catalog_.is_products_topic("acme", topic)) << topic;
  for (const char* topic : {"answers/1", "devices/cam", "lot/north/up"})
    EXPECT_FALSE(catalog_.is_products_topic("acme", topic)) << topic;
  EXPECT_FALSE(catalog_.is_products_topic("other", "device/cam/down"));
}

// A device keeps one document: a second barrier's part would take the place of the first one's.
TEST_F(Commands, ADesiredStateIsOfOneDeviceOfAnExecutor) {
  const char* const open = R"({"mode":"HOLD_OPEN"})";
  for (const char* device : {"gate", "arm", "arm-2"})
    EXPECT_TRUE(plan(device, "hold", open).good()) << device;
  EXPECT_EQ(refused(plan("relay", "hold", open)), "422 executor_invalid") << "arm-2 has it";
  load(std::string(kLot) + R"(
      - {name: arm-4, site: north, executor: lid, child: left}
      - {name: arm-5, site: north, executor: lid, child: right}
)");
  EXPECT_EQ(refused(plan("arm", "hold", open)), "422 executor_invalid");
  EXPECT_EQ(refused(plan("arm-4", "hold", open)), "422 executor_invalid");
  EXPECT_TRUE(plan("arm-4", "open").good());
  EXPECT_TRUE(plan("arm-5", "hold", open).good());
  const CommandPlan timed = catalog_.plan(
      {.tenant = tenant_, .device = "gate", .type = "hold", .payload = open, .ttl_ms = 60'000});
  EXPECT_EQ(refused(timed), "422 ttl_invalid") << "it has no deadline";
}

TEST_F(Commands, ACanonicalTypeGoesToAnyDevice) {
  const CommandPlan p = plan("gate", "OPEN_GATE", R"({"reason":"paid"})");
  ASSERT_TRUE(p.good()) << p.refusal.text;
  EXPECT_EQ(p.type, "open");
  EXPECT_EQ(p.delivery, CommandClass::immediate);
  EXPECT_EQ(p.ttl_ms, 2000u);
  EXPECT_EQ(p.ttl_max_ms, 10000u);
  EXPECT_EQ(p.qos, 0);
  EXPECT_EQ(p.site + p.executor + p.executor_site + p.child, "northgatenorth");
  const CommandMessage m = say(p);
  EXPECT_EQ(m.topic, "$tenant/acme/v1/north/gate/cmd/7f3a/req/open");
  EXPECT_EQ(m.payload, R"({"commandId":"7f3a","type":"open","deadlineUnixMs":1795000003000,)"
                       R"("ttlMs":1500,"payload":{"reason":"paid"}})");
  protocol::mqtt::Properties read;
  std::string scratch;
  std::string all(1, static_cast<char>(m.properties.size()));
  all += m.properties;
  protocol::mqtt::Reader in({reinterpret_cast<const std::uint8_t*>(all.data()), all.size()});
  EXPECT_EQ(
      protocol::mqtt::decode_properties(in, protocol::mqtt::kPublishProperties, scratch, read),
      protocol::mqtt::Reason::success);
  EXPECT_EQ(read.forwarded, m.properties);
  EXPECT_NE(m.properties.find("deadline_unix_ms"), std::string::npos);
}

TEST_F(Commands, WhatADeviceGetsIsADeviceCommand) {
  v1::DeviceCommand c;
  ASSERT_TRUE(c.ParseFromString(say(plan("proto", "display", "满位")).payload));
  EXPECT_EQ(c.command_id() + c.type() + c.text(), "7f3adisplay满位");
  EXPECT_EQ(c.deadline_unix_ms(), 1'795'000'003'000);
  EXPECT_EQ(c.ttl_ms(), 1500u);
  ASSERT_TRUE(c.ParseFromString(say(plan("proto", "display", R"({"a":[1]})")).payload));
  // By the library: a Map of its own types has another layout under the thread sanitizer.
  std::string text;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(c.payload(), &text).ok());
  EXPECT_EQ(text, R"({"a":[1]})");
  ASSERT_TRUE(c.ParseFromString(say(plan("proto", "display", "\xff")).payload));
  EXPECT_EQ(c.data(), "\xff");
  const CommandMessage flash = say(plan("lamp", "flash", "red"));
  EXPECT_EQ(flash.payload, "red");
  EXPECT_EQ(flash.topic, "$tenant/acme/v1/north/lamp/cmd/7f3a/req/flash");
  const auto held = json::parse(say(plan("gate", "keep_open")).payload);
  EXPECT_EQ(held.at_pointer("/payload/mode").as_string(), "HOLD_OPEN");
  EXPECT_EQ(plan("gate", "keep_open", R"({"reason":"fire"})").payload,
            R"({"reason":"fire","mode":"HOLD_OPEN"})");
  EXPECT_EQ(plan("gate", "CANCEL_KEEP_OPEN", "fire").payload, R"({"text":"fire","mode":"AUTO"})");
  EXPECT_EQ(plan("gate", "hold", R"({"mode":"AUTO"})").payload, R"({"mode":"AUTO"})");
  for (const char* payload : {"", "open", "[]", R"({"mode":"UP"})", R"({"mode":1})"})
    EXPECT_EQ(refused(plan("gate", "hold", payload)), "422 payload_invalid") << payload;
  EXPECT_EQ(refused(plan("gate", "keep_open", R"({"mode":"AUTO"})")), "422 payload_invalid")
      << "which of them?";
  EXPECT_EQ(json::parse(say(plan("gate", "open", "paid")).payload).at("text").as_string(), "paid");
}

TEST_F(Commands, ADesiredStateHasNoTime) {
  platform::pb::CommandRecord r;
  r.set_accepted_wall_ms(1'700'000'000'000);
  r.set_ttl_ms(2000);
  r.set_deadline_ms(5000);
  r.set_delivery(static_cast<std::uint32_t>(platform::Delivery::immediate));
  EXPECT_EQ(command_json(r).at("ttl_ms"), 2000);
  EXPECT_EQ(command_json(r).at("expires_at").as_string(), "2023-11-14T22:13:22.000Z");
  r.set_delivery(static_cast<std::uint32_t>(platform::Delivery::desired));
  EXPECT_FALSE(command_json(r).contains("ttl_ms"));
  EXPECT_FALSE(command_json(r).contains("expires_at"));
}

TEST_F(Commands, ATargetHasItsExecutorAndAChildItsParent) {
  const CommandPlan arm = plan("arm", "open");
  EXPECT_EQ(say(arm).topic, "$tenant/acme/v1/north/lid/sub/left/cmd/7f3a/req/open");
  EXPECT_EQ(arm.ttl_max_ms, 1500u) << "as the executor's product has it";
  EXPECT_EQ(say(plan("loop", "open")).topic,
            "$tenant/acme/v1/north/box/sub/loop/cmd/7f3a/req/open");
  EXPECT_EQ(say(plan("arm-2", "open")).topic, "$tenant/acme/v1/north/box/sub/r2/cmd/7f3a/req/open");
  EXPECT_EQ(refused(plan("arm-3", "open")), "422 executor_invalid") << "it is disabled";
  const auto part = [&](const std::string& device) {
    const platform::Part p = catalog_.part_of("acme", device);
    const CommandPlan open = plan(device.c_str(), "open");
    if (open.good()) {
      EXPECT_EQ(p.executor + "/" + p.child, open.executor + "/" + open.child);
    }
    return p.executor + "/" + p.child;
  };
  EXPECT_EQ(part("arm"), "lid/left");
  EXPECT_EQ(part("loop"), "box/loop");
  EXPECT_EQ(part("arm-2"), "box/r2") << "the executor's parent";
  EXPECT_EQ(part("gate"), "gate/");
  EXPECT_EQ(part("nobody"), "/");
  EXPECT_EQ(refused(plan("deep", "open")), "422 executor_invalid") << "two parents";
  const auto by = [&](const char* executor) {
    return refused(
        catalog_.plan({.tenant = "acme", .device = "arm", .type = "open", .executor = executor}));
  };
  EXPECT_EQ(by("lid"), "0 ");
  EXPECT_EQ(by("box"), "422 executor_invalid");
  Changes c;
  c.list.push_back({key_of(Kind::device, "acme", "lid"), std::nullopt});
  registry_.apply(c);
  EXPECT_EQ(refused(plan("arm", "open")), "422 executor_invalid") << "it is removed";
}

TEST_F(Commands, EachRefusalHasItsCode) {
  EXPECT_EQ(refused(plan("nobody", "open")), "404 device_not_found");
  EXPECT_EQ(refused(plan("off", "open")), "422 device_disabled");
  EXPECT_EQ(refused(plan("away", "open")), "422 device_disabled") << "its site is";
  EXPECT_EQ(refused(plan("gate", "flash")), "422 unknown_type") << "of another product";
  EXPECT_EQ(refused(plan("gate", "a/b")), "422 unknown_type");
  EXPECT_EQ(refused(plan("gate", "")), "422 unknown_type");
  EXPECT_EQ(refused(plan("lamp", "close")), "422 capability_missing");
  const auto ttl = [&](const char* device, const char* type, std::uint32_t ms) {
    const CommandPlan p =
        catalog_.plan({.tenant = "acme", .device = device, .type = type, .ttl_ms = ms});
    return p.good() ? std::to_string(p.ttl_ms) : refused(p);
  };
  EXPECT_EQ(ttl("gate", "open", 10'000), "10000");
  EXPECT_EQ(ttl("gate", "open", 10'001), "422 ttl_too_long");
  EXPECT_EQ(ttl("gate", "open", 0), "422 ttl_invalid");
  EXPECT_EQ(ttl("lid", "open", 1501), "422 ttl_too_long");
  EXPECT_EQ(ttl("lamp", "flash", 5000), "5000");
  EXPECT_EQ(plan("lamp", "flash").result_ms, 700u);
  EXPECT_EQ(plan("lid", "open").ttl_ms, 1500u) << "the default is within the maximum";
  EXPECT_EQ(plan("lid", "reboot").delivery, CommandClass::immediate) << "stricter";
  EXPECT_EQ(plan("lid", "open_lid").qos, 0);
  tenant_ = "nobody";
  EXPECT_EQ(refused(plan("gate", "open")), "404 device_not_found");
}

TEST_F(Commands, AProfileIsRefusedWithItsReason) {
  const auto why = [](const std::string& command, const std::string& product = "") {
    return why_yaml("tenants: [{name: acme, products: [{name: p, " + product + "commands: [" +
                    command + "]}]}]");
  };
  EXPECT_EQ(why("{name: open, topic: a, payload: '%i'}"), "");
  for (const auto& [command, wanted] : std::map<std::string, std::string>{
           {"{name: open, delivery: queued}", "'open' is delivered as immediate, never as queued"},
           {"{name: open_gate, delivery: must}", "never as must"},
           {"{name: SNAPSHOT, delivery: latest}", "never as latest"},
           {"{name: charge_stop, delivery: immediate}", "never as immediate"},
           {"{name: x, delivery: soon}", "none of immediate"},
           {"{name: open, ttl_max_ms: 10001}", "ttl_max_ms is at most 10000"},
           {"{name: open, ttl_ms: 3000, ttl_max_ms: 2000}", "ttl_ms is at most 2000"},
           {"{name: x, qos: 1}", "qos is 0 with immediate"},
           {"{name: x, delivery: queued, qos: 2}", "qos is 0 or 1"},
           {"{name: x, result_ms: 600001}", "result_ms"},
           {"{name: x}, {name: x, firmware: ['1']}", "'x' twice"},
           {"{name: 'a b'}", "is no name"},
           {"{name: x, payload: y}", "need a topic"},
           {"{name: x, topic: 'a/+'}", "is no topic"},
           {"{name: x, topic: a, charset: latin1}", "neither gbk nor gb18030"},
           {"{name: x, topic: a, payload: '%{/a'}", "'%{' without '}'"},
           {"{name: x, topic: a, payload: '%{a}'}", "no JSON pointer"},
           {"{name: x, firmware: ['']}", "1 to 64 bytes"},
           {"{name: x, topic: a, reply: {topic: b}}", "outcome"},
           {"{name: x, topic: a, reply: {topic: b, outcome: {value: GOOD}}}", "no outcome"},
           {"{name: x, topic: a, reply: {topic: b, outcome: {value: NOT_DELIVERED}}}",
            "no outcome"},
           {"{name: x, topic: a, reply: {topic: b, outcome: {from: /a}}}", "needs `values`"},
           {"{name: x, topic: a, reply: {topic: 'b#', outcome: {value: FAILED}}}", "topic filter"}})
    EXPECT_NE(why(command).find(wanted), std::string::npos) << command << ": " << why(command);
  EXPECT_NE(why("{name: x}", "capabilities: [fly], ").find("'fly'"), std::string::npos);
  EXPECT_NE(why("{name: x}", "command_form: xml, ").find("'xml'"), std::string::npos);
  const auto device = [](const std::string& fields) {
    return why_yaml("tenants: [{name: a, sites: [{name: s}], devices: [{name: d, site: s, " +
                    fields + "}]}]");
  };
  EXPECT_EQ(device("firmware: 5.1.7"), "");
  EXPECT_NE(device("executor: x").find("no executor 'x'"), std::string::npos)
      << device("executor: x");
  EXPECT_NE(device("parent: d").find("the device itself"), std::string::npos);
  EXPECT_NE(device("child: x").find("needs the parent"), std::string::npos);
}

TEST_F(Commands, ThreeVendorsCamerasByFirmware) {
  std::string yaml = text_of("docs/examples/vendor-commands.yaml");
  yaml.replace(yaml.find("name: example"), 13, "name: acme");
  load(yaml);
  const auto body = [&](const CommandPlan& p) {
    return json::parse(say(p).payload).at_pointer("/payload/body");
  };
  const CommandMessage direct = say(plan("barrier-1", "OPEN_GATE"));
  EXPECT_EQ(direct.topic, "$tenant/acme/device/cam-1/message/down/gate_direct_open");
  EXPECT_EQ(json::parse(direct.payload).at("id").as_string(), "7f3a");
  EXPECT_EQ(say(plan("cam-2", "open")).topic, "$tenant/acme/device/cam-2/message/down/gpio_out");
  EXPECT_EQ(body(plan("cam-2", "open")), json::parse(R"({"delay":500,"io":0,"value":2})"));
  EXPECT_EQ(body(plan("cam-2", "close")), json::parse(R"({"delay":500,"io":1,"value":2})"));
  const CommandPlan updated =
      catalog_.plan({.tenant = "acme", .device = "cam-2", .type = "open", .firmware = "5.2.0"});
  EXPECT_EQ(say(updated).topic, "$tenant/acme/device/cam-2/message/down/gate_direct_open")
      << "what the device reports counts more than what is registered";
  EXPECT_EQ(body(plan("barrier-1", "keep_open")), json::parse(R"({"io":0,"value":1})"));
  EXPECT_EQ(refused(plan("barrier-1", "keep_closed")), "422 payload_invalid") << "it can't do that";
  EXPECT_EQ(decode_base64(body(plan("cam-1", "voice", "一路顺风")).at("text").as_string()),
            *base::from_utf8(base::Charset::gbk, "一路顺风"));
  EXPECT_EQ(refused(plan("cam-1", "voice", "\xf0\x9f\x9a\x97")), "422 payload_invalid")
      << "not in GBK";
  EXPECT_EQ(refused(plan("cam-1", "display", "x")), "422 capability_missing");

  const CommandMessage down = say(plan("barrier-3", "open"));
  EXPECT_EQ(down.topic + down.payload, R"($tenant/acme/download/cam-3{"cmd":"Open","sn":"cam-3"})");
  const CommandMessage shown = say(plan("cam-3", "display", R"({"line":1,"text":"余位\"12\""})"));
  EXPECT_EQ(base::to_utf8(base::Charset::gbk, shown.payload),
            R"({"cmd":"Show","line":1,"text":"余位\"12\""})");
  EXPECT_EQ(refused(plan("cam-3", "display", R"({"line":"1,\"x\":2","text":"a"})")),
            "422 payload_invalid")
      << "text where a number belongs would write the device's JSON";
}

TEST_F(Commands, AnswersOfVendors) {
  std::string yaml = text_of("docs/examples/vendor-commands.yaml");
  yaml.replace(yaml.find("name: example"), 13, "name: acme");
  load(yaml);
  const auto answer = [&](const char* device, const char* topic,
                          const char* payload) -> std::string {
    const auto a = catalog_.result_of(scope(device), topic, payload);
    if (!a) return "none";
    return a->command_id + "|" + a->type + "|" + a->outcome + "|" + a->code + "|" + a->text;
  };
  EXPECT_EQ(answer("cam-1", "device/cam-1/message/down/gate_direct_open/reply",
                   R"({"id":"7f3a","code":200})"),
            "7f3a|open|EXECUTED|200|");
  EXPECT_EQ(answer("cam-1", "device/cam-1/message/down/gate_direct_open/reply",
                   R"({"id":"7f3a","code":404})"),
            "7f3a|open|FAILED|404|");
  EXPECT_EQ(answer("cam-1", "device/cam-1/message/down/gate_direct_open/reply", R"({"code":200})"),
            "none")
      << "to whom would it belong?";
  EXPECT_EQ(answer("cam-1", "device/cam-1/message/down/gate_direct_open/reply", "no JSON"), "none");
  EXPECT_EQ(answer("cam-1", "device/cam-2/message/down/gate_direct_open/reply",
                   R"({"id":"7f3a","code":200})"),
            "none")
      << "of another device";
  EXPECT_EQ(answer("cam-3", "upload/cam-3", R"({"cmd":"OpenAck","result":"ok"})"),
            "|open|EXECUTED||");
  EXPECT_EQ(
      answer("cam-3", "upload/cam-3", R"({"cmd":"CloseAck","result":"busy","message":"车下有人"})"),
      "|close|REJECTED||车下有人");
  EXPECT_EQ(answer("cam-3", "upload/cam-3", R"({"cmd":"Plate","result":"ok"})"), "none");
  const std::string deep = std::string(1000, '[');
  EXPECT_EQ(answer("cam-3", "upload/cam-3", deep.c_str()), "none");
}

TEST_F(Commands, ResultsOfNativeDevices) {
  const auto result = [&](const char* topic, const std::string& payload) -> std::string {
    const auto a = catalog_.result_of(scope("gate"), topic, payload);
    return a ? a->child + "|" + a->command_id + "|" + a->outcome + "|" + a->code : "none";
  };
  EXPECT_EQ(result("v1/cmd/7f/res",
                   R"({"eventId":"1","result":{"commandId":"7f","outcome":"EXECUTED"}})"),
            "|7f|EXECUTED|");
  EXPECT_EQ(result("v1/sub/r2/cmd/7f/res", R"({"outcome":"FAILED","code":"jam"})"),
            "r2|7f|FAILED|jam");
  v1::Envelope e;
  e.mutable_result()->set_outcome(v1::DUPLICATE);
  EXPECT_EQ(result("v1/cmd/7f/res", e.SerializeAsString()), "|7f|DUPLICATE|");
  EXPECT_EQ(result("v1/cmd/7f/res", "done"), "|7f|OUTCOME_UNKNOWN|");
  EXPECT_EQ(result("v1/cmd/7f/res", ""), "|7f|OUTCOME_UNKNOWN|");
  EXPECT_EQ(result("v1/event/plate", "{}"), "none");
  EXPECT_EQ(result("v1/cmd/7f/req/open", "{}"), "none");
  const auto outcome = [](const char* name) { return result_of(CommandAnswer{.outcome = name}); };
  EXPECT_EQ(outcome("EXECUTED").outcome, Outcome::succeeded);
  EXPECT_EQ(outcome("REJECTED").outcome, Outcome::rejected);
  EXPECT_EQ(outcome("OUTCOME_UNKNOWN").outcome, Outcome::uncertain);
  EXPECT_TRUE(outcome("DUPLICATE").repeated);
}

TEST_F(Commands, ATypeHasAClassOrNone) {
  EXPECT_TRUE(catalog_.has_class("acme", "gate", "Open_Gate"));
  EXPECT_FALSE(catalog_.has_class("acme", "gate", "flash"));
  EXPECT_TRUE(catalog_.has_class("acme", "lamp", "flash"));
  EXPECT_TRUE(catalog_.has_class("acme", "arm", "open_lid")) << "its executor's product has it";
  EXPECT_TRUE(catalog_.has_class("acme", "nobody", "flash"));
}

TEST_F(Commands, HowLongAPublishedOneLasts) {
  const auto ttl = [this](const char* device, const char* type) -> std::string {
    const auto b = catalog_.bounds_of("acme", device, type);
    return b ? std::to_string(b->ttl_ms) + "/" + std::to_string(b->ttl_max_ms) : "none";
  };
  EXPECT_EQ(ttl("gate", "Open_Gate"), "2000/10000");
  EXPECT_EQ(ttl("nobody", "open"), "2000/10000") << "not registered";
  EXPECT_EQ(ttl("gate", "hold"), "604800000/604800000") << "a state is kept";
  EXPECT_EQ(ttl("gate", "flash"), "none") << "it has no class";
  EXPECT_NE(ttl("lamp", "flash"), "none") << "its product's";
}

TEST(CommandTypes, APatternOfFirmware) {
  EXPECT_TRUE(matches_pattern("5.1.*", "5.1."));
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("a*b*c", "aXXbYbZc"));
  EXPECT_FALSE(matches_pattern("5.1.*", "5.10.1"));
  EXPECT_FALSE(matches_pattern("5.1", "5.1.2"));
  EXPECT_FALSE(matches_pattern("", "5"));
  EXPECT_FALSE(matches_pattern("*a*a*a*a*a*a*a*a*b", std::string(10000, 'a'))) << "in linear steps";
}

// A command is at most 1 MiB in its vendor's words, however often they repeat the payload.
TEST(CommandTypes, AVendorsWordsHaveABound) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "%p";
  const CommandText often(text, CommandText::Marks::all);
  const std::string payload(60'000, '"');
  std::string out;
  std::string why;
  EXPECT_FALSE(often.fill({.payload = payload}, {}, out, why));
  EXPECT_LT(out.size(), 2 * CommandText::kFilledMax);
  EXPECT_NE(why.find("1 MiB"), std::string::npos);
}

// The tables of docs/messages.md are those of the code.
TEST(CommandTypes, TheDocsHaveTheSameTable) {
  const std::string page = text_of("docs/messages.md");
  const auto words = [](std::uint32_t ms) {
    const std::uint32_t s = ms / 1000;
    if (s % 86400 == 0) return std::to_string(s / 86400) + " d";
    if (s % 3600 == 0) return std::to_string(s / 3600) + " h";
    return s % 60 == 0 ? std::to_string(s / 60) + " min" : std::to_string(s) + " s";
  };
  const auto cells = [&words](CommandClass c, const CommandBounds& b) -> std::string {
    if (c == CommandClass::desired) return "– | – | – |";  // it has no deadline
    return words(b.ttl_ms) + " | " + words(b.ttl_max_ms) + " | " + words(b.result_ms) + " |";
  };
  std::size_t rows = 0;
  for (const CommandType& t : command_types()) {
    std::string row = "| `" + std::string(t.name) + "` | " + name_of(t.delivery) + " | " +
                      cells(t.delivery, t.bounds);
    for (const CommandAlias& a : command_aliases()) {
      if (a.name == t.name) row += " `" + std::string(a.alias) + "`";
    }
    EXPECT_NE(page.find(row + " |\n"), std::string::npos) << row << " |";
    ++rows;
  }
  EXPECT_GT(rows, 10u);
  for (const CommandClass c : {CommandClass::immediate, CommandClass::latest, CommandClass::queued,
                               CommandClass::must, CommandClass::desired}) {
    const std::string row = std::string("| ") + name_of(c) + " | " + cells(c, bounds_of(c));
    EXPECT_NE(page.find(row), std::string::npos) << row;
  }
}

}  // namespace
}  // namespace berth::gateway::registry
