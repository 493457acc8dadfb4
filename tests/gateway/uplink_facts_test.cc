// What a message says of itself beside its payload, its format, and a webhook's body and signature.
#include "gateway/uplink/facts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <stdexcept>

#include "gateway/uplink/reformat.h"
#include "gateway/uplink/sink_spans.h"
#include "gateway/uplink/uplink_topics.h"
#include "gateway/uplink/webhook_attempt.h"
#include "protocol/messages/envelope.pb.h"
#include "protocol/mqtt/properties.h"

namespace berth::gateway::uplink {
namespace {

namespace json = boost::json;

std::string content_type(std::string_view type) {
  std::string out;
  protocol::mqtt::put_property_string(out, protocol::mqtt::Property::content_type, type);
  return out;
}

Upward envelope() {
  v1::Envelope e;
  e.set_event_id("e-1");
  e.set_tenant("acme");
  e.mutable_event_time()->set_seconds(1'700'000'000);
  e.mutable_received_time()->set_seconds(1'700'000'001);
  e.mutable_received_time()->set_nanos(500'000'000);
  e.set_traceparent("00-aa-bb-01");
  e.mutable_plate()->mutable_plate()->set_number("粤B12345");
  Upward m;
  m.inside = "$tenant/acme/v1/north/cam-1/event/plate";
  m.topic = "up/plate";
  m.payload = e.SerializeAsString();
  m.properties = content_type("application/x-protobuf;msg=berth.v1.Envelope");
  m.id = "0-3-17";
  return m;
}

TEST(UplinkFacts, AreReadFromTopicAndEnvelopeInEitherFormat) {
  Upward m = envelope();
  for (const Format format : {Format::tenant, Format::json, Format::protobuf}) {
    reformat(format, m);
    const Facts f = facts_of(m);
    EXPECT_EQ(f.tenant, "acme");
    EXPECT_EQ(f.site, "north");
    EXPECT_EQ(f.device, "cam-1");
    EXPECT_EQ(f.what, "event");
    EXPECT_EQ(f.type, "plate");
    EXPECT_EQ(f.event_id, "e-1");
    EXPECT_EQ(f.traceparent, "00-aa-bb-01");
    EXPECT_EQ(f.event_time_ms, 1'700'000'000'000);
    EXPECT_EQ(f.received_time_ms, 1'700'000'001'500);
    EXPECT_EQ(f.body, format == Format::json ? Body::json : Body::protobuf);
  }
}

TEST(UplinkFacts, OfWhatIsNoEnvelope) {
  Upward m;
  m.inside = "$tenant/acme/v1/north/gate/sub/loop/cmd/7/res";
  m.payload = "\xff";
  m.properties = content_type("application/x-protobuf;msg=berth.v1.Envelope");
  const Facts f = facts_of(m);
  EXPECT_EQ(f.what, "result");
  EXPECT_EQ(f.child, "loop");
  EXPECT_EQ(f.type, "result");
  EXPECT_EQ(f.body, Body::other) << "whatever its type says";
  EXPECT_EQ(f.event_id, "");
  m.inside = "lot/7";
  EXPECT_EQ(facts_of(m).tenant, "");
  EXPECT_EQ(facts_of(m).what, "other");
  const std::string before = m.payload;
  reformat(Format::json, m);
  EXPECT_EQ(m.payload, before);
}

TEST(UplinkFacts, HeadersHaveWhatIsKnown) {
  Upward m = envelope();
  m.replay = true;
  std::string all;
  for (const auto& [name, value] : headers_of(facts_of(m), m))
    all += std::string(name) + "=" + value + " ";
  EXPECT_EQ(
      all,
      "berth-id=0-3-17 tenant=acme site=north device=cam-1 what=event type=plate event_id=e-1 "
      "event_time=1700000000000 received_time=1700000001500 replay=true "
      "content-type=application/x-protobuf;msg=berth.v1.Envelope traceparent=00-aa-bb-01 ");
}

TEST(UplinkWebhook, AMessageIsJsonWithItsPayload) {
  Upward m = envelope();
  reformat(Format::json, m);
  json::object o = json::parse(webhook_message(m)).as_object();
  EXPECT_EQ(o["id"], "0-3-17");
  EXPECT_EQ(o["topic"], "up/plate");
  EXPECT_EQ(o["event_id"], "e-1");
  EXPECT_EQ(o["received_time_ms"], 1'700'000'001'500);
  EXPECT_EQ(o["payload"].as_object()["plate"].as_object()["plate"].as_object()["number"],
            "粤B12345");
  EXPECT_FALSE(o.contains("replay"));
  m.properties.clear();
  for (const char* text : {"", "open", "{\"a\":", "\xff\xfe", "{\"a\":\"\xff\"}"}) {
    m.payload = text;
    o = json::parse(webhook_message(m)).as_object();
    EXPECT_TRUE(o.contains("payload_base64")) << text;
    EXPECT_FALSE(o.contains("payload")) << text;
  }
  m.payload = "open";
  EXPECT_EQ(json::parse(webhook_message(m)).as_object()["payload_base64"], "b3Blbg==");
  m.payload = R"( {"a": [1, 2]} )";
  EXPECT_TRUE(json::parse(webhook_message(m)).as_object()["payload"].is_object());
}

TEST(UplinkWebhook, TheSignatureIsOverTimeAndBody) {
  // echo -n '1700000000.{}' | openssl dgst -sha256 -hmac secret
  EXPECT_EQ(webhook_signature("secret\n", 1'700'000'000, "{}"),
            "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163");
  const std::string two = webhook_signature("secret\r\n\nnext\n", 1'700'000'000, "{}");
  EXPECT_EQ(std::count(two.begin(), two.end(), ','), 2) << two;
  EXPECT_THROW(webhook_signature("\n", 0, ""), std::runtime_error);
}

TEST(UplinkTopics, AreFilledForEachKind) {
  UplinkConfig c;
  const std::string_view plate = "$tenant/acme/v1/north/cam-1/event/plate";
  for (const auto& [kind, wanted] : std::initializer_list<std::pair<Kind, const char*>>{
           {Kind::mqtt, "berth/v1/acme/north/cam-1/event/plate"},
           {Kind::webhook, "berth/v1/acme/north/cam-1/event/plate"},
           {Kind::kafka, "berth.event"},
           {Kind::rabbitmq, "event.plate.acme.north.cam-1"}}) {
    c.kind = kind;
    c.topic = default_topic(kind);
    c.plain_topic = default_plain_topic(kind);
    EXPECT_EQ(upstream_topic(c, plate), wanted);
    EXPECT_NE(upstream_topic(c, "lot/7"), "");
  }
  EXPECT_EQ(upstream_topic(c, "$tenant/acme/v1/north/cam-1/presence"),
            "presence.presence.acme.north.cam-1");
  for (const char* forged : {"plate.other.north.cam-2", "plate/other/north/cam-2"})
    EXPECT_EQ(upstream_topic(c, "$tenant/acme/v1/north/cam-1/event/" + std::string(forged)),
              "event.plate_other_north_cam-2.acme.north.cam-1")
        << "a type is one word";
  EXPECT_EQ(upstream_topic(c, "lot/7"), "other.lot.7");
  EXPECT_EQ(upstream_topic(c, "lot/" + std::string(300, 'x')), "") << "too long for a routing key";
  c.kind = Kind::kafka;
  c.topic = "berth.{rest}";
  EXPECT_EQ(upstream_topic(c, plate), "berth.event.plate");
  EXPECT_EQ(upstream_topic(c, "$tenant/acme/v1/north/cam-1/event/车"), "") << "no topic of Kafka";
}

const std::string kTraceId = "0af7651916cd43dd8448eb211c80319c";

Upward traced(std::uint64_t seq, const char* flags = "01") {
  Upward m = envelope();
  v1::Envelope e;
  e.ParseFromString(m.payload);
  e.set_traceparent("00-" + kTraceId + "-b7ad6b7169203331-" + flags);
  m.payload = e.SerializeAsString();
  m.seq = seq;
  m.id = "0-3-" + std::to_string(seq);
  return m;
}

constexpr SinkSpans::Clock::time_point kNow{std::chrono::hours(1)};

SinkSpans spans(const std::vector<std::string>& devices = {}) {
  return SinkSpans("city", "kafka", tracing::Sampler(0, devices));
}

TEST(SinkSpans, AreFromTheSinksTakingToThePlatformsWord) {
  SinkSpans all = spans();
  for (const Format format : {Format::protobuf, Format::json}) {
    Upward m = traced(7);
    reformat(format, m);
    all.took(m, 1'700'000'002'000'000'000);
    const auto s = all.ended(0, 7, 1'700'000'002'030'000'000, kNow, "");
    ASSERT_TRUE(s);
    EXPECT_EQ(s->name, "uplink city");
    EXPECT_EQ(s->trace_id, kTraceId);
    EXPECT_EQ(s->parent_id, "b7ad6b7169203331");
    EXPECT_EQ(s->end_ns - s->start_ns, 30'000'000);
    EXPECT_FALSE(s->failed);
    const auto waited = std::find_if(s->attributes.begin(), s->attributes.end(), [](const auto& a) {
      return a.key == "berth.uplink.waited_ms";
    });
    ASSERT_NE(waited, s->attributes.end());
    EXPECT_EQ(std::get<std::int64_t>(waited->value), 500);
    EXPECT_FALSE(all.ended(0, 7, 0, kNow, "")) << "once";
  }
}

TEST(SinkSpans, ARefusalIsAnErrorAndAMessageThatIsSentAgainHasTheSameSpan) {
  SinkSpans all = spans();
  all.took(traced(7), 1);
  const auto first = all.ended(0, 7, 2, kNow, "413 too large");
  ASSERT_TRUE(first && first->failed);
  EXPECT_EQ(first->why, "413 too large");
  SinkSpans next = spans();  // of the next engine
  next.took(traced(7), 3);
  EXPECT_EQ(next.ended(0, 7, 4, kNow, "")->span_id, first->span_id);
  Upward replay = traced(7);
  replay.replay = true;
  next.took(replay, 5);
  EXPECT_NE(next.ended(0, 7, 6, kNow, "")->span_id, first->span_id);
}

TEST(SinkSpans, AMessageWhoseExpiryHasPassedIsAnError) {
  SinkSpans all = spans();
  Upward m = traced(7);
  m.expires = kNow;
  all.took(m, 1);
  EXPECT_EQ(all.ended(0, 7, 2, kNow, "")->why, "its expiry has passed");
  all.took(m, 1);
  EXPECT_FALSE(all.ended(0, 7, 2, kNow - std::chrono::seconds(1), "")->failed);
}

TEST(SinkSpans, OnlyOfWhatIsSampled) {
  SinkSpans all = spans();
  all.took(traced(1, "00"), 1);
  EXPECT_FALSE(all.ended(0, 1, 2, kNow, ""));
  all.took(envelope(), 1);  // whose traceparent is none
  EXPECT_FALSE(all.ended(0, 0, 2, kNow, ""));
  Upward m = traced(2);
  m.properties = content_type("application/json");
  all.took(m, 1);
  EXPECT_FALSE(all.ended(0, 2, 2, kNow, "")) << "no Envelope";
  SinkSpans listed = spans({"acme/cam-1"});
  listed.took(traced(3, "00"), 1);
  EXPECT_TRUE(listed.ended(0, 3, 2, kNow, ""));
}

TEST(SinkSpans, AreBounded) {
  SinkSpans all = spans();
  for (std::uint64_t seq = 0; seq <= SinkSpans::kOpenMax; ++seq) all.took(traced(seq), 1);
  EXPECT_FALSE(all.ended(0, SinkSpans::kOpenMax, 2, kNow, "")) << "one too many";
  EXPECT_TRUE(all.ended(0, 0, 2, kNow, ""));
  all.took(traced(SinkSpans::kOpenMax), 1);
  EXPECT_TRUE(all.ended(0, SinkSpans::kOpenMax, 2, kNow, ""));
}

}  // namespace
}  // namespace berth::gateway::uplink
