// Commands of a platform in a World: questions in, devices and services of a tenant around the
// Broker, an engine that dies. The ledger and the dispatcher have tests of their own.
#include "platform/commands.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "platform/platform.h"
#include "platform/platform.pb.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using platform::Delivery;
using platform::Outcome;
namespace pb = platform::pb;

const std::string kTopic = "v1/north/gate/command/";

class Desk : public Site, private platform::CommandWays {
 public:
  explicit Desk(session::BrokerOptions options = {}, int crash_at = -1) : Site(crash_at, options) {
    w.before_serving([] {});
    w.on_engine([this] { platform->attached_all(w.now()); });
    w.each_turn([this] { platform->end_turn(w.now()); });
    w.on_broker([this] {
      platform.reset();
      platform = std::make_unique<platform::Platform>(
          w.broker().context(), w.broker().core(),
          [this](session::RecordRange r, session::Store::RecordsDone done) {
            w.store().read_records(std::move(r), std::move(done));
          });
      platform->use(*this);
      w.broker().use_registry(book);
    });
  }
  platform::Commands& commands() { return platform->commands(); }
  platform::CommandQuestions& questions() { return commands().questions(); }
  void pass_s(int s) {
    for (int i = 0; i < s; ++i) {
      w.advance_s(1);
      platform->tick(w.now());
      w.run();
    }
  }

  // -- questions; an answer that has not come has the status 0
  using Answer = std::shared_ptr<pb::CommandAnswer>;
  static std::function<void(std::string)> into(const Answer& a) {
    return [a](const std::string& bytes) { EXPECT_TRUE(a->ParseFromString(bytes)); };
  }
  Answer submit(const std::string& id, const std::function<void(pb::SubmitQuestion&)>& f = {}) {
    pb::SubmitQuestion q;
    q.mutable_command()->set_tenant("acme");
    q.mutable_command()->set_device("gate");
    q.mutable_command()->set_type("open");
    q.mutable_command()->set_id(id);
    q.mutable_command()->set_content(std::string(32, 'c'));
    q.mutable_command()->set_caller("platform");
    if (f) f(q);
    auto a = std::make_shared<pb::CommandAnswer>();
    platform->begin(w.now());
    questions().submit(q.SerializeAsString(), into(a));
    w.run();
    return a;
  }
  using Questions = platform::CommandQuestions;
  Answer ask(void (Questions::*what)(std::string_view, Questions::Answered), const std::string& id,
             const std::string& site = {}, std::uint32_t wait_ms = 0) {
    pb::CommandKey q;
    q.set_tenant("acme");
    q.set_id(id);
    q.set_wait_ms(wait_ms);
    if (!site.empty()) q.add_caller_sites(site);
    auto a = std::make_shared<pb::CommandAnswer>();
    platform->begin(w.now());
    (questions().*what)(q.SerializeAsString(), into(a));
    w.run();
    return a;
  }
  Answer find(const std::string& id, const std::string& site = {}, std::uint32_t wait_ms = 0) {
    return ask(&Questions::find, id, site, wait_ms);
  }
  Answer cancel(const std::string& id, const std::string& site = {}) {
    return ask(&Questions::cancel, id, site);
  }
  std::size_t listed(const std::string& site, const std::string& state = {}) {
    pb::ListQuestion q;
    q.set_tenant("acme");
    q.set_device("gate");
    q.set_count(50);
    q.set_state(state);
    if (!site.empty()) q.add_caller_sites(site);
    pb::ListAnswer a;
    questions().list(q.SerializeAsString(), [&](const std::string& b) { a.ParseFromString(b); });
    w.run();
    EXPECT_EQ(a.error(), "");
    return static_cast<std::size_t>(a.commands_size());
  }
  // "SUCCEEDED 200", "HANDED " of the command as it stands.
  static std::string state(const Answer& a) {
    const pb::CommandRecord& c = a->command();
    const auto outcome = static_cast<Outcome>(c.outcome());
    return std::string(outcome != Outcome::none
                           ? platform::name_of(outcome)
                           : platform::name_of(static_cast<platform::State>(c.state()))) +
           " " + c.code();
  }
  std::string state(const std::string& id) { return state(find(id)); }

