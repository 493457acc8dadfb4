// What devices publish becomes Envelopes: by a product's profile, or as native devices say it.
#include <gtest/gtest.h>

#include <algorithm>

#include "gateway/engine/device_messages.h"
#include "gateway/registry/import.h"
#include "tests/support/envelopes.h"
#include "tests/support/log_lines.h"
#include "tests/support/plate_camera.h"

namespace berth::gateway::engine {
namespace {

using registry::BadRecord;
using session::Format;
using session::Role;
using test::envelope_of;
using What = session::DeviceMessages::What;

class Messages : public ::testing::Test {
 protected:
  void load(const std::string& yaml) {
    registry::Changes c{.whole = true, .list = {}};
    const auto nothing = [](std::string_view) -> const std::string* { return nullptr; };
    for (const auto& w : registry::to_writes(registry::parse_yaml(yaml), nothing, 1))
      c.list.push_back({w.key, w.value});
    registry_.apply(c);
  }
  // Of a camera if `product` is set.
  What say(const std::string& topic, const std::string& payload, Format format = Format::protobuf,
           const std::string& product = {}) {
    const session::Scope who({"acme", Role::device, "cam"}, "north", {"device/cam/#"},
                             {format, product});
    out_ = {};
    const What what = messages_.translate(who, 7, {now_ms_}, "7-42", topic, payload, out_);
    if (format != Format::json) e_ = envelope_of(out_.payload);
    return what;
  }
  std::int64_t now_ms_ = 1'795'000'001'000;
  registry::Registry registry_{"acme"};
  DeviceMessages messages_{registry_};
  session::DeviceMessages::Out out_;
  v1::Envelope e_;
};

TEST_F(Messages, AVendorsPlateBecomesAnEnvelope) {
  load(test::camera_profile("acme"));
  EXPECT_EQ(
      say("device/cam/message/up/ivs_result", test::camera_result(), Format::as_is, "plate-camera"),
      What::replaced);
  EXPECT_EQ(out_.topic, "v1/event/plate");
  EXPECT_EQ(e_.event_id(), "4711");
  EXPECT_EQ(e_.plate().plate().number(), "粤B12345");
  EXPECT_EQ(e_.plate().plate().color(), v1::BLUE);
  EXPECT_EQ(e_.plate().confidence(), 98u);
  EXPECT_EQ(e_.plate().direction(), v1::IN);
  EXPECT_EQ(e_.plate().trigger(), "video");
  EXPECT_EQ(e_.plate().lane(), "0");
  EXPECT_EQ(e_.plate().images(0).url(), "oss://lot/1.jpg");
  EXPECT_EQ(e_.event_time().seconds(), 1'795'000'000);
  EXPECT_FALSE(e_.replay());
  EXPECT_EQ(e_.clock(), v1::CLOCK_GOOD);
  EXPECT_EQ(e_.tenant() + e_.site() + e_.device(), "acmenorthcam");
  EXPECT_EQ(e_.session_epoch(), 7u);
}

TEST_F(Messages, ItsOtherTopics) {
  load(test::camera_profile("acme"));
  const auto of = [&](const std::string& name, const std::string& payload) {
    return say("device/cam/message/up/" + name, payload, Format::as_is, "plate-camera");
  };
  EXPECT_EQ(of("keep_alive", "{}"), What::swallowed);
  EXPECT_EQ(of("version", "{}"), What::as_is) << "nobody has said what it means";
  EXPECT_EQ(of("barr_gate_status", R"({"payload":{"gate_status":3,"connect_status":1}})"),
            What::replaced);
  EXPECT_EQ(out_.topic, "v1/state");
  EXPECT_EQ(e_.barrier().position(), v1::OPENING);
  EXPECT_EQ(of("gpio_in", R"({"payload":{"source":1,"value":1}})"), What::replaced);
  EXPECT_EQ(out_.topic, "v1/sub/loop-1/event/alarm");
}

TEST_F(Messages, WhatCanNotBeReadIsPassedOnAsItCame) {
  load(test::camera_profile("acme"));
  for (const std::string payload :
       {"not json", "{}", R"({"payload":{"AlarmInfoPlate":{"result":{"PlateResult":[]}}}})",
        "\xff\xfe", ""}) {
    EXPECT_EQ(say("device/cam/message/up/ivs_result", payload, Format::as_is, "plate-camera"),
              What::raw);
    EXPECT_EQ(out_.topic, "v1/event/raw");
    EXPECT_EQ(e_.raw().payload(), payload);
    EXPECT_EQ(e_.raw().topic(), "device/cam/message/up/ivs_result");
    EXPECT_EQ(e_.device(), "cam");
  }
}

TEST_F(Messages, NativeDevicesSayItInJsonOrProtobufOrAsTheyLike) {
  const std::string json =
      R"({"eventId":"e1","tenant":"forged","plate":{"plate":{"number":"A1","color":"BLUE"}}})";
  EXPECT_EQ(say("v1/event/plate", json), What::replaced);
  EXPECT_EQ(out_.topic, "v1/event/plate");
  EXPECT_EQ(e_.plate().plate().color(), v1::BLUE);
  EXPECT_EQ(e_.tenant(), "acme");
  EXPECT_EQ(say("v1/event/plate", test::plate_event("e2").SerializeAsString()), What::replaced);
  EXPECT_EQ(e_.event_id(), "e2");
  EXPECT_EQ(say("v1/sub/loop-1/telemetry/x", R"({"anything":[1,{"b":null}]})"), What::json);
  EXPECT_EQ(e_.child(), "loop-1");
  EXPECT_EQ(e_.json().fields().at("anything").list_value().values_size(), 2);
  EXPECT_EQ(say("v1/event/x", "{\"a\":\"" + std::string(70'000, 'x') + "\"}"), What::raw);
  EXPECT_EQ(say("v1/event/x", "plain text"), What::raw);
  EXPECT_EQ(e_.raw().payload(), "plain text");
  EXPECT_EQ(e_.event_id(), "7-42");  // the device gave none
  for (const char* topic : {"v1/ping", "v1/event", "v1/event/a/b", "v1/cmd/1/req/x", "other/x"})
    EXPECT_EQ(say(topic, json), What::as_is) << topic;
  EXPECT_EQ(say("v1/cmd/1/res", R"({"result":{"commandId":"1","outcome":"EXECUTED"}})"),
            What::replaced);
  EXPECT_EQ(say("v1/event/plate", json, Format::as_is), What::as_is);
}

// Nobody else tells the engineer of a device.
TEST_F(Messages, WhatIsNoEnvelopeIsLoggedWithItsReasonAndWithoutItsValues) {
  load(test::camera_profile("acme"));
  const test::LogLines log;
  const std::string head =
      "message not understood cause=json tenant=acme site=north device=cam topic=v1/event/plate "
      "reason=";
  const std::string time = "a time such as 2026-11-29T01:00:00Z is needed";
  const std::pair<const char*, std::string> faults[] = {
      {R"({"plate":{"plate":{"number":"B12345","color":"B12345"}}})",
       "plate.plate.color: the value is no PlateColor"},
      {R"({"plate":{"lane":12345}})", "plate.lane: the value is no STRING"},
      {R"({"plate":{"plates":1}})", "plate: unknown name 'plates'"},
      {R"({"plaet":{"plate":{"number":"B12345"}}})", "unknown name 'plaet'"},
      {R"({"B12345":1})", "unknown name a name"},
      {R"({"eventTime":"B12345","plate":{}})", "event_time: " + time},
      {R"({"plate":{"plate":"B12345 for type x"}})", "plate.plate: the value is no Plate"},
      {R"({"plate":["B12345"]})", "'plate' is no list"},
      {R"({"plate":{"plate":{"number":{"a":"B12345"}}}})", "plate.plate: 'number' is no object"},
      {R"({"plate":{},"alarm":{}})", "it has two bodies"},
      {R"({"eventId":"B12345"})", "it has no body"}};
  for (const auto& [payload, why] : faults) {
    EXPECT_EQ(say("v1/event/plate", payload), What::json);
    EXPECT_TRUE(e_.has_json());
    EXPECT_EQ(log.all().substr(log.all().rfind("message")), head + '"' + why + "\"\n");
  }
  EXPECT_EQ(log.all().find("B12345"), std::string::npos) << log.all();
  say("v1/event/plate", "{\"plate\":\"B12345");
  EXPECT_NE(log.all().find("cause=raw"), std::string::npos);
  say("device/cam/message/up/ivs_result", "{}", Format::as_is, "plate-camera");
  EXPECT_NE(log.all().find("is required: its value is absent"), std::string::npos) << log.all();
  EXPECT_EQ(log.all().find("B12345"), std::string::npos) << log.all();
}

TEST_F(Messages, TheSameFaultIsLoggedOnceAMinute) {
  test::LogLines log;
  const auto lines = [&] {
    const std::string all = log.take();
    return std::count(all.begin(), all.end(), '\n');
  };
  for (int i = 0; i < 5; ++i) say("v1/event/plate", R"({"plate":{"lane":1}})");
  EXPECT_EQ(lines(), 1);
  say("v1/event/plate", R"({"plate":{"lanes":""}})");
  EXPECT_EQ(lines(), 1) << "another fault";
  now_ms_ += UnreadMessages::kAgain_ms;
  say("v1/event/plate", R"({"plate":{"lanes":""}})");
  EXPECT_EQ(lines(), 1);
  say("v1/event/plate", R"({"plate":{"lane":"1"}})");
  EXPECT_EQ(lines(), 0);
}

TEST_F(Messages, APlatformMayHaveJson) {
  EXPECT_EQ(say("v1/event/plate", test::plate_event("e", "粤B1").SerializeAsString(), Format::json),
            What::replaced);
  EXPECT_EQ(out_.payload, R"({"eventId":"e","tenant":"acme","site":"north","device":"cam",)"
                          R"("receivedTime":"2026-11-18T11:06:41Z","sessionEpoch":"7",)"
                          R"("plate":{"lane":"1","plate":{"number":"粤B1"}}})");
}

// Traces what says that it is sampled, and all of event e2.
struct FakeTraces final : platform::Traces {
  static constexpr const char* kMade = "00-00000000000000000000000000000001-0000000000000002-01";
  bool wants(const platform::Entry&) const override { return false; }
  void ended(const platform::Entry&) override {}
  std::string report_trace(const platform::TracedReport& r) const override {
    if (r.event_id == "e2") return kMade;
    return r.traceparent.ends_with("-01") ? r.traceparent : std::string();
  }
  void reported(const platform::TracedReport&, std::int64_t) override {}
};

TEST_F(Messages, ATracedReportIsToldWhenItIsTaken) {
  FakeTraces traces;
  std::vector<platform::TracedReport> taken;
  messages_.trace(traces, [&](platform::TracedReport r) { taken.push_back(std::move(r)); });
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0";
  const auto with = [&](const std::string& id, const std::string& flag) {
    return R"({"eventId":")" + id + R"(","traceparent":")" + trace + flag + R"(","barrier":{}})";
  };
  say("v1/sub/arm/state", with("e1", "1"));
  EXPECT_EQ(e_.traceparent(), trace + "1") << "the device's stays";
  EXPECT_TRUE(taken.empty()) << "it may be refused, or be said again";
  messages_.taken();
  messages_.taken();
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].tenant + taken[0].site + taken[0].device + taken[0].child, "acmenorthcamarm");
  EXPECT_EQ(taken[0].type + taken[0].event_id + taken[0].traceparent, "barriere1" + trace + "1");
  EXPECT_EQ(taken[0].epoch, 7u);
  EXPECT_EQ(taken[0].read_wall_ms, now_ms_);
  say("v1/state", with("e0", "0"));
  messages_.taken();
  say("v1/state", with("e1", "1"));
  say("other", "is no report");
  messages_.taken();
  EXPECT_EQ(taken.size(), 1u) << "not sampled, and not the last";
  say("v1/state", R"({"eventId":"e2","barrier":{}})");
  EXPECT_EQ(e_.traceparent(), FakeTraces::kMade);
  messages_.taken();
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[1].traceparent, FakeTraces::kMade);
}

// Park devices say Envelopes themselves.
TEST_F(Messages, AnEnvelopeOfAParkDeviceIsTracedToo) {
  FakeTraces traces;
  std::vector<platform::TracedReport> taken;
  messages_.trace(traces, [&](platform::TracedReport r) { taken.push_back(std::move(r)); });
  const session::Scope who({"acme", Role::device, "cam"}, "north", {}, {});
  std::string envelope = test::plate_event("").SerializeAsString();
  protocol::messages::EnvelopeView view;
  const std::string read = envelope;
  ASSERT_TRUE(protocol::messages::read_envelope(read, view));
  messages_.reported(who, 7, {now_ms_}, view, "e2", envelope);
  messages_.taken();
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].event_id + taken[0].type, "e2plate");
  EXPECT_EQ(envelope_of(envelope).traceparent(), FakeTraces::kMade);
  messages_.reported(who, 7, {now_ms_}, view, "e3", envelope);
  messages_.taken();
  EXPECT_EQ(taken.size(), 1u);
}

TEST_F(Messages, WhatHasNoJsonIsPassedOnInProtobufAndSaysSo) {
  v1::Envelope e = test::plate_event("e");
  EXPECT_EQ(say("v1/event/plate", e.SerializeAsString(), Format::json), What::replaced);
  EXPECT_TRUE(out_.json);
  e.mutable_event_time()->set_seconds(INT64_MAX);
  EXPECT_EQ(say("v1/event/plate", e.SerializeAsString(), Format::json), What::replaced);
  EXPECT_FALSE(out_.json);
  EXPECT_EQ(envelope_of(out_.payload).event_id(), "e");
}

// Of a newer release, whose rules this one does not know.
TEST_F(Messages, AProductThatIsNotUnderstoodChangesNothing) {
  registry::pb::Product p;
  p.set_name("newer");
  p.add_messages()->set_report("dream");
  registry_.apply({.whole = true, .list = {{"p/acme/newer", p.SerializeAsString()}}});
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(say("device/cam/up", "{}", Format::as_is, "newer"), What::as_is);
}

TEST_F(Messages, ACommandInTheVendorsWords) {
  load(test::camera_profile("acme") +
       "    sites: [{name: north}]\n    devices: [{name: cam, site: north, product: plate-camera},"
       " {name: gate, site: north}, {name: off, site: north, enabled: false},"
       " {name: arm, site: north, executor: cam}, {name: loop, site: north, parent: gate}]\n");
  const session::Scope service({"acme", Role::service, "p"}, "", {});
  const auto command = [&](const std::string& topic, const std::string& payload) {
    return messages_.command(service, {1'795'000'001'000}, topic, payload, out_);
  };
  using Told = session::DeviceMessages::Told;
  ASSERT_EQ(command("v1/north/cam/cmd/c\"1/req/open_barrier", "for \"A1\""),
            Told::in_vendors_words);
  EXPECT_EQ(out_.topic, "$tenant/acme/device/cam/message/down/gate_direct_open");
  EXPECT_EQ(out_.payload, R"({"id":"c\"1","sn":"cam","name":"gate_direct_open","version":"1.0",)"
                          R"("timestamp":1795000001,"payload":{"type":"gate_direct_open",)"
                          R"("body":{"reason":"for \"A1\""}}})");
  for (const char* topic :
       {"v1/north/gate/cmd/1/req/open_barrier", "v1/north/cam/cmd/1/req/reboot",
        "v1/south/cam/cmd/1/req/open_barrier", "v1/north/nobody/cmd/1/req/other",
        "v1/north/cam/cmd/1/req/open_barrier/x", "v1/north/cam/cmd/1/res", "v1/north/cam/cmd"})
    EXPECT_EQ(command(topic, "x"), Told::as_is) << topic;
  EXPECT_EQ(command("v1/north/cam/cmd/1/req/other", "x"), Told::refused) << "it has no class";
  EXPECT_NE(out_.why, nullptr);
  EXPECT_EQ(command("v1/north/gate/sub/a/cmd/1/req/other", "x"), Told::refused);
  EXPECT_EQ(command("v1/north/off/cmd/1/req/open", "x"), Told::as_is) << "it waits";
  EXPECT_EQ(command("v1/north/arm/cmd/1/req/open", "x"), Told::in_vendors_words);
  EXPECT_EQ(out_.topic, "$tenant/acme/device/cam/message/down/gate_direct_open");
  EXPECT_EQ(command("v1/north/loop/cmd/1/req/reboot", "x"), Told::elsewhere);
  EXPECT_EQ(out_.topic, "$tenant/acme/v1/north/gate/sub/loop/cmd/1/req/reboot");
  EXPECT_EQ(say("device/cam/message/down/gate_direct_open/reply", R"({"id":"c1","code":200})",
                Format::as_is, "plate-camera"),
            What::replaced);
  EXPECT_EQ(out_.topic, "v1/cmd/c1/res");
  EXPECT_EQ(e_.result().outcome(), v1::EXECUTED);
}

