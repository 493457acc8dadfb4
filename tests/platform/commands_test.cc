// Commands of a platform: its questions and their answers. The ledger and the dispatcher have tests
// of their own.
#include "platform/commands.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/platform/desk.h"

namespace berth::test {
namespace {

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
  EXPECT_EQ(d.listed("", "", "gat"), 1u) << "of a device with this text in its name";
  EXPECT_EQ(d.listed("", "", "cam"), 0u);
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

// The camera's own home is another partition than that of the barrier whose executor it is: the
// partition of its session keeps the lock.
TEST(Commands, ABarrierAndItsCameraHaveOneImmediateCommandAlsoWithTwoHomes) {
  session::BrokerOptions options;
  options.partitions = 2;
  Desk d(options);
  const int gate = d.gate();
  const auto home = [](const std::string& device) { return platform::home_of("acme", device, 2); };
  std::string barrier = "barrier-a";  // with the home of this partition
  while (home(barrier) != 0) ++barrier.back();
  // As the home of partition 1 hands it out.
  const auto dispatched = [&](const std::string& id) {
    pb::Note note;
    pb::CommandRecord& c = *note.mutable_dispatch()->mutable_command();
    note.mutable_dispatch()->set_tag(platform::tag_of(1, std::stoull(id), 1));
    c.set_tenant("acme");
    c.set_id(id);
    c.set_device("barrier-of-1");
    c.set_executor("gate");
    c.set_type("open");
    c.set_delivery(static_cast<std::uint32_t>(Delivery::immediate));
    c.set_state(static_cast<std::uint32_t>(platform::State::handed));
    c.set_deadline_ms(d.w.broker().messages_at(d.w.now()).ms + 2000);
    c.set_result_ms(1000);
    d.platform->begin(d.w.now());
    d.commands().note(1, note.SerializeAsString());
    d.w.run();
    return take_publishes(d.w, gate).size() == 1;
  };
  const auto busy = [&](const std::string& id) {
    pb::LocateQuestion q;
    q.set_tenant("acme");
    q.set_device(barrier);
    q.set_command_id(id);
    pb::LocateAnswer a;
    d.platform->begin(d.w.now());
    EXPECT_TRUE(a.ParseFromString(d.questions().locate(q.SerializeAsString())));
    EXPECT_TRUE(a.online());
    return a.busy();
  };
  const auto of_barrier = [&](pb::SubmitQuestion& q) {
    q.mutable_command()->set_device(barrier);
    q.set_busy(busy(q.command().id()));
    q.mutable_command()->set_is_admin(true);
  };
  // The other partition does not run, so inputs behind the device's SUBSCRIBE wait for it.
  const auto says = [&](const std::string& id) {
    const session::Scope scope({"acme", session::Role::device, "gate"}, "north", {}, {});
    const std::string topic = "$tenant/acme/v1/north/gate/cmd/" + id + "/res";
    d.platform->begin(d.w.now());
    d.commands().result(scope,
                        {.topic = topic, .payload = R"({"outcome":"EXECUTED"})", .forwarded = {}});
    d.w.run();
  };
  d.bounds.executor = "gate";
  EXPECT_EQ(d.submit("1", of_barrier)->status(), 200u);
  EXPECT_EQ(take_publishes(d.w, gate).size(), 1u);
  EXPECT_FALSE(dispatched("2")) << "in the race for the lock, too";
  EXPECT_EQ(d.submit("1", of_barrier)->status(), 200u) << "the same one again";
  says("1");
  EXPECT_TRUE(dispatched("3"));
  EXPECT_EQ(d.submit("4", of_barrier)->code(), "device_busy");
  EXPECT_FALSE(dispatched("5"));
  d.w.crash();
  EXPECT_FALSE(busy("4")) << "the edge of this world says that it has never had it";
  EXPECT_TRUE(dispatched("6"));
  d.pass_s(3);
  EXPECT_TRUE(busy("4")) << "its edge may still say that it was sent";
  d.pass_s(10);
  EXPECT_FALSE(busy("4")) << "its home has ended it";
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

// Its caller waits for two commits: its acceptance, and the device's answer.
TEST(Commands, AnImmediateOneIsTwoCommitsThatCannotWait) {
  Desk d;
  const int gate = d.gate();
  d.submit("warm");
  d.says(gate, "warm");
  const int before = d.w.hurried_batches();
  d.submit("1");
  EXPECT_EQ(d.w.hurried_batches(), before + 1);
  pb::Note note;
  note.mutable_word()->set_tag(platform::tag_of(0, d.find("1")->command().serial(), 1));
  note.mutable_word()->set_fate(static_cast<std::uint32_t>(platform::Fate::sent));
  d.platform->note(0, note.SerializeAsString(), d.w.now());
  d.w.run();
  EXPECT_EQ(d.state("1"), "SENT ");
  EXPECT_EQ(d.w.hurried_batches(), before + 1) << "the edge's word waits for what comes next";
  d.says(gate, "1");
  EXPECT_EQ(d.state("1"), "SUCCEEDED ");
  EXPECT_EQ(d.w.hurried_batches(), before + 2);
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
  EXPECT_EQ(d.state("2"), "UNCERTAIN replaced") << "the device has got it";
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