  // -- devices and services
  int gate(const std::string& device = "gate", ConnectOptions o = {}) {
    const int c = come("acme/d/" + device, device, std::move(o));
    w.feed(c, subscribe(1, "v1/cmd/#", 1));
    w.take_bytes(c);
    return c;
  }
  void says(int c, const std::string& id, const std::string& outcome = "EXECUTED") {
    w.feed(c, publish("v1/cmd/" + id + "/res", R"({"outcome":")" + outcome + R"("})", 0));
  }
  int service() {
    const int c = come("acme/s/x", "x", {.clean = false, .properties = expiry(600)});
    w.feed(c, subscribe(1, kTopic + "+/result", 1));
    w.take_bytes(c);
    return c;
  }
  // "ID SUCCEEDED" of each event.
  Texts heard(int c) {
    Texts all;
    for (const std::string& text : got(w, c)) {
      const std::string key = "\"outcome\":\"";
      const std::size_t at = text.find(key) + key.size();
      all.push_back(text.substr(kTopic.size(), text.find('/', kTopic.size()) - kTopic.size()) +
                    " " + text.substr(at, text.find('"', at) - at));
    }
    return all;
  }

  platform::Terms bounds{.delivery = Delivery::immediate, .ttl_ms = 2000, .result_ms = 1000};
  std::unique_ptr<platform::Platform> platform;

 private:
  platform::Refusal terms(const platform::Asked& a, platform::Terms& out) const override {
    if (a.type == "explode") return {422, "unknown_type", "no such type"};
    out = bounds;
    out.site = out.executor_site = "north";
    if (a.ttl_ms != 0) out.ttl_ms = a.ttl_ms;
    return {};
  }
  std::string executor_of(std::string_view, std::string_view d) const override {
    return d == "barrier" ? "gate" : std::string(d);
  }
  void each_target(std::string_view, std::string_view d,
                   const std::function<bool(std::string_view)>& f) const override {
    f(d);
  }
  std::string read_request(std::string_view, std::int64_t, platform::Asked&) const override {
    return {};
  }
  bool render(const platform::Entry& e, std::int64_t, std::int64_t, std::int64_t,
              platform::Rendered& out) const override {
    out.topic = "$tenant/acme/v1/north/" + platform::addressee(e.asked) + "/cmd/" + e.asked.id +
                "/req/" + e.asked.type;
    out.payload = "{}";
    return true;
  }
};

const auto kAdmin = [](pb::SubmitQuestion& q) { q.mutable_command()->set_is_admin(true); };

TEST(Commands, ThatCannotBeReadAreMalformed) {
  Desk d;
  using Questions = platform::CommandQuestions;
  for (auto what : {&Questions::submit, &Questions::find, &Questions::cancel, &Questions::claim}) {
    const auto a = std::make_shared<pb::CommandAnswer>();
    (d.questions().*what)("\xff", Desk::into(a));
    EXPECT_EQ(a->code(), "malformed");
  }
  EXPECT_EQ(d.submit("1", [](auto& q) { q.mutable_command()->set_device("a/b"); })->code(),
            "malformed");
  bool failed = false;
  d.questions().list("\xff", [&](const std::string& bytes) {
    pb::ListAnswer a;
    failed = a.ParseFromString(bytes) && !a.error().empty();
  });
  EXPECT_TRUE(failed);
  EXPECT_EQ(d.questions().desired("\xff"), "");
}