// The platform side finds the one command of this type (platform/ledger.h).
TEST_F(Messages, AnAnswerWithoutAnIdHasItsTypeThere) {
  load(
      "tenants: [{name: acme, products: [{name: vendor, topics: ['up/%d'], commands: [{name: open,"
      " topic: 'down/%d', reply: {topic: 'up/%d', outcome: {from: /r, values: {ok: "
      "EXECUTED}}}}]}]}]");
  EXPECT_EQ(say("up/cam", R"({"r":"ok"})", Format::as_is, "vendor"), What::replaced);
  EXPECT_EQ(out_.topic, "v1/cmd/~open/res");
  EXPECT_EQ(e_.result().outcome(), v1::EXECUTED);
  EXPECT_EQ(e_.result().command_id(), "");
  EXPECT_EQ(e_.labels().at("command_type"), "open");
}

TEST_F(Messages, AChangedProfileCounts) {
  const std::string text = test::camera_profile("acme");
  load(text);
  const std::string topic = "device/cam/message/up/keep_alive";
  EXPECT_EQ(say(topic, "{}", Format::as_is, "plate-camera"), What::swallowed);
  load("tenants: [{name: acme, products: [{name: plate-camera}]}]");
  EXPECT_EQ(say(topic, "{}", Format::as_is, "plate-camera"), What::as_is);
  EXPECT_EQ(say(topic, "{}", Format::as_is, "not read yet"), What::wait);
}

