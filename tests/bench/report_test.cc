#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "bench/load/page.h"
#include "bench/load/plot.h"
#include "bench/load/result.h"

namespace berth::bench {
namespace {

Result result(double rate, std::int64_t ns) {
  Result r;
  r.plan.scenario = scenario_of("p2p-10-10-10-1K");
  r.plan.scenario.rate = rate;
  r.plan.target.url = "mqtt://127.0.0.1:1883";
  r.connected = true;
  r.wall_s = 2;
  r.totals.sent = r.totals.received = r.totals.expected = static_cast<std::uint64_t>(2 * rate);
  for (int i = 0; i < 1000; ++i) r.histograms->delivery.record(ns);
  r.seconds = {{.t_s = 1, .p50_ms = 1, .p99_ms = 2}, {.t_s = 2, .p50_ms = 1, .p99_ms = 2}};
  return r;
}

TEST(Report, LossAndSessionsAreTheExitCode) {
  EXPECT_EQ(result(100, 1000).exit_code(), 0);
  Result lost = result(100, 1000);
  lost.totals.lost = 1;
  EXPECT_EQ(lost.exit_code(), 1);
  Result forgotten = result(100, 1000);
  forgotten.totals.sessions_lost = 1;
  EXPECT_EQ(forgotten.exit_code(), 1);
  Result nobody = result(100, 1000);
  nobody.connected = false;
  EXPECT_EQ(nobody.exit_code(), 69);
}

TEST(Report, SaturatedIsWhatDoesNotFollowOrIsASecondLate) {
  EXPECT_FALSE(result(100, 1'000'000).saturated());
  EXPECT_TRUE(result(100, 2'000'000'000).saturated());
  Result slow = result(100, 1'000'000);
  slow.totals.sent = 150;  // of 200
  EXPECT_TRUE(slow.saturated());
  Result mute = result(100, 1'000'000);
  mute.totals.unacknowledged = 20;
  EXPECT_TRUE(mute.saturated());
}

TEST(Report, JsonHasFiguresInMilliseconds) {
  Result r = result(100, 5'000'000);
  r.cpu_s = 0.5;
  const auto o = json_of(r);
  EXPECT_NEAR(o.at("delivery_ms").at("p99").as_double(), 5, 0.01);
  EXPECT_EQ(o.at("sent_per_s").as_double(), 100);
  EXPECT_EQ(o.at("cpu_s_per_100k").as_double(), 250);
  EXPECT_EQ(o.at("seconds").as_array().size(), 2u);
}

// Subscribers that are away get their messages late: that is no latency of the server.
TEST(Report, OfflineLatencyIsTheAcknowledgements) {
  Result r = result(100, 5'000'000'000);
  r.plan.scenario.offline = true;
  r.histograms->acknowledgement.record(1'000'000);
  EXPECT_FALSE(r.saturated());
  EXPECT_STREQ(r.latency_name(), "acknowledgement");
}

TEST(Page, IsOneFileThatNamesNoHost) {
  std::vector<Result> sweep;
  for (const double rate : {100.0, 150.0, 225.0})
    sweep.push_back(result(rate, static_cast<std::int64_t>(rate * 1e5)));
  const std::string page = page_of(sweep, "berth bench <x> & y");
  EXPECT_NE(page.find("Latency against offered load"), std::string::npos);
  EXPECT_NE(page.find("Latency by percentile"), std::string::npos);
  EXPECT_NE(page.find("&lt;x&gt; &amp; y"), std::string::npos);
  for (const char* outside : {"src=", "href=", "url(", "@import", "<script"})
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_EQ(page.find("inf"), std::string::npos);
}

TEST(Plot, AnEmptyOneIsAPlotToo) {
  const std::string svg =
      plot("t", {.title = "x", .logarithmic = true}, {.title = "y"}, {{"l", {}}});
  EXPECT_TRUE(svg.starts_with("<svg"));
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(Plot, ALogarithmicAxisLeavesOutZero) {
  const std::string svg = plot("t", {.title = "x"}, {.title = "y", .logarithmic = true},
                               {{"l", {{0, 0}, {1, 10}, {2, 100}}}});
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

}  // namespace
}  // namespace berth::bench