TEST(Commands, OfOtherSitesACallerSeesAndDoesNothing) {
  Desk d;
  const int gate = d.gate();
  ASSERT_EQ(
      d.submit("1", [](auto& q) { q.mutable_command()->add_caller_sites("north"); })->status(),
      200u);
  EXPECT_EQ(d.find("1", "north")->command().id(), "1");
  EXPECT_EQ(d.find("1", "south")->code(), "no_such_command");
  EXPECT_EQ(d.find("1", "south")->status(), 404u);
  EXPECT_FALSE(d.find("1", "south")->has_command());
  EXPECT_EQ(d.cancel("1", "south")->code(), "no_such_command");
  EXPECT_EQ(d.listed("north"), 1u);
  EXPECT_EQ(d.listed(""), 1u);
  EXPECT_EQ(d.listed("south"), 0u);
  const auto south = [](auto& q) { q.mutable_command()->add_caller_sites("south"); };
  const auto used = d.submit("1", south);
  EXPECT_TRUE(used->code() == "idempotency_conflict" && !used->has_command());
  EXPECT_EQ(d.submit("2", south)->code(), "device_not_found");
  d.says(gate, "1");
  EXPECT_EQ(d.state("1"), "SUCCEEDED ");
  EXPECT_EQ(d.cancel("1", "north")->code(), "finished");
}

TEST(Commands, OfAStateAreListed) {
  Desk d;
  const int gate = d.gate();
  d.submit("1");
  EXPECT_EQ(d.listed("", "SENT") + d.listed("", "HANDED"), 1u);
  EXPECT_EQ(d.listed("", "SUCCEEDED"), 0u);
  d.says(gate, "1");
  EXPECT_EQ(d.listed("", "SUCCEEDED"), 1u);
  EXPECT_EQ(d.listed("", "DONE"), 0u);
}

