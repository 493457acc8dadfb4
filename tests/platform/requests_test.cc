// Commands asked for over MQTT, between their PUBACK and their answer, while the engine dies.
#include "platform/requests.h"

#include <gtest/gtest.h>

#include <map>

#include "platform/outcome_event.h"
#include "platform/platform.pb.h"

namespace berth::platform {
namespace {

struct Store final : Records {
  void put(std::string_view key, std::string_view value) override {
    records.insert_or_assign(std::string(key), std::string(value));
  }
  void remove(std::string_view key) override { records.erase(std::string(key)); }
  void when_durable(std::function<void()> f) override { f(); }
  base::Instant now() const override { return {1000}; }
  void read(session::RecordRange, session::Store::RecordsDone) override {}
  std::map<std::string, std::string> records;
};

struct Ways final : CommandWays {
  Refusal terms(const Asked&, Terms&) const override { return {}; }
  std::string executor_of(std::string_view, std::string_view d) const override {
    return std::string(d);
  }
  void each_target(std::string_view, std::string_view d,
                   const std::function<bool(std::string_view)>& f) const override {
    f(d);
  }
  std::string read_request(std::string_view, std::int64_t, Asked&) const override { return {}; }
  bool render(const Entry&, std::int64_t, std::int64_t, std::int64_t, Rendered&) const override {
    return false;
  }
};

struct Engine {
  explicit Engine(Store& s)
      : requests(
            s,
            [this](Asked a, std::function<void(const Refusal&)> f) {
              asked.push_back(std::move(a));
              answers.push_back(std::move(f));
            },
            [this](const pb::Request&, const Refusal& why) { refused.push_back(why.code); }) {
    for (const auto& [key, value] : s.records) requests.restored(key, value);
    requests.go_on(&ways, {{90'000}, 0});
  }
  Ways ways;
  std::vector<Asked> asked;
  std::vector<std::function<void(const Refusal&)>> answers;
  std::vector<std::string> refused;
  Requests requests;
};

pb::Request request(const char* type, std::int64_t taken_ms) {
  pb::Request r;
  r.set_tenant("acme");
  r.set_device("gate");
  r.set_id("1");
  r.set_type(type);
  r.set_taken_ms(taken_ms);
  return r;
}

TEST(Requests, TheTimeOfOneRunsFromItsPublishAlsoForTheNextEngine) {
  Store s;
  Engine first(s);
  first.requests.take(request("open", 5000), &first.ways, {{5000}, 0});
  Engine next(s);
  ASSERT_EQ(next.asked.size(), 1u);
  EXPECT_EQ(next.asked.front().since_ms, 5000);
  next.answers.front()({});
  EXPECT_TRUE(s.records.empty());
}

TEST(Requests, TheExpiryOfThePublishIsATimeFromThenToo) {
  Store s;
  Engine first(s);
  pb::Request r = request("open", 5000);
  r.set_expires_ms(95'000);
  first.requests.take(r, &first.ways, {{5000}, 0});
  r = request("close", 5000);
  r.set_expires_ms(89'000);
  first.requests.take(r, &first.ways, {{5000}, 0});
  EXPECT_EQ(first.asked.size(), 2u);
  Engine next(s);  // at 90'000
  ASSERT_EQ(next.asked.size(), 1u);
  EXPECT_EQ(next.asked.front().ttl_ms, 90'000u);
  EXPECT_EQ(next.refused, std::vector<std::string>{"expired"});
}

TEST(Requests, EachOfOneIdIsAnswered) {
  Store s;
  Engine first(s);
  for (const char* type : {"open", "close"})
    first.requests.take(request(type, 5000), &first.ways, {{5000}, 0});
  first.requests.take(request("open", 5900), &first.ways, {{5900}, 0});  // the same again
  EXPECT_EQ(first.asked.size(), 2u);
  Engine next(s);
  ASSERT_EQ(next.asked.size(), 2u);
  next.answers[0]({});
  next.answers[1]({409, "idempotency_conflict", ""});
  EXPECT_EQ(next.refused, std::vector<std::string>{"idempotency_conflict"});
  EXPECT_TRUE(s.records.empty());
}

// Who drops events that came before by their ids would drop the outcome of the next command.
TEST(Requests, TheEventOfARefusalHasAnIdOfItsOwn) {
  Entry e;
  e.asked = {.tenant = "acme", .id = "7", .device = "gate"};
  e.accepted_wall_ms = 55;
  refuse(e.command, Outcome::rejected, "device_offline", "", {{1}, 55});
  EXPECT_NE(outcome_event(e, nullptr, true).find(R"("refused-7-55")"), std::string::npos);
  e.serial = 3;
  EXPECT_NE(outcome_event(e, nullptr, true).find(R"("command-7")"), std::string::npos);
}

}  // namespace
}  // namespace berth::platform
