// What is traced, and the spans of a command.
#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

#include "base/traceparent.h"
#include "gateway/tracing/command_spans.h"
#include "gateway/tracing/headers.h"
#include "gateway/tracing/options.h"
#include "gateway/tracing/otlp.h"
#include "gateway/tracing/otlp.pb.h"
#include "gateway/tracing/report_spans.h"
#include "gateway/tracing/retry.h"
#include "gateway/tracing/sampler.h"

namespace berth::gateway::tracing {
namespace {

constexpr const char* kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kGood = std::string("00-") + kTrace + "-b7ad6b7169203331-01";

TEST(Traceparent, IsReadAndWritten) {
  const auto t = base::parse_traceparent(kGood);
  ASSERT_TRUE(t);
  EXPECT_EQ(t->trace_id, kTrace);
  EXPECT_EQ(t->span_id, "b7ad6b7169203331");
  EXPECT_TRUE(t->sampled);
  EXPECT_EQ(format(*t), kGood);
  EXPECT_FALSE(base::parse_traceparent(kGood.substr(0, 53) + "00")->sampled);
  EXPECT_TRUE(base::parse_traceparent(kGood.substr(0, 53) + "03")->sampled);
  EXPECT_TRUE(base::parse_traceparent("cc" + kGood.substr(2) + "-more"));
}

TEST(Traceparent, OfAnotherFormIsNone) {
  for (std::size_t n = 0; n < kGood.size(); ++n)
    EXPECT_FALSE(base::parse_traceparent(kGood.substr(0, n))) << n;
  for (std::size_t i = 0; i < kGood.size(); ++i) {
    for (const char c : {'g', 'A', ' ', '\0', '\xff'}) {
      std::string bad = kGood;
      bad[i] = c;
      EXPECT_FALSE(base::parse_traceparent(bad)) << bad;
    }
  }
  EXPECT_FALSE(base::parse_traceparent(kGood + "-more"));
  EXPECT_FALSE(base::parse_traceparent(kGood + "x"));
  EXPECT_FALSE(base::parse_traceparent("cc" + kGood.substr(2) + "more"));
  EXPECT_FALSE(base::parse_traceparent("ff" + kGood.substr(2)));
  EXPECT_FALSE(base::parse_traceparent("00-" + std::string(32, '0') + kGood.substr(35)));
  EXPECT_FALSE(base::parse_traceparent(kGood.substr(0, 36) + std::string(16, '0') + "-01"));
}

TEST(Sampler, TakesWhatIsAskedForOrListed) {
  const Sampler s(0, {"acme/gate", "acme/cam"});
  EXPECT_TRUE(s.wants(true, kTrace, "acme", "other"));
  EXPECT_TRUE(s.wants(false, kTrace, "acme", "gate"));
  EXPECT_FALSE(s.wants(false, kTrace, "acme", "gat"));
  EXPECT_FALSE(s.wants(false, kTrace, "other", "gate"));
  EXPECT_FALSE(Sampler(0, {}).wants(false, kTrace, "acme", "gate"));
}

TEST(Sampler, TakesAShareByTheTraceAlone) {
  const Sampler none(0, {});
  const Sampler quarter(0.25, {});
  const Sampler same(0.25, {"a/b"});
  const Sampler all(1, {});
  int taken = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string id = base::random_trace_id();
    EXPECT_FALSE(none.in_share(id));
    EXPECT_TRUE(all.in_share(id));
    EXPECT_EQ(quarter.in_share(id), same.in_share(id));
    taken += quarter.in_share(id) ? 1 : 0;
  }
  EXPECT_GT(taken, 800);
  EXPECT_LT(taken, 1200);
  EXPECT_TRUE(quarter.in_share(std::string(18, 'f') + "3fffffffffffff"));
  EXPECT_FALSE(quarter.in_share(std::string(18, '0') + "40000000000000"));
  EXPECT_FALSE(all.in_share(""));
}

TEST(TracingOptions, EndpointMaySayHttps) {
  Endpoint e;
  EXPECT_EQ(read_endpoint("https://otel.example/v1/traces", e), "");
  EXPECT_TRUE(e.tls);
  EXPECT_EQ(e.host + " " + std::to_string(e.port) + " " + e.path, "otel.example 443 /v1/traces");
  EXPECT_EQ(read_endpoint("https://[::1]:4318", e), "");
  EXPECT_EQ(e.port, 4318);
  EXPECT_EQ(read_endpoint("http://otel.example", e), "");
  EXPECT_FALSE(e.tls);
  for (const char* bad : {"https://", "https:/h", "https://u:p@h/", "httpss://h/"})
    EXPECT_NE(read_endpoint(bad, e), "") << bad;
}

TEST(TracingHeaders, AreLinesOfNameAndValue) {
  Headers all;
  EXPECT_EQ(read_headers(
                "# of the collector\n\nAuthorization:  Bearer a:b \r\nX-Scope-OrgID: lots\n", all),
            "");
  EXPECT_EQ(all, (Headers{{"Authorization", "Bearer a:b"}, {"X-Scope-OrgID", "lots"}}));
  EXPECT_EQ(read_headers("", all), "");
  EXPECT_TRUE(all.empty());
}

TEST(TracingHeaders, SayWhatIsWrongButNoSecret) {
  Headers all{{"A", "b"}};
  for (const char* bad :
       {"Bearer secret", ": secret", "Bad Name: secret", "A: secret\x01", "Host: secret",
        "content-length: 5", "Transfer-Encoding: chunked", "A: b\n\nTr\xc3\xa4ger: secret"}) {
    const std::string wrong = read_headers(bad, all);
    EXPECT_NE(wrong, "") << bad;
    EXPECT_EQ(wrong.find("secret"), std::string::npos) << wrong;
  }
  EXPECT_EQ(read_headers("A: b\n\nx", all).substr(0, 2), "3:");
  std::string many;
  for (int i = 0; i < 33; ++i) many += "X-" + std::to_string(i) + ": y\n";
  EXPECT_NE(read_headers(many, all), "");
  EXPECT_EQ(all.size(), 1u) << "as before";
  EXPECT_THROW(headers_in("/dev/null"), std::runtime_error) << "no regular file";
  EXPECT_THROW(headers_in("/nowhere/at/all"), std::runtime_error);
}

TEST(TracingOptions, EndpointIsAUrlOfHttp) {
  Endpoint e;
  EXPECT_EQ(read_endpoint("http://otel.lot:4319/x/traces", e), "");
  EXPECT_EQ(e.host + " " + std::to_string(e.port) + " " + e.path, "otel.lot 4319 /x/traces");
  EXPECT_EQ(read_endpoint("http://[::1]", e), "");
  EXPECT_EQ(e.host + " " + std::to_string(e.port) + " " + e.path, "::1 4318 /v1/traces");
  EXPECT_EQ(read_endpoint("http://10.0.0.1/", e), "");
  EXPECT_EQ(e.path, "/v1/traces");
  for (const char* bad :
       {"otel:4318", "http://", "http://:1/", "http://h:0/", "http://h:70000", "http://h:x",
        "http://u:p@h/", "http://h/a b", "http://h/?q", "http://[::1", "ftp://h/", "http"})
    EXPECT_NE(read_endpoint(bad, e), "") << bad;
  EXPECT_EQ(e.host, "10.0.0.1") << "as before";
  EXPECT_EQ(read_endpoint("", e), "");
  EXPECT_TRUE(e.text.empty());
}

TEST(TracingOptions, ShareAndDevices) {
  double share = 0.5;
  for (const char* bad : {"", "-0.1", "1.01", "x", "0.1x", "nan", "1e400"})
    EXPECT_NE(read_share(bad, share), "") << bad;
  EXPECT_EQ(share, 0.5);
  for (const char* good : {"0", "1", "0.01", "1e-06"}) {
    EXPECT_EQ(read_share(good, share), "");
    EXPECT_EQ(share_text(share), good);
  }
  std::vector<std::string> devices;
  EXPECT_EQ(read_devices("acme/gate, acme/cam,", devices), "");
  EXPECT_EQ(devices_text(devices), "acme/gate,acme/cam");
  for (const char* bad : {"gate", "/gate", "acme/", "a/b/c"})
    EXPECT_NE(read_devices(bad, devices), "") << bad;
  EXPECT_EQ(devices.size(), 2u);
  std::string many;
  for (int i = 0; i < 1001; ++i) many += "acme/d" + std::to_string(i) + ",";
  EXPECT_NE(read_devices(many, devices), "");
}

TEST(Retry, IsLaterAndLaterAndNeverAtOnce) {
  for (unsigned n = 1; n < 20; ++n) {
    const auto whole = std::min(kPauseFirst * (1 << std::min(n - 1, 10u)), kPauseMax);
    for (std::uint64_t random : {std::uint64_t{0}, UINT64_MAX, std::uint64_t{123456789}}) {
      EXPECT_GE(pause_after(n, "", random), whole / 2);
      EXPECT_LE(pause_after(n, "", random), whole);
    }
  }
  using std::chrono::seconds;
  EXPECT_EQ(pause_after(1, "7", 0), seconds(7));
  EXPECT_EQ(pause_after(1, "4000000000", 0), kRetryAfterMax);
  EXPECT_EQ(pause_after(1, "Mon, 30 Nov 2026 04:00:00 GMT", 0), kPauseFirst / 2);
  EXPECT_EQ(verdict_of({.status = 202}), Verdict::taken);
  for (unsigned status : {0u, 429u, 502u, 503u, 504u})
    EXPECT_EQ(verdict_of({.status = status}), Verdict::again);
  for (unsigned status : {301u, 400u, 401u, 404u, 413u, 500u})
    EXPECT_EQ(verdict_of({.status = status}), Verdict::refused);
}

TEST(Otlp, CutsTextsWhereACharacterEnds) {
  Span s{.trace_id = kTrace, .span_id = "b7ad6b7169203331", .name = "n"};
  std::string text = "x";
  while (text.size() <= kTextMax) text += "车";
  s.attributes = {{"k", text}};
  s.end_ns = -5;
  pb::ExportRequest request;
  ASSERT_TRUE(request.ParseFromString(otlp_request({}, {s})));
  const pb::Span& got = request.resource_spans(0).scope_spans(0).spans(0);
  EXPECT_EQ(got.attributes(0).value().string_value(), text.substr(0, 256));
  EXPECT_EQ(got.end_time_unix_nano(), 0u) << "never before its begin";
  EXPECT_EQ(got.status().code(), 0);
  EXPECT_EQ(rejected_in("\xff\xff"), 0u);
}

// -- of a command

using platform::Delivery;
using platform::Entry;
using platform::Outcome;
using platform::State;

Entry entry(std::vector<platform::Transition> log, Outcome outcome, std::string code = "") {
  Entry e;
  e.asked.tenant = "acme";
  e.asked.id = "c1";
  e.asked.device = "gate";
  e.asked.type = "open";
  e.asked.trace_parent = kGood;
  e.site = "north";
  e.ttl_ms = 5000;
  e.accepted_wall_ms = log.front().wall_ms;
  e.command.outcome = outcome;
  e.command.code = std::move(code);
  e.command.state = State::done;
  for (const auto& t : log) {
    if (t.state == State::sent) e.command.sent_at = base::Instant{t.wall_ms};
  }
  e.command.log = std::move(log);
  return e;
}

// Name, begin and end after 1000 ms, and a mark if it has failed.
std::string told(const std::vector<Span>& spans) {
  std::string all;
  for (const Span& s : spans) {
    all += (all.empty() ? "" : ", ") + s.name + " " +
           std::to_string(s.start_ns / 1'000'000 - 1000) + "-" +
           std::to_string(s.end_ns / 1'000'000 - 1000) + (s.failed ? "!" : "");
  }
  return all;
}

TEST(CommandSpans, AreItsWay) {
  Entry e = entry({{1000, State::accepted, ""},
                   {1000, State::handed, ""},
                   {1004, State::sent, ""},
                   {1010, State::done, ""}},
                  Outcome::succeeded);
  e.durable_wall_ms = 1002;
  const std::vector<Span> all = spans_of(e);
  EXPECT_EQ(told(all), "command open 0-10, store 0-2, send 0-4, device 4-10");
  EXPECT_EQ(all[0].parent_id, "b7ad6b7169203331");
  std::map<std::string, int> ids;
  for (const Span& s : all) {
    EXPECT_EQ(s.trace_id, kTrace);
    ++ids[s.span_id];
    if (&s != &all[0]) {
      EXPECT_EQ(s.parent_id, all[0].span_id);
    }
  }
  EXPECT_EQ(ids.size(), 4u);
  EXPECT_EQ(spans_of(e)[2].span_id, all[2].span_id) << "said again by another engine";
  std::map<std::string, std::string> attributes;
  for (const Attribute& a : all[0].attributes) {
    if (const auto* text = std::get_if<std::string>(&a.value)) attributes[a.key] = *text;
  }
  EXPECT_EQ(attributes["berth.tenant"] + attributes["berth.site"] + attributes["berth.device"],
            "acmenorthgate");
  EXPECT_EQ(attributes["berth.command.id"], "c1");
  EXPECT_EQ(attributes["berth.command.class"], "IMMEDIATE");
  EXPECT_EQ(attributes["berth.command.outcome"], "SUCCEEDED");
}

TEST(CommandSpans, OfFailures) {
  EXPECT_EQ(told(spans_of(entry(
                {{1000, State::accepted, ""}, {1001, State::handed, ""}, {1050, State::done, ""}},
                Outcome::not_delivered, "device_stale"))),
            "command open 0-50!, send 1-50!");
  EXPECT_EQ(told(spans_of(entry({{1000, State::accepted, ""},
                                 {1001, State::handed, ""},
                                 {1002, State::sent, ""},
                                 {1500, State::done, ""}},
                                Outcome::uncertain, "no_result"))),
            "command open 0-500!, send 1-2, device 2-500!");
  EXPECT_EQ(told(spans_of(
                entry({{1000, State::accepted, ""}, {1009, State::done, ""}}, Outcome::expired))),
            "command open 0-9!");
}

TEST(CommandSpans, OfOneThatWaitedAndWasGivenTwice) {
  const auto all = spans_of(entry({{1000, State::accepted, ""},
                                   {1000, State::waiting, ""},
                                   {1100, State::handed, ""},
                                   {1110, State::waiting, "not_subscribed"},
                                   {1200, State::handed, ""},
                                   {1205, State::received, ""},
                                   {1300, State::done, ""}},
                                  Outcome::succeeded));
  EXPECT_EQ(told(all),
            "command open 0-300, wait 0-100, send 100-110!, wait 110-200, send 200-205, "
            "device 205-300");
  EXPECT_EQ(all[2].why, "not_subscribed");
  ASSERT_EQ(all.back().events.size(), 1u);
  EXPECT_EQ(all.back().events[0].name, "received");
}

TEST(CommandSpans, OfAResultThatIsFasterThanTheEdgesWord) {
  EXPECT_EQ(told(spans_of(entry(
                {{1000, State::accepted, ""}, {1001, State::handed, ""}, {1005, State::done, ""}},
                Outcome::succeeded))),
            "command open 0-5, send 1-1, device 1-5");
}

TEST(ReportSpans, AreChildrenOfWhatTheDeviceSays) {
  platform::TracedReport r{.tenant = "acme",
                           .site = "north",
                           .device = "cam",
                           .child = "",
                           .type = "plate",
                           .event_id = "e1",
                           .traceparent = kGood,
                           .epoch = 7,
                           .read_wall_ms = 1000};
  Span s = span_of(r, 1004);
  EXPECT_EQ(s.name, "report plate");
  EXPECT_EQ(s.trace_id, kTrace);
  EXPECT_EQ(s.parent_id, "b7ad6b7169203331");
  EXPECT_EQ(s.end_ns - s.start_ns, 4'000'000);
  r.traceparent.clear();
  const base::Traceparent own = trace_of(r);
  EXPECT_EQ(own.trace_id.size(), 32u);
  r.traceparent = base::format({own.trace_id, span_id_of(r), true});
  s = span_of(r, 1004);
  EXPECT_EQ(s.trace_id, own.trace_id);
  EXPECT_EQ(s.span_id, span_id_of(r)) << "what the Envelope names";
  EXPECT_EQ(s.parent_id, "");
}

TEST(CommandSpans, WithoutATraceparentHaveATraceOfTheirOwn) {
  Entry e = entry({{1000, State::accepted, ""}, {1001, State::done, ""}}, Outcome::expired);
  e.asked.trace_parent.clear();
  const auto all = spans_of(e);
  EXPECT_EQ(all[0].trace_id.size(), 32u);
  EXPECT_EQ(all[0].trace_id, spans_of(e)[0].trace_id);
  EXPECT_EQ(all[0].parent_id, "");
  e.asked.tenant = "other";
  EXPECT_NE(all[0].trace_id, spans_of(e)[0].trace_id);
}

}  // namespace
}  // namespace berth::gateway::tracing
