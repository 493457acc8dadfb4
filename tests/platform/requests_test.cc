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
    ++puts;
    records.insert_or_assign(std::string(key), std::string(value));
  }
  void remove(std::string_view key) override { records.erase(std::string(key)); }
  void when_durable(std::function<void()> f) override { f(); }
  base::Instant now() const override { return {1000}; }
  void read(session::RecordRange, session::Store::RecordsDone) override {}
  std::map<std::string, std::string> records;
  int puts = 0;
};

struct Ways final : CommandWays {
  Refusal terms(const Asked&, Terms&) const override { return {}; }
  Part part_of(std::string_view, std::string_view d) const override { return {std::string(d), {}}; }
  void each_target(std::string_view, std::string_view d,
                   const std::function<bool(std::string_view)>& f) const override {
    f(d);
  }
  // The payload: a ttl, "bad", or nothing.
  std::string read_request(std::string_view payload, std::int64_t, Asked& out) const override {
    if (payload == "bad") return "the body: a JSON object is expected";
    out.ttl_ms = payload.empty() ? 0 : static_cast<std::uint32_t>(std::stoul(std::string(payload)));
    return {};
  }
  bool render(const Entry&, std::int64_t, std::int64_t, std::int64_t, Rendered&) const override {
    return false;
  }
  bool is_devices_topic(std::string_view tenant, std::string_view topic) const override {
    return tenant == "acme" && topic == "device/cam/down";
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

TEST(Requests, TheSameAgainIsWrittenAgainSoThatItsAcknowledgementWaitsForACommit) {
  Store s;
  Engine e(s);
  pb::Request r = request("open", 5000);
  r.set_expires_ms(95'000);
  e.requests.take(r, &e.ways, {{5000}, 0});
  r.set_taken_ms(5100);
  r.set_expires_ms(95'100);  // the client has counted its expiry down meanwhile
  e.requests.take(r, &e.ways, {{5100}, 0});
  EXPECT_EQ(s.puts, 2);
  EXPECT_EQ(s.records.size(), 1u);
  EXPECT_EQ(e.asked.size(), 1u);
  e.answers[0]({});
  e.answers[0]({});
  EXPECT_TRUE(s.records.empty() && e.refused.empty());
}

TEST(Requests, OneIdOfTwoDevicesIsTwoRequests) {
  Store s;
  Engine e(s);
  pb::Request r = request("open", 5000);
  e.requests.take(r, &e.ways, {{5000}, 0});
  r.set_device("another");
  e.requests.take(r, &e.ways, {{5000}, 0});
  r.set_tenant("other");
  e.requests.take(r, &e.ways, {{5000}, 0});
  EXPECT_EQ(e.asked.size(), 3u);
  EXPECT_EQ(s.records.size(), 3u);
  for (const auto& [key, value] : s.records) EXPECT_TRUE(Requests::is_key(key));
}

TEST(Requests, ThatWaitAreBounded) {
  Store s;
  Engine e(s);
  for (std::size_t i = 0; i < Requests::kMax; ++i) {
    pb::Request r = request("open", 5000);
    r.set_id(std::to_string(i));
    e.requests.take(r, &e.ways, {{5000}, 0});
  }
  EXPECT_TRUE(e.refused.empty());
  e.requests.take(request("open", 5000), &e.ways, {{5000}, 0});
  EXPECT_EQ(e.refused, std::vector<std::string>{"busy"});
  EXPECT_EQ(s.records.size(), Requests::kMax);
}

TEST(Requests, ThatCannotBeSubmittedAreRefusedAndForgotten) {
  Store s;
  s.records[std::string("!m\0damaged", 10)] = "\xff";
  Engine e(s);
  EXPECT_TRUE(s.records.empty());
  e.requests.take(request("open", 5000), nullptr, {{5000}, 0});
  pb::Request bad = request("open", 5000);
  bad.set_payload("bad");
  e.requests.take(bad, &e.ways, {{5000}, 0});
  pb::Request late = request("open", 5000);
  late.set_expires_ms(6000);
  e.requests.take(late, &e.ways, {{6000}, 0});
  EXPECT_EQ(e.refused, (std::vector<std::string>{"no_registry", "invalid", "expired"}));
  late.set_taken_ms(7000);  // it came with an expiry that was over
  e.requests.take(late, &e.ways, {{5000}, 0});
  EXPECT_EQ(e.refused.back(), "expired");
  EXPECT_EQ(e.refused.size(), 4u);
  EXPECT_TRUE(e.asked.empty());
  EXPECT_TRUE(s.records.empty());
}

TEST(Requests, OfTheExpiryAndTheTtlTheShorterCounts) {
  const auto ttl = [](const char* in_body, std::int64_t expires_ms) {
    Store s;
    Engine e(s);
    pb::Request r = request("open", 5000);
    r.set_payload(in_body);
    r.set_expires_ms(expires_ms);
    e.requests.take(r, &e.ways, {{5000}, 0});
    EXPECT_EQ(e.asked.at(0).ttl_is_limit, expires_ms != 0) << "cut to what the type allows";
    return e.asked.at(0).ttl_ms;
  };
  EXPECT_EQ(ttl("", 0), 0u);
  EXPECT_EQ(ttl("300", 0), 300u);
  EXPECT_EQ(ttl("", 5400), 400u);
  EXPECT_EQ(ttl("300", 5400), 300u);
  EXPECT_EQ(ttl("500", 5400), 400u);
  EXPECT_EQ(ttl("", std::int64_t{1} << 40), UINT32_MAX);
}

TEST(Requests, WhoAsksAndWhereTheAnswerGoesIsKeptOverADeath) {
  Store s;
  Engine first(s);
  pb::Request r = request("open", 5000);
  r.set_caller("platform");
  r.add_caller_sites("north");
  r.set_response_topic("$tenant/acme/answers");
  r.set_correlation("7");
  first.requests.take(r, &first.ways, {{5000}, 0});
  Engine next(s);
  ASSERT_EQ(next.asked.size(), 1u);
  const Asked& a = next.asked[0];
  EXPECT_EQ(a.tenant + a.device + a.id + a.type, "acmegate1open");
  EXPECT_EQ(a.caller, "platform");
  EXPECT_EQ(a.caller_sites, std::vector<std::string>{"north"});
  EXPECT_EQ(a.response_topic, "$tenant/acme/answers");
  EXPECT_EQ(a.correlation, "7");
}

// The outcome of a command must not be what a device takes for another one.
TEST(Requests, NoneWhoseAnswerADeviceWouldHear) {
  Store s;
  Engine e(s);
  pb::Request r = request("open", 5000);
  r.set_response_refused(true);
  e.requests.take(r, &e.ways, {{5000}, 0});
  r = request("open", 5000);
  r.set_response_topic("$tenant/acme/device/cam/down");
  e.requests.take(r, &e.ways, {{5000}, 0});
  EXPECT_EQ(e.refused, (std::vector<std::string>{"invalid", "invalid"}));
  EXPECT_TRUE(e.asked.empty() && s.records.empty());
}

TEST(Requests, ADeviceIsCalledByItsOwnSite) {
  Store s;
  Engine e(s);
  pb::Request r = request("open", 5000);
  r.set_site("north");
  e.requests.take(r, &e.ways, {{5000}, 0});
  ASSERT_EQ(e.asked.size(), 1u);
  EXPECT_EQ(e.asked[0].caller_sites, std::vector<std::string>{"north"}) << "of all that it sees";
  r.set_id("2");
  r.add_caller_sites("south");
  e.requests.take(r, &e.ways, {{5000}, 0});
  EXPECT_EQ(e.refused, std::vector<std::string>{"device_not_found"});
}

// -- what a PUBLISH asks for

const session::Scope& north() {
  static const session::Scope scope({"acme", session::Role::service, "platform"}, "", {"north"});
  return scope;
}

std::string property(char id, std::string_view value) {
  return std::string(1, id) +
         std::string{static_cast<char>(value.size() >> 8), static_cast<char>(value.size())} +
         std::string(value);
}

TEST(ReadRequest, HasTheNamesOfItsTopic) {
  pb::Request r;
  ASSERT_TRUE(read_request(north(),
                           {.topic = "$tenant/acme/v1/north/gate/command/7/request/open",
                            .payload = "{}",
                            .forwarded = {}},
                           r));
  EXPECT_EQ(r.tenant() + " " + r.site() + " " + r.device() + " " + r.id() + " " + r.type(),
            "acme north gate 7 open");
  EXPECT_EQ(r.payload(), "{}");
  EXPECT_EQ(r.caller(), "platform");
  ASSERT_EQ(r.caller_sites_size(), 1);
  EXPECT_EQ(r.caller_sites(0), "north");
  EXPECT_EQ(r.expires_ms(), 0);
  const std::string large(1 << 20, 'x');
  ASSERT_TRUE(read_request(north(),
                           {.topic = "$tenant/acme/v1/north/gate/command/7/request/open",
                            .payload = large,
                            .forwarded = {},
                            .expires_at = {95'000}},
                           r));
  EXPECT_EQ(r.payload().size(), kPayloadMax + 1) << "refused later, not stored";
  EXPECT_EQ(r.expires_ms(), 95'000);
}

TEST(ReadRequest, IsOfNoOtherTopic) {
  for (const char* topic :
       {"v1/north/gate/command/7/request/open", "another/acme/v1/north/gate/command/7/request/open",
        "$tenant/acme/v2/north/gate/command/7/request/open",
        "$tenant/acme/v1/north/gate/cmd/7/request/open",
        "$tenant/acme/v1/north/gate/command/7/result/open",
        "$tenant/acme/v1/north/gate/command/7/request/open/more",
        "$tenant/acme/v1/north/gate/command//request/open",
        "$tenant/acme/v1/north/gate/command/7/request/",
        "$tenant/acme/v1/north/gate/command/7/request", "$tenant/acme/v1", "$tenant/", ""}) {
    pb::Request r;
    EXPECT_FALSE(read_request(north(), {.topic = topic, .payload = {}, .forwarded = {}}, r))
        << topic;
  }
}

TEST(ReadRequest, AnswersOnlyWhereItsServiceMayPublish) {
  const auto read = [](const std::string& properties) {
    pb::Request r;
    EXPECT_TRUE(read_request(north(),
                             {.topic = "$tenant/acme/v1/north/gate/command/7/request/open",
                              .payload = {},
                              .forwarded = properties},
                             r));
    return r.response_topic() + " " + r.correlation();
  };
  const std::string good = property(0x08, "v1/north/answers");
  const std::string inside = "$tenant/acme/v1/north/answers ";
  EXPECT_EQ(read(good), inside);
  EXPECT_EQ(read(property(0x08, "v1/south/answers")), " ");
  for (const char* downlink :
       {"v1/north/gate/cmd/9/req/open", "v1/north/gate/sub/loop/cmd/9/req/open",
        "v1/north/gate/desired", "v1/north/gate/cmd/9"}) {
    pb::Request r;
    EXPECT_TRUE(read_request(north(),
                             {.topic = "$tenant/acme/v1/north/gate/command/7/request/open",
                              .payload = {},
                              .forwarded = property(0x08, downlink)},
                             r));
    EXPECT_TRUE(r.response_refused() && r.response_topic().empty()) << downlink;
  }
  EXPECT_EQ(read(property(0x08, "$SYS/x")), " ");
  EXPECT_EQ(read(good + property(0x09, "corr")), inside + "corr");
  EXPECT_EQ(read(std::string("\x01\x01", 2) + good), inside) << "Payload Format Indicator";
  EXPECT_EQ(read(property(0x26, "name").append(property(0x08, "value").substr(1)) + good), inside)
      << "User Property";
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_EQ(read(good.substr(0, n)), " ") << n;
  EXPECT_EQ(read("\x01"), " ");
  EXPECT_EQ(correlation_property(""), "");
  EXPECT_EQ(correlation_property("corr"), property(0x09, "corr"));
}

}  // namespace
}  // namespace berth::platform
