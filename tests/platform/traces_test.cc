// What the platform side tells of commands and reports that are traced, also when its engine dies.
#include "platform/traces.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "platform/command_record.h"
#include "tests/platform/desk.h"

namespace berth::test {
namespace {

struct Told final : platform::Traces {
  bool wants(const platform::Entry& e) const override {
    return e.asked.trace_parent.ends_with("1");
  }
  void ended(const platform::Entry& e) override {
    outcomes.push_back(std::string(platform::name_of(e.command.outcome)));
    durable = e.durable_wall_ms - e.accepted_wall_ms;
  }
  std::string report_trace(const platform::TracedReport&) const override { return {}; }
  void reported(const platform::TracedReport& r, std::int64_t wall_ms) override {
    reports.push_back(r.event_id + " " + std::to_string(wall_ms - r.read_wall_ms));
  }
  std::vector<std::string> outcomes;
  std::vector<std::string> reports;
  std::int64_t durable = -1;
};

const auto kSampled = [](pb::SubmitQuestion& q) {
  q.mutable_command()->set_trace_parent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
};
const auto kNotSampled = [](pb::SubmitQuestion& q) {
  q.mutable_command()->set_trace_parent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
};

TEST(Traces, AreToldOfACommandOnceWithTheTimeOfItsRecord) {
  Told told;
  Desk d({}, -1, &told);
  const int gate = d.gate();
  d.submit("1", kSampled);
  EXPECT_TRUE(told.outcomes.empty());
  d.says(gate, "1");
  EXPECT_EQ(told.outcomes, std::vector<std::string>{"SUCCEEDED"});
  EXPECT_GE(told.durable, 0) << "when the acceptance was durable";
  d.says(gate, "1");
  d.submit("2", kNotSampled);
  d.says(gate, "2");
  EXPECT_EQ(told.outcomes.size(), 1u);
  d.submit("3", kSampled);
  d.pass_s(20);
  EXPECT_EQ(told.outcomes, (std::vector<std::string>{"SUCCEEDED", "UNCERTAIN"}));
}

TEST(Traces, HaveTheOutcomeThatStaysWhereverTheEngineDies) {
  bool died = true;
  int boundary = 0;
  std::size_t all = 0;
  for (; died && boundary < 2000; ++boundary) {
    SCOPED_TRACE(boundary);
    Told told;
    Desk d({}, boundary, &told);
    d.bounds = {.delivery = Delivery::queued, .ttl_ms = 60'000, .result_ms = 10'000};
    const int gate = d.gate();
    // A question may die with its engine.
    for (int i = 0; i < 3 && d.submit("1", kSampled)->status() != 200; ++i) d.pass_s(1);
    d.pass_s(1);
    d.w.feed(gate, publish("v1/cmd/1/res", R"({"outcome":"EXECUTED"})", 1, 7));
    d.pass_s(20);
    auto found = d.find("1");
    if (found->status() == 0) found = d.find("1");  // this question has died with its engine
    const std::string state = Desk::state(found);
    died = d.w.crashed();
    ASSERT_LE(told.outcomes.size(), 1u);
    for (const std::string& outcome : told.outcomes)
      EXPECT_TRUE(state.starts_with(outcome)) << state << ", told " << outcome;
    all += told.outcomes.size();
    if (!died) {
      EXPECT_EQ(told.outcomes.size(), 1u);
    }
  }
  EXPECT_GT(boundary, 10);
  EXPECT_GT(all, static_cast<std::size_t>(boundary) / 2);
}

TEST(Traces, OfReportsAreToldWhenWhatTheyWroteIsDurable) {
  Told told;
  Desk d({}, -1, &told);
  d.platform->report_taken({.event_id = "e1", .read_wall_ms = d.w.now().ms});
  EXPECT_TRUE(told.reports.empty());
  d.w.run();
  ASSERT_EQ(told.reports.size(), 1u);
  EXPECT_TRUE(told.reports[0].starts_with("e1 "));
}

}  // namespace
}  // namespace berth::test