TEST(Commands, ACallerMayWaitForTheOutcomeAndNoLonger) {
  Desk d;
  const int gate = d.gate();
  const auto waits = d.submit("1", [](auto& q) { q.set_wait_ms(20'000); });
  const auto also = d.find("1", "", 20'000);
  const auto briefly = d.find("1", "", 500);
  EXPECT_EQ(waits->status() + also->status() + briefly->status(), 0u);
  d.pass_s(1);
  EXPECT_EQ(briefly->status(), 200u);
  EXPECT_EQ(briefly->command().outcome(), 0u);
  EXPECT_EQ(waits->status(), 0u);
  d.says(gate, "1");
  EXPECT_EQ(Desk::state(waits), "SUCCEEDED ");
  EXPECT_EQ(Desk::state(also), "SUCCEEDED ");
  EXPECT_EQ(Desk::state(d.find("1", "", 20'000)), "SUCCEEDED ") << "at once";
  EXPECT_EQ(d.find("2", "", 20'000)->code(), "no_such_command");
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 600'000, .result_ms = 600'000};
  const auto for_long = d.submit("3", [](auto& q) { q.set_wait_ms(UINT32_MAX); });
  d.pass_s(59);
  EXPECT_EQ(for_long->status(), 0u);
  d.pass_s(2);
  EXPECT_EQ(for_long->status(), 200u);
}

TEST(Commands, RatesAreOfTheAccountAndOfTheDeviceThatIsTold) {
  session::BrokerOptions options;
  options.commands_per_service = 1;  // two in the first two seconds
  Desk d(options);
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 60'000, .result_ms = 1000};
  EXPECT_EQ(d.submit("1")->status(), 200u);
  EXPECT_EQ(d.submit("2")->status(), 200u);
  EXPECT_EQ(d.submit("3")->code(), "service_rate");
  EXPECT_EQ(d.w.probe().commands_refused, 1u);
  EXPECT_EQ(d.submit("4", kAdmin)->status(), 200u);
  EXPECT_EQ(d.submit("5", [](auto& q) { q.mutable_command()->set_caller("another"); })->status(),
            200u);
  options.commands_per_service = 0;
  options.commands_per_device = 1;
  Desk e(options);
  e.bounds = d.bounds;
  e.bounds.executor = "cam";
  EXPECT_EQ(e.submit("1")->status(), 200u);
  const auto other = [](auto& q) { q.mutable_command()->set_device("other"); };
  EXPECT_EQ(e.submit("2", other)->status(), 200u) << "of the same camera";
  EXPECT_EQ(e.submit("3", kAdmin)->code(), "device_rate");
  e.bounds.executor = "";
  EXPECT_EQ(e.submit("4", other)->status(), 200u);
}

TEST(Commands, TheQuotaOfTheTenantCounts) {
  Desk d;
  d.book.limits["acme/north"].commands_per_s = 1;
  d.w.broker().use_registry(d.book);
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 60'000, .result_ms = 1000};
  std::string last;
  for (int i = 0; i < 9; ++i) last = d.submit(std::to_string(i), kAdmin)->code();
  EXPECT_EQ(last, "quota_commands_per_s");
}

TEST(Commands, OnlyTheDeviceThatWasToldSaysTheResult) {
  Desk d;
  const int gate = d.gate();
  const int other = d.gate("other");
  const int service = d.service();
  const int namesake = d.come("acme/s/gate", "namesake");
  d.submit("1");
  d.says(other, "1");
  d.w.feed(namesake, publish("v1/north/gate/cmd/1/res", R"({"outcome":"EXECUTED"})", 0));
  d.w.feed(service, publish("v1/north/gate/cmd/1/res", R"({"outcome":"EXECUTED"})", 1, 1));
  EXPECT_EQ(d.find("1")->command().outcome(), 0u);
  d.says(gate, "1", "FAILED");
  EXPECT_EQ(d.state("1"), "FAILED ");
  EXPECT_EQ(d.heard(service), Texts{"1 FAILED"});
  EXPECT_EQ(d.w.probe().commands_failed, 1u);
  d.says(gate, "1");
  EXPECT_EQ(d.w.probe().command_results_late, 1u);
  EXPECT_EQ(d.heard(service), Texts{"1 SUCCEEDED"}) << "the late one has an event of its own";
  EXPECT_EQ(d.state("1"), "FAILED ");
}

// Else a result is lost when the engine dies between its PUBACK and the next commit.
TEST(Commands, AResultIsAcknowledgedWhenItsOutcomeIsDurable) {
  Desk d;
  const int gate = d.gate();
  d.submit("1");
  d.w.take_bytes(gate);
  d.w.hold_commits(true);
  d.w.feed(gate, publish("v1/cmd/1/res", R"({"outcome":"EXECUTED"})", 1, 7));
  EXPECT_TRUE(d.w.packets(gate).empty()) << "not before the commit";
  d.w.hold_commits(false);
  const auto acks = d.w.packets(gate);
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].type, 4);
  EXPECT_EQ(d.state("1"), "SUCCEEDED ");
}

TEST(Commands, EachOutcomeIsCounted) {
  Desk d;
  const int gate = d.gate();
  const auto outcome = [&](const std::string& id, const std::string& said) {
    d.submit(id, kAdmin);
    if (!said.empty()) d.says(gate, id, said);
    d.pass_s(said.empty() ? 14 : 1);
    return d.state(id);
  };
  EXPECT_EQ(outcome("1", "EXECUTED"), "SUCCEEDED ");
  EXPECT_EQ(outcome("2", "REJECTED"), "REJECTED ");
  EXPECT_EQ(outcome("3", ""), "UNCERTAIN no_word");  // the edges of a World say nothing
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 1000, .result_ms = 1000};
  d.w.close(gate);
  EXPECT_EQ(outcome("4", ""), "EXPIRED expired");
  d.bounds.ttl_ms = 60'000;
  d.submit("5", kAdmin);
  d.pass_s(1);
  EXPECT_EQ(d.w.probe().commands_open, 1u);
  d.cancel("5");
  d.pass_s(1);
  EXPECT_EQ(d.state("5"), "NOT_DELIVERED cancelled");
  const metrics::EngineProbe& p = d.w.probe();
  EXPECT_EQ(p.commands_accepted, 5u);
  EXPECT_EQ(p.commands_succeeded + p.commands_rejected + p.commands_uncertain, 3u);
  EXPECT_EQ(p.commands_expired, 1u);
  EXPECT_EQ(p.commands_not_delivered, 1u);
  EXPECT_EQ(p.commands_open, 0u);
}

TEST(Commands, ARequestOverMqttHasItsOutcomeOrItsRefusalAsAnEvent) {
  Desk d;
  const int gate = d.gate();
  const int service = d.service();
  d.w.feed(service, publish(kTopic + "1/request/open", "", 1, 1));
  EXPECT_EQ(answer(d.w, service, 4, 2), 0xffffu) << "PUBACK: success is not said";
  d.says(gate, "1");
  EXPECT_EQ(d.heard(service), Texts{"1 SUCCEEDED"});
  d.w.feed(service, publish(kTopic + "2/request/explode", "", 1, 2));
  EXPECT_EQ(d.heard(service), Texts{"2 REJECTED"});
  EXPECT_EQ(d.w.probe().commands_refused, 1u);
  EXPECT_EQ(d.find("2")->code(), "no_such_command");
  d.w.close(gate);
  d.w.feed(service, publish(kTopic + "3/request/open", "", 1, 3));
  EXPECT_EQ(d.heard(service), Texts{"3 REJECTED"}) << "offline: refused, not kept";
}

// The engine dies at each of its boundaries between the PUBLISH and the event.
TEST(Commands, ARequestOverMqttHasItsAnswerWhereverTheEngineDies) {
  bool died = true;
  int boundary = 0;
  for (; died && boundary < 400; ++boundary) {
    Desk d({}, boundary);
    const int service = d.service();
    d.w.feed(service, publish(kTopic + "1/request/open", "", 1, 1));
    d.pass_s(1);
    const Texts events = d.heard(service);
    EXPECT_FALSE(events.empty()) << boundary;
    for (const std::string& e : events) EXPECT_EQ(e, "1 REJECTED") << boundary;
    died = d.w.crashed();
  }
  EXPECT_GT(boundary, 20);
  EXPECT_FALSE(died);
}

TEST(Commands, ItsTimeRunsFromTheMomentWhenTheGatewayGotIt) {
  Desk d;
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 2000, .result_ms = 1000};
  d.pass_s(3);  // a new engine lets none expire at first
  const std::int64_t now = d.w.broker().messages_at(d.w.now()).ms;
  d.submit("1", [&](auto& q) { q.set_asked_ms(now - 1500); });
  d.submit("2", [&](auto& q) { q.set_asked_ms(now); });
  d.pass_s(1);
  EXPECT_EQ(d.state("1"), "EXPIRED expired");
  EXPECT_EQ(d.state("2"), "WAITING ");
}

TEST(Commands, WhatStoodInAQueueAndWasNeverSentIsNotUncertain) {
  Desk d;
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 3000, .result_ms = 10'000};
  const std::string window("\x21\0\1", 3);  // Receive Maximum 1
  const int gate = d.gate("gate", {.clean = false, .properties = expiry(600) + window});
  d.submit("1");
  d.submit("2");
  const auto first = d.w.packets(gate);
  ASSERT_EQ(first.size(), 1u) << "no room for the second before the first's PUBACK";
  d.pass_s(5);
  d.w.feed(gate, ack(4, first[0].id()));
  EXPECT_EQ(d.w.packets(gate).size(), 0u);
  EXPECT_EQ(d.state("2"), "EXPIRED expired");
}

TEST(Commands, RecordsAreKeptForSoManyDays) {
  session::BrokerOptions options;
  options.command_keep_days = 1;
  Desk d(options);
  const int gate = d.gate();
  d.submit("1");
  d.says(gate, "1");
  d.w.pass_s(20 * 3600);
  d.pass_s(2);
  EXPECT_EQ(d.find("1")->status(), 200u);
  d.w.pass_s(5 * 3600);
  d.pass_s(2);
  EXPECT_EQ(d.find("1")->status(), 404u);
}

TEST(Commands, AnotherPartitionSaysWhetherItHasTheDevice) {
  session::BrokerOptions options;
  options.partitions = 2;
  Desk d(options);
  const auto says = [&](bool online) {
    pb::Note note;
    note.mutable_whereabouts()->set_tenant("acme");
    note.mutable_whereabouts()->set_device("gate");
    note.mutable_whereabouts()->set_online(online);
    d.platform->begin(d.w.now());
    d.commands().note(1, note.SerializeAsString());
    d.w.run();
  };
  d.submit("1", [](auto& q) { q.set_located(2); });
  EXPECT_EQ(d.state("1"), "HANDED ") << "in the queue to partition 1";
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 60'000, .result_ms = 1000};
  says(false);
  d.submit("2", kAdmin);
  EXPECT_EQ(d.state("2"), "WAITING ");
  says(true);
  EXPECT_EQ(d.state("2"), "HANDED ");
  d.commands().note(1, "\xff");
}

TEST(Commands, AnEngineAfterADeathLetsNoneExpireBeforeItHasHeardTheEdges) {
  Desk d;
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 1500, .result_ms = 1000};
  d.submit("1");
  d.pass_s(1);
  d.w.crash();
  d.pass_s(1);
  EXPECT_EQ(d.state("1"), "WAITING ") << "its deadline has passed";
  d.pass_s(2);
  EXPECT_EQ(d.state("1"), "EXPIRED expired");
}

TEST(Commands, ThatWaitGoToADeviceThatComes) {
  Desk d;
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 60'000, .result_ms = 10'000};
  d.submit("1");
  EXPECT_EQ(d.state("1"), "WAITING ");
  d.w.crash();
  const int gate = d.gate("gate", {.clean = false, .properties = expiry(600)});
  d.pass_s(1);
  EXPECT_EQ(got(d.w, gate), Texts{"v1/cmd/1/req/open {}"});
  EXPECT_EQ(d.state("1"), "RECEIVED ") << "PUBACK";
  d.says(gate, "1");
  EXPECT_EQ(d.state("1"), "SUCCEEDED ");
}

TEST(Commands, OneThatMayHaveBeenSentEndsWithItsSession) {
  Desk d;
  d.bounds = {.delivery = Delivery::queued, .ttl_ms = 60'000, .result_ms = 10'000};
  int gate = d.gate("gate", {.clean = false, .properties = expiry(600)});
  d.submit("1");
  EXPECT_NE(d.w.take_bytes(gate), "");
  d.w.close(gate);
  gate = d.come("acme/d/gate", "gate", {.clean = true});  // without the session
  d.pass_s(1);
  EXPECT_EQ(d.state("1"), "UNCERTAIN session_ended");
}

TEST(Commands, ADesiredStateIsOneDocument) {
  Desk d;
  d.bounds = {.delivery = Delivery::desired, .ttl_ms = 60'000, .result_ms = 10'000};
  const int gate = d.come("acme/d/gate", "gate");
  d.w.feed(gate, subscribe(1, "v1/desired", 1));
  const auto desired = [&](const std::string& site) {
    pb::LocateQuestion q;
    q.set_tenant("acme");
    q.set_device("gate");
    if (!site.empty()) q.add_caller_sites(site);
    return d.questions().desired(q.SerializeAsString());
  };
  d.submit("1");
  ASSERT_EQ(got(d.w, gate).size(), 1u);
  EXPECT_NE(desired("").find(R"("command_id":"1")"), std::string::npos) << desired("");
  EXPECT_NE(desired("north").find(R"("in_step":false)"), std::string::npos);
  EXPECT_EQ(desired("south"), "");
  d.says(gate, "1");
  EXPECT_NE(desired("").find(R"("in_step":true)"), std::string::npos) << desired("");
  d.submit("2");
  d.submit("3");
  EXPECT_EQ(d.state("2"), "NOT_DELIVERED replaced");
  EXPECT_EQ(got(d.w, gate).size(), 2u);
  EXPECT_EQ(d.cancel("3")->status(), 200u);
  EXPECT_EQ(desired("").find("command_id"), std::string::npos) << desired("");
  std::string last;
  for (int i = 0; i < 40 && last.empty(); ++i) {
    last = d.submit("s" + std::to_string(i), [&](auto& q) {
              q.mutable_command()->set_slot("slot" + std::to_string(i));
              q.mutable_command()->set_device("d" + std::to_string(i / 39));
            })->code();
    d.pass_s(1);
  }
  EXPECT_EQ(last, "device_busy");
}

TEST(Commands, WhoIsThereIsSaidOfTheDeviceThatIsTold) {
  Desk d;
  const auto online = [&](const char* device) {
    pb::LocateQuestion q;
    q.set_tenant("acme");
    q.set_device(device);
    pb::LocateAnswer a;
    a.ParseFromString(d.questions().locate(q.SerializeAsString()));
    return a.online();
  };
  EXPECT_FALSE(online("gate"));
  const int gate = d.come("acme/d/gate", "gate");
  EXPECT_FALSE(online("gate")) << "it has not subscribed";
  d.w.feed(gate, subscribe(1, "v1/cmd/#", 1));
  EXPECT_TRUE(online("gate") && online("barrier"));
  EXPECT_FALSE(online("other"));
}

TEST(Commands, AnIdIsClaimedOnceInItsTenant) {
  Desk d;
  const auto claim = [&](const char* id, char content, const char* tenant = "acme") {
    pb::SubmitQuestion q;
    q.mutable_command()->set_tenant(tenant);
    q.mutable_command()->set_id(id);
    q.mutable_command()->set_content(std::string(32, content));
    const auto a = std::make_shared<pb::CommandAnswer>();
    d.platform->begin(d.w.now());
    d.questions().claim(q.SerializeAsString(), Desk::into(a));
    d.w.run();
    return a->status();
  };
  EXPECT_EQ(claim("1", 'a'), 0u);
  EXPECT_EQ(claim("1", 'a'), 0u);
  EXPECT_EQ(claim("1", 'b'), 409u);
  EXPECT_EQ(claim("1", 'b', "other"), 0u);
  EXPECT_EQ(claim("2", 'b'), 0u);
}

TEST(Commands, ClaimsOfAnAccountHaveARate) {
  session::BrokerOptions options;
  options.commands_per_service = 1;
  Desk d(options);
  const auto claims = [&](const char* caller, bool is_admin) {
    int good = 0;
    for (int i = 0; i < 100; ++i) {
      pb::SubmitQuestion q;
      q.mutable_command()->set_tenant("acme");
      q.mutable_command()->set_id(caller + std::to_string(i));
      q.mutable_command()->set_content(std::string(32, 'a'));
      q.mutable_command()->set_caller(caller);
      q.mutable_command()->set_is_admin(is_admin);
      const auto a = std::make_shared<pb::CommandAnswer>();
      d.platform->begin(d.w.now());
      d.questions().claim(q.SerializeAsString(), Desk::into(a));
      d.w.run();
      good += a->status() == 0 ? 1 : 0;
    }
    return good;
  };
  EXPECT_GE(claims("one", false), 4);
  EXPECT_LT(claims("two", false), 50) << "of made up devices too";
  EXPECT_EQ(claims("root", true), 100);
}

}  // namespace
}  // namespace berth::test
