// Spans on their way to a collector that answers, refuses, is silent, or is not there.
#include "gateway/tracing/exporter.h"

#include <gtest/gtest.h>

#include "base/traceparent.h"
#include "tests/support/collector.h"

namespace berth::gateway::tracing {
namespace {

using std::chrono::milliseconds;
using test::Collector;
using Answers = std::vector<Collector::Answer>;

Span span_named(const std::string& name) {
  return {.trace_id = base::random_trace_id(),
          .span_id = base::random_span_id(),
          .parent_id = "",
          .name = name,
          .start_ns = 1'700'000'000'000'000'000,
          .end_ns = 1'700'000'000'500'000'000};
}

std::vector<Span> spans(std::size_t n) {
  std::vector<Span> all;
  for (std::size_t i = 0; i < n; ++i) all.push_back(span_named("s" + std::to_string(i)));
  return all;
}

ExporterOptions quick(std::uint16_t port) {
  ExporterOptions o;
  EXPECT_EQ(read_endpoint("http://127.0.0.1:" + std::to_string(port) + "/v1/traces", o.to), "");
  o.batch_within = milliseconds(1);
  return o;
}

std::size_t spans_in(const Collector::Pb& request) {
  std::size_t n = 0;
  for (const auto& r : request.resource_spans()) {
    for (const auto& s : r.scope_spans()) n += static_cast<std::size_t>(s.spans_size());
  }
  return n;
}

TEST(Exporter, SendsSpansAsOtlpOverHttp) {
  Collector collector;
  ExporterOptions o = quick(collector.port());
  o.process = {{"service.name", std::string("lot")}, {"process.pid", std::int64_t{7}}};
  Exporter exporter(o);
  Span s = span_named("command open");
  s.parent_id = "b7ad6b7169203331";
  s.attributes = {{"berth.device", std::string("gate")}, {"berth.command.sent", true}};
  s.events = {{"received", s.start_ns + 5}};
  s.failed = true;
  s.why = "device_offline";
  exporter.add({s});
  ASSERT_TRUE(collector.eventually([&] { return exporter.counts().exported == 1; }));
  EXPECT_EQ(collector.head(0), "POST /v1/traces application/x-protobuf");
  const auto request = collector.request(0);
  const auto& of_process = request.resource_spans(0);
  EXPECT_EQ(of_process.resource().attributes(0).key(), "service.name");
  EXPECT_EQ(of_process.resource().attributes(0).value().string_value(), "lot");
  EXPECT_EQ(of_process.resource().attributes(1).value().int_value(), 7);
  const auto& got = of_process.scope_spans(0).spans(0);
  EXPECT_EQ(got.trace_id().size(), 16u);
  EXPECT_EQ(got.span_id().size(), 8u);
  EXPECT_EQ(got.parent_span_id(), "\xb7\xad\x6b\x71\x69\x20\x33\x31");
  EXPECT_EQ(got.name(), "command open");
  EXPECT_EQ(got.kind(), 1);
  EXPECT_EQ(got.start_time_unix_nano(), 1'700'000'000'000'000'000u);
  EXPECT_EQ(got.end_time_unix_nano(), 1'700'000'000'500'000'000u);
  EXPECT_EQ(got.attributes(0).value().string_value(), "gate");
  EXPECT_TRUE(got.attributes(1).value().bool_value());
  EXPECT_EQ(got.events(0).name(), "received");
  EXPECT_EQ(got.status().code(), 2);
  EXPECT_EQ(got.status().message(), "device_offline");
  EXPECT_EQ(exporter.counts().dropped + exporter.counts().failures, 0u);
}

TEST(Exporter, TriesAgainAsLateAsTheCollectorAsks) {
  Collector collector(Answers{{.status = 503, .retry_after = "1"}, {.status = 429}});
  Exporter exporter(quick(collector.port()));
  exporter.add(spans(3));
  ASSERT_TRUE(collector.eventually([&] { return exporter.counts().exported == 3; }));
  EXPECT_EQ(collector.requests(), 3u);
  EXPECT_GE(collector.between(0, 1), milliseconds(990));
  EXPECT_EQ(exporter.counts().failures, 2u);
  EXPECT_EQ(exporter.counts().dropped, 0u);
  EXPECT_EQ(spans_in(collector.request(2)), 3u);
}

TEST(Exporter, TriesAgainAfterSilenceAndAClosedConnection) {
  Collector collector(
      Answers{{.what = Collector::Answer::closes}, {.what = Collector::Answer::never}});
  ExporterOptions o = quick(collector.port());
  o.request_max = milliseconds(500);
  Exporter exporter(o);
  exporter.add(spans(2));
  ASSERT_TRUE(collector.eventually([&] { return exporter.counts().exported == 2; }));
  EXPECT_GE(exporter.counts().failures, 2u);
  EXPECT_GE(collector.between(1, 2), milliseconds(490)) << "the deadline of a request";
}

TEST(Exporter, DropsWhatIsRefused) {
  Collector collector(Answers{{.status = 400}});
  Exporter exporter(quick(collector.port()));
  exporter.add(spans(2));
  ASSERT_TRUE(collector.eventually([&] { return exporter.counts().dropped == 2; }));
  exporter.add(spans(1));
  ASSERT_TRUE(collector.eventually([&] { return exporter.counts().exported == 1; }));
  EXPECT_EQ(collector.requests(), 2u);
}

TEST(Exporter, CountsWhatTheCollectorDidNotTakeOfARequest) {
  pb::ExportAnswer partly;
  partly.mutable_partial_success()->set_rejected_spans(2);
  Collector collector(Answers{{.body = partly.SerializeAsString()}});
  Exporter exporter(quick(collector.port()));
  exporter.add(spans(5));
  ASSERT_TRUE(collector.eventually([&] { return exporter.counts().exported == 3; }));
  EXPECT_EQ(exporter.counts().dropped, 2u);
}

TEST(Exporter, HasABoundedQueueAndNeverWaits) {
  Collector collector(Answers{{.what = Collector::Answer::never}});
  ExporterOptions o = quick(collector.port());
  o.queue_max = 4;
  o.batch_max = 2;
  o.request_max = milliseconds(60'000);
  o.flush_max = milliseconds(100);
  Exporter exporter(o);
  exporter.add(spans(1));
  ASSERT_TRUE(collector.eventually([&] { return collector.requests() == 1; }));
  const auto begin = std::chrono::steady_clock::now();
  exporter.add(spans(3));
  exporter.add(spans(7));
  EXPECT_EQ(exporter.counts().dropped, 6u);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(1000));
}

TEST(Exporter, MakesBatches) {
  Collector collector;
  ExporterOptions o = quick(collector.port());
  o.batch_max = 10;
  o.batch_within = milliseconds(60'000);
  Exporter exporter(o);
  exporter.add(spans(25));
  ASSERT_TRUE(collector.eventually([&] { return exporter.counts().exported == 20; }));
  EXPECT_EQ(spans_in(collector.request(0)), 10u);
  EXPECT_EQ(spans_in(collector.request(1)), 10u);
}

TEST(Exporter, SendsTheRestAtItsEnd) {
  Collector collector;
  ExporterOptions o = quick(collector.port());
  o.batch_within = milliseconds(60'000);
  { Exporter(o).add(spans(3)); }
  ASSERT_EQ(collector.requests(), 1u);
  EXPECT_EQ(spans_in(collector.request(0)), 3u);
}

TEST(Exporter, EndsInTimeBesideASilentCollector) {
  Collector collector(Answers{{.what = Collector::Answer::never}});
  ExporterOptions o = quick(collector.port());
  o.request_max = milliseconds(60'000);
  o.flush_max = milliseconds(100);
  auto exporter = std::make_unique<Exporter>(o);
  exporter->add(spans(3));
  ASSERT_TRUE(collector.eventually([&] { return collector.requests() == 1; }));
  const auto begin = std::chrono::steady_clock::now();
  exporter.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(2000));
}

TEST(Exporter, TriesAgainWhenNobodyIsThere) {
  ExporterOptions o;
  std::uint16_t port = 0;
  {
    const Collector gone;
    port = gone.port();
  }
  o = quick(port);
  Collector clock;  // for its eventually()
  Exporter exporter(o);
  exporter.add(spans(2));
  ASSERT_TRUE(clock.eventually([&] { return exporter.counts().failures >= 2; }));
  EXPECT_EQ(exporter.counts().exported, 0u);
}

}  // namespace
}  // namespace berth::gateway::tracing