TEST_F(Messages, ABadProfileIsRefusedWithItsReason) {
  const auto why = [&](const std::string& message) -> std::string {
    try {
      load("tenants: [{name: acme, products: [{name: p, messages: [" + message + "]}]}]");
      return "";
    } catch (const BadRecord& e) {
      return e.what();
    }
  };
  EXPECT_EQ(why("{topic: a, report: event, fields: {plate.lane: {value: x}}}"), "");
  for (const auto& [message, wanted] : std::map<std::string, std::string>{
           {"{topic: a, report: sometimes}", "none of event"},
           {"{topic: a, report: event}", "no field of a body"},
           {"{topic: 'a/#/b', report: none}", "no topic filter"},
           {"{topic: a, report: event, fields: {plate.nothing: {value: x}}}", "no field"},
           {"{topic: a, report: event, fields: {plate: {value: x}}}", "not a value"},
           {"{topic: a, report: event, fields: {labels.x: {value: x}}}", "no field"},
           {"{topic: a, report: event, fields: {tenant: {value: x}}}", "gateway's to say"},
           {"{topic: a, report: event, fields: {plate.lane: {}}}", "either"},
           {"{topic: a, report: event, fields: {plate.lane: {from: x}}}", "JSON pointer"},
           {"{topic: a, report: event, fields: {plate.confidence: {value: x}}}", "no value"},
           {"{topic: a, report: event, fields: {plate.direction: {from: /x, values: {a: UP}}}}",
            "no value"},
           {"{topic: a, report: event, fields: {plate.lane: {from: /x, encoding: rot13}}}",
            "base64"}}) {
    EXPECT_NE(why(message).find(wanted), std::string::npos) << message << ": " << why(message);
  }
}

}  // namespace
}  // namespace berth::gateway::engine
