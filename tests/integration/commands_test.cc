// Commands of a platform in running gateways: over REST to MQTT devices and back, and the dangers
// D1 to D7 of commands (docs/platform.md, "What the gateway promises").
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "gateway/ctl/commands.h"
#include "tests/support/cluster.h"
#include "tests/support/command_line.h"
#include "tests/support/gateway_process.h"
#include "tests/support/random.h"
#include "tests/support/registry_gateway.h"
#include "tests/support/rest.h"

namespace berth::test {
namespace {

using namespace std::chrono_literals;

// A registered device that notes each command it receives, and answers if it is told to.
class Gate {
 public:
  Gate(int port, bool answers, bool clean = true) : answers_(answers) {
    ConnectOptions o = as("cam@acme", "secret", "cam");
    o.clean = clean;
    o.properties = clean ? "" : expiry(600);
    client_ = std::make_unique<RawClient>(port);
    client_->send(connect(o));
    EXPECT_FALSE(client_->until(2).empty());
    client_->send(subscribe(1, "v1/cmd/#", 1));
    // What a session of before has waiting for us comes first.
    for (const Packet& p : client_->until(9)) take(p);
  }
  // Commands until `id` came, or the limit.
  bool gets(const std::string& id, std::chrono::milliseconds limit = 10s) {
    const auto until = Clock::now() + limit;
    while (!ids_.contains(id) && Clock::now() < until)
      for (const Packet& p : client_->until(3, 50ms)) take(p);
    return ids_.contains(id);
  }
  void run(std::chrono::milliseconds limit) {
    for (const Packet& p : client_->until(3, limit)) take(p);
  }
  void answer(const std::string& id, const char* outcome = "EXECUTED") {
    client_->send(publish("v1/cmd/" + id + "/res",
                          R"({"outcome":")" + std::string(outcome) + R"(","code":"200"})", 1,
                          next_++));
  }
  std::size_t times(const std::string& id) const { return ids_.count(id); }
  RawClient& client() { return *client_; }
  const std::string& last() const { return last_; }

 private:
  void take(const Packet& p) {
    if (p.type != 3) return;
    const std::string topic = p.topic();
    last_ = p.body;
    const std::string id = topic.substr(7, topic.find('/', 7) - 7);  // v1/cmd/ID/req/NAME
    ids_.insert(id);
    if (p.qos() != 0) client_->send(ack(4, p.id()));
    if (answers_) answer(id);
  }
  bool answers_;
  unsigned next_ = 1;
  std::unique_ptr<RawClient> client_;
  std::multiset<std::string> ids_;
  std::string last_;
};

class Commands : public ::testing::Test {
 protected:
  Commands()
      : gateway_({"--config", d_.file("berth.yaml",
                                      "auth: {failures_per_name: 0, failures_per_address: 0}\n"
                                      "registry: {source: file, file: " +
                                          d_.file("registry.yaml", kTwoTenants) + "}\n")}) {}
  RestAnswer submit(const std::string& id, const std::string& type, const std::string& more = {},
                    const std::string& query = {}) {
    return Rest(gateway_.admin_port())
        .ask("POST", "/api/v1/commands" + query,
             R"({"tenant":"acme","device":"cam","id":")" + id + R"(","type":")" + type + "\"" +
                 (more.empty() ? "" : "," + more) + "}",
             "Content-Type: application/json\r\n");
  }
  RestAnswer get(const std::string& id, const std::string& wait = {}) {
    return Rest(gateway_.admin_port())
        .get("/api/v1/commands/" + id + "?tenant=acme" + (wait.empty() ? "" : "&wait=" + wait));
  }
  // How it ends, by the deadline of the test.
  std::string outcome(const std::string& id) {
    const auto until = Clock::now() + 30s;
    while (Clock::now() < until) {
      const RestAnswer a = get(id, "2000");
      const std::size_t at = a.body.find("\"outcome\":\"");
      if (at != std::string::npos)
        return a.body.substr(at + 11, a.body.find('"', at + 11) - at - 11);
    }
    return "none";
  }
  static bool has(const RestAnswer& a, const std::string& text) {
    return a.body.find(text) != std::string::npos;
  }
  Directory d_;
  GatewayProcess gateway_;
};

TEST_F(Commands, GoToTheDeviceAndComeBackWithItsResultAndAnEvent) {
  const auto service = subscribed(gateway_.mqtt_port(), as("platform@acme", "p", "backend"),
                                  "v1/+/+/command/+/result", 1);
  Gate gate(gateway_.mqtt_port(), true);
  std::thread device([&] { EXPECT_TRUE(gate.gets("a1")); });
  const RestAnswer a =
      submit("a1", "OPEN_GATE", R"("reason":"PAID_EXIT","operator":{"type":"APP","id":"7"})",
             "?wait=true");
  device.join();
  EXPECT_EQ(a.status, 200) << a.body;
  EXPECT_TRUE(has(a, R"("state":"SUCCEEDED")") && has(a, R"("type":"open")")) << a.body;
  EXPECT_TRUE(has(a, R"("sent":true,"acknowledged":true)") && has(a, R"("code":"200")")) << a.body;
  EXPECT_NE(a.head.find("traceparent: 00-"), std::string::npos) << a.head;
  const auto event = service->until(3);
  ASSERT_FALSE(event.empty());
  EXPECT_EQ(event.back().topic(), "v1/north/cam/command/a1/result");
  EXPECT_NE(event.back().body.find(R"("outcome":"SUCCEEDED")"), std::string::npos);
  // D7: absolute by the gateway's clock, and what is left, for a device whose clock is wrong.
  EXPECT_NE(gate.last().find("deadline_unix_ms"), std::string::npos);
  EXPECT_NE(gate.last().find("ttl_ms"), std::string::npos);
  const RestAnswer list =
      Rest(gateway_.admin_port()).get("/api/v1/commands?tenant=acme&device=cam&state=SUCCEEDED");
  EXPECT_TRUE(list.status == 200 && has(list, R"("id":"a1")")) << list.body;
}

TEST_F(Commands, D1_AnOpenForADeviceThatIsAwayIsRefusedAndNeverComesLater) {
  { Gate there(gateway_.mqtt_port(), false, false); }  // leaves a session behind
  RestAnswer a;
  const auto until = Clock::now() + 10s;
  do a = submit("d1", "open");
  while (a.status != 409 && Clock::now() < until);
  EXPECT_TRUE(a.status == 409 && has(a, R"("code":"device_offline")")) << a.body;
  Gate again(gateway_.mqtt_port(), true, false);
  EXPECT_FALSE(again.gets("d1", 300ms));
}

TEST_F(Commands, D3_AnOpenWithoutAResultIsNotSentAgainToTheNextConnection) {
  auto gate = std::make_unique<Gate>(gateway_.mqtt_port(), false, false);
  ASSERT_EQ(submit("d3", "open", R"("ttl_ms":3000)").status, 202);
  ASSERT_TRUE(gate->gets("d3"));
  gate.reset();
  Gate again(gateway_.mqtt_port(), true, false);
  EXPECT_FALSE(again.gets("d3", 300ms));
  EXPECT_EQ(outcome("d3"), "UNCERTAIN");
  EXPECT_TRUE(has(get("d3"), R"("safe_to_retry":false)"));
}

TEST_F(Commands, D4_D5_TheSameIdIsOneCommandAlsoForTheEngineAfterADeath) {
  Gate gate(gateway_.mqtt_port(), false);
  ASSERT_EQ(submit("d4", "open", R"("ttl_ms":9000)").status, 202);
  ASSERT_TRUE(gate.gets("d4"));
  EXPECT_EQ(submit("d4", "open", R"("ttl_ms":9000)").status, 202);
  EXPECT_EQ(submit("d4", "close").status, 409);
  gateway_.signal_engine(SIGKILL);
  RestAnswer again;
  const auto until = Clock::now() + 8s;
  do again = submit("d4", "open", R"("ttl_ms":9000)");
  while (again.status >= 503 && Clock::now() < until);
  EXPECT_EQ(again.status, 202) << again.body;
  gate.answer("d4");
  EXPECT_EQ(outcome("d4"), "SUCCEEDED");
  EXPECT_EQ(submit("d4", "open").status, 200);
  EXPECT_FALSE(gate.gets("more", 200ms));
  EXPECT_EQ(gate.times("d4"), 1u);
}

TEST_F(Commands, D6_ALateResultStandsBesideTheOutcome) {
  const auto service = subscribed(gateway_.mqtt_port(), as("platform@acme", "p", "backend"),
                                  "v1/+/+/command/+/result", 1);
  Gate gate(gateway_.mqtt_port(), false);
  ASSERT_EQ(submit("d6", "open", R"("ttl_ms":300)").status, 202);
  ASSERT_TRUE(gate.gets("d6"));
  EXPECT_EQ(outcome("d6"), "UNCERTAIN");
  service->until(3);
  gate.answer("d6");
  const auto late = service->until(3);
  ASSERT_FALSE(late.empty());
  EXPECT_NE(late.back().body.find(R"("late":true)"), std::string::npos);
  const RestAnswer a = get("d6");
  EXPECT_TRUE(has(a, R"("outcome":"UNCERTAIN")") &&
              has(a, R"("late_result":{"outcome":"SUCCEEDED")"))
      << a.body;
  EXPECT_EQ(gateway_.metric("berth_command_results_late_total"), 1);
}

// Its time runs from the request, wherever that lies: in the socket of an engine that stands still.
TEST_F(Commands, AnOpenThatLayInASocketTooLongIsNotCarriedOut) {
  Gate gate(gateway_.mqtt_port(), false);
  gateway_.signal_engine(SIGSTOP);
  auto asked =
      std::async(std::launch::async, [&] { return submit("s1", "open", R"("ttl_ms":150)"); });
  gate.run(500ms);
  gateway_.signal_engine(SIGCONT);
  const RestAnswer a = asked.get();
  EXPECT_FALSE(gate.gets("s1", 500ms));
  const bool accepted = a.status < 300;
  EXPECT_EQ(accepted ? outcome("s1") : "EXPIRED", "EXPIRED") << a.body;
}

// Published with QoS 1, behind what fits into the sockets and behind more than that. The device
// reads when the deadline has passed, and comes again: no `open`, also none with DUP.
TEST_F(Commands, APublishedOpenIsNotLateForASlowDeviceNorRepeatedLate) {
  ConnectOptions options = as("cam@acme", "secret", "cam");
  options.clean = false;
  options.properties = expiry(600);
  auto service = connected(gateway_.mqtt_port(), as("platform@acme", "p", "backend"));
  const auto ended = [this] {
    return gateway_.metric("berth_connection_closed_total{reason=\"cut_off\"}") +
           gateway_.metric("berth_output_dropped_total{reason=\"late_unwritten\"}") +
           gateway_.metric("berth_messages_dropped_total{reason=\"expired\"}");
  };
  std::size_t opens = 0;
  const auto take = [&opens](const std::vector<Packet>& all) {
    opens += static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const Packet& p) {
      return p.type == 3 && p.topic().starts_with("v1/cmd/");
    }));
  };
  for (const int parts : {1, 40}) {
    const double before = ended();
    RawClient slow(gateway_.mqtt_port(), 4096);
    slow.send(connect(options) + subscribe(1, "v1/cmd/#", 1) + subscribe(2, "v1/fill", 0));
    ASSERT_FALSE(slow.until(9).empty());
    ASSERT_FALSE(slow.until(9).empty());
    const std::string fill = publish("v1/north/cam/fill", std::string(100'000, 'f'), 0);
    for (int i = 0; i < parts; ++i) service->send(fill);
    service->send(publish("v1/north/cam/cmd/late/req/open", "PAID", 1, 1));
    ASSERT_FALSE(service->until(4).empty());
    // Behind much the command may still be in the queue, which notices that it has expired only
    // when the device reads: then its time is what to wait for.
    const auto over = std::chrono::steady_clock::now() + 2500ms;
    EXPECT_TRUE(eventually([&] {
      return ended() > before || (parts > 1 && std::chrono::steady_clock::now() > over);
    })) << parts;
    slow.send(packet(0xc0, ""));
    take(slow.until(13));
    slow.close();
    RawClient again(gateway_.mqtt_port());
    again.send(connect(options) + packet(0xc0, ""));
    take(again.until(13));
    EXPECT_FALSE(again.gone()) << parts;
  }
  EXPECT_EQ(opens, 0u);
}

TEST_F(Commands, ARefusedRequestIsNoOutcomeOfTheCommandThatHasItsId) {
  const auto service = subscribed(gateway_.mqtt_port(), as("platform@acme", "p", "backend"),
                                  "v1/+/+/command/+/result", 1);
  Gate gate(gateway_.mqtt_port(), false);
  ASSERT_EQ(submit("m1", "open", R"("ttl_ms":9000)").status, 202);
  ASSERT_TRUE(gate.gets("m1"));
  RawClient other(gateway_.mqtt_port());
  other.send(connect(as("platform@acme", "p", "other")));
  ASSERT_FALSE(other.until(2).empty());
  unsigned n = 0;
  for (const char* t : {"m1/request/close", "m1/result", "m2/request/explode"}) {
    other.send(publish(std::string("v1/north/cam/command/") + t, "", 1, ++n));
    ASSERT_FALSE(other.until(4).empty()) << t;
  }
  std::vector<Packet> events = service->until(3);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.front().topic(), "v1/north/cam/command/m2/result") << "m1 has none yet";
  EXPECT_NE(events.front().body.find("refused-m2-"), std::string::npos);
  gate.answer("m1");
  const auto until = Clock::now() + 10s;
  while (events.back().topic() != "v1/north/cam/command/m1/result" && Clock::now() < until)
    for (Packet& p : service->until(3, 100ms)) events.push_back(p);
  EXPECT_EQ(events.size(), 2u);
  EXPECT_NE(events.back().body.find("SUCCEEDED"), std::string::npos);
}

TEST_F(Commands, OneOpenOfABarrierAtATime) {
  Gate gate(gateway_.mqtt_port(), false);
  ASSERT_EQ(submit("o1", "open", R"("ttl_ms":5000)").status, 202);
  const RestAnswer second = submit("o2", "open");
  EXPECT_TRUE(second.status == 429 && has(second, "device_busy")) << second.body;
  ASSERT_TRUE(gate.gets("o1"));
  gate.answer("o1", "REJECTED");
  EXPECT_EQ(outcome("o1"), "REJECTED");
  EXPECT_EQ(submit("o2", "open").status, 202);
}

TEST_F(Commands, WhatWaitsForADeviceComesInOrderOrIsCancelled) {
  for (const char* id : {"q1", "q2", "q3"})
    ASSERT_EQ(submit(id, "white_list", R"("payload":{"list":["京A12345"]})").status, 202);
  EXPECT_TRUE(has(get("q2"), R"("state":"WAITING")"));
  const RestAnswer gone = Rest(gateway_.admin_port())
                              .ask("POST", "/api/v1/commands/q2/cancel?tenant=acme", "{}",
                                   "Content-Type: application/json\r\n");
  EXPECT_TRUE(gone.status == 200 && has(gone, "cancelled")) << gone.body;
  gateway_.signal_engine(SIGKILL);
  Gate gate(gateway_.mqtt_port(), true);
  EXPECT_TRUE(gate.gets("q1") && gate.gets("q3"));
  EXPECT_EQ(gate.times("q2"), 0u);
  EXPECT_EQ(outcome("q3"), "SUCCEEDED");
  EXPECT_EQ(outcome("q2"), "NOT_DELIVERED");
}

TEST_F(Commands, DesiredStateIsToldAtEachConnectionUntilItIsReplaced) {
  ASSERT_EQ(submit("h1", "hold", R"("payload":{"mode":"HOLD_OPEN"})").status, 202);
  const auto connected_gate = [&] {
    return subscribed(gateway_.mqtt_port(), as("cam@acme", "secret", "cam"), "v1/desired", 1);
  };
  auto gate = connected_gate();
  auto told = gate->until(3);
  ASSERT_FALSE(told.empty());
  EXPECT_NE(told.back().body.find(R"("command_id":"h1")"), std::string::npos);
  gate->send(ack(4, told.back().id()));
  gate->send(publish("v1/cmd/h1/res", R"({"outcome":"EXECUTED"})", 1, 1));
  EXPECT_EQ(outcome("h1"), "SUCCEEDED");
  const std::string target = "/api/v1/tenants/acme/devices/cam/desired";
  EXPECT_TRUE(has(Rest(gateway_.admin_port()).get(target), R"("in_step":true)"));
  const auto list = [this](const char* more) {
    return Rest(gateway_.admin_port()).get(std::string("/api/v1/desired?tenant=acme&") + more);
  };
  EXPECT_TRUE(has(list("in_step=true&site=north&limit=1"), R"("device":"cam")"));
  EXPECT_FALSE(has(list("in_step=false"), "cam"));
  ASSERT_EQ(submit("h2", "hold", R"("payload":{"mode":"AUTO"})").status, 202);
  EXPECT_TRUE(has(Rest(gateway_.admin_port()).get(target), R"("in_step":false)"));
  EXPECT_TRUE(has(list("in_step=false"), R"("open":["hold"])"));
  EXPECT_TRUE(has(list("in_step=false&to=2020-01-01T00:00:00Z"), R"({"items":[]})"));
  EXPECT_TRUE(has(list("q=nothing"), R"({"items":[]})"));
  EXPECT_EQ(list("cursor=made-up").status, 422);
  ASSERT_EQ(submit("h3", "hold", R"("payload":{"mode":"HOLD_CLOSED"})").status, 202);
  EXPECT_EQ(outcome("h2"), "UNCERTAIN") << "h3 has taken its place, and the device may have h2";
  gateway_.signal_engine(SIGKILL);
  gate = connected_gate();
  do told = gate->until(3);
  while (!told.empty() && told.back().body.find(R"("command_id":"h3")") == std::string::npos);
  EXPECT_FALSE(told.empty());
  EXPECT_TRUE(has(Rest(gateway_.admin_port()).get(target), R"({"mode":"HOLD_CLOSED"})"));
}

TEST_F(Commands, AreAskedForOverMqttAndAnsweredWithTheRequestsCorrelation) {
  auto service = subscribed(gateway_.mqtt_port(), as("platform@acme", "p", "backend"),
                            "v1/+/+/command/+/result", 1);
  service->send(subscribe(2, "v1/answers/me/#", 1));
  service->until(9);
  Gate gate(gateway_.mqtt_port(), false);
  const std::string topic = "v1/north/cam/command/m1/request/open";
  const std::string properties = "\x08" + str("v1/answers/me/x") + "\x09" + str("corr-1");
  service->send(publish(topic, R"({"reason":"PAID"})", 1, 1, 5, false, false, properties));
  ASSERT_TRUE(gate.gets("m1"));
  gate.answer("m1");
  bool plain = false;
  bool answered = false;
  while (!plain || !answered) {
    const auto got = service->until(3);
    ASSERT_FALSE(got.empty());
    if (got.back().topic() == "v1/north/cam/command/m1/result") plain = true;
    if (got.back().topic() == "v1/answers/me/x")
      answered = got.back().body.find("corr-1") != std::string::npos;
  }
  // Refused: the event says why.
  service->send(publish("v1/north/cam/command/m2/request/explode", "", 1, 2));
  const auto refused = service->until(3);
  ASSERT_FALSE(refused.empty());
  EXPECT_NE(refused.back().body.find("unknown_type"), std::string::npos);
}

TEST_F(Commands, AreRefusedWithACodeWhereTheyCannotBe) {
  Gate gate(gateway_.mqtt_port(), false);
  const auto code = [&](const RestAnswer& a) {
    const std::size_t at = a.body.find("\"code\":\"");
    return at == std::string::npos ? a.body
                                   : a.body.substr(at + 8, a.body.find('"', at + 8) - at - 8);
  };
  EXPECT_EQ(code(submit("r1", "explode")), "unknown_type");
  EXPECT_EQ(code(submit("r2", "open", R"("ttl_ms":600000)")), "ttl_too_long");
  EXPECT_EQ(code(submit("r 3", "open")), "invalid");
  EXPECT_EQ(code(submit("r4", "open", R"("colour":"red")")), "invalid");
  EXPECT_EQ(code(submit("r6", "open", R"("child":"made-up")")), "executor_invalid");
  EXPECT_EQ(code(submit("r5", "open", R"("expires_at":"2020-01-01T00:00:00Z")")), "invalid");
  const Rest rest(gateway_.admin_port());
  const auto post = [&](const char* body) {
    return rest.ask("POST", "/api/v1/commands", body, "Content-Type: application/json\r\n");
  };
  EXPECT_EQ(code(post(R"({"tenant":"acme","device":"nobody","type":"open"})")), "device_not_found");
  EXPECT_EQ(code(post(R"({"tenant":"other","device":"door","type":"open"})")), "device_not_found");
  EXPECT_EQ(code(post("{")), "invalid");
  EXPECT_EQ(rest.get("/api/v1/commands/none?tenant=acme").status, 404);
  EXPECT_EQ(code(get("r1")), "no_such_command") << "a refused command has no record";
}

TEST_F(Commands, AreSentShownListedAndCancelledOnTheCommandLine) {
  const std::string ctl =
      "ctl --admin 127.0.0.1:" + std::to_string(gateway_.admin_port()) + " commands --tenant acme ";
  Output o = run(ctl + "send open --device cam --id away --wait-ms 2000");
  EXPECT_EQ(o.code, 1) << o.text;
  EXPECT_NE(o.text.find("device_offline"), std::string::npos) << o.text;
  o = run(ctl + "send white_list --device cam --id waits --ttl-ms 60000 --reason 'list of June' " +
          "--payload '{\"list\":[]}'");
  EXPECT_EQ(o.code, 0) << o.text;
  EXPECT_NE(o.text.find("list of June"), std::string::npos) << o.text;
  o = run(ctl + "list --device cam --state WAITING --json");
  EXPECT_TRUE(o.code == 0 && o.text.find(R"("id":"waits")") != std::string::npos) << o.text;
  EXPECT_EQ(run(ctl + "list --device cam --state SUCCEEDED").text.find("waits"), std::string::npos);
  o = run(ctl + "cancel waits");
  EXPECT_TRUE(o.code == 0 && o.text.find("cancelled") != std::string::npos) << o.text;
  EXPECT_EQ(run(ctl + "cancel nothing").code, 1);
  Gate gate(gateway_.mqtt_port(), true);
  std::thread device([&] { EXPECT_TRUE(gate.gets("c1")); });
  o = run(ctl + "send open --device cam --id c1 --ttl-ms 8000 --wait-ms 9000");
  device.join();
  EXPECT_TRUE(o.code == 0 && o.text.find("SUCCEEDED") != std::string::npos) << o.text;
  EXPECT_NE(run(ctl + "show c1").text.find("transitions"), std::string::npos);
  EXPECT_EQ(run("ctl commands list").code, 64) << "whose?";
}

TEST(CommandsTable, HasARowForEachAndNoControlCharacters) {
  const std::string list = gateway::commands_table(
      R"({"commands":[{"id":"a","type":"open","state":"UNCERTAIN","code":"x\u001b[2J"}],"next":"0a"})");
  EXPECT_NE(list.find("UNCERTAIN  x?[2J"), std::string::npos) << list;
  EXPECT_NE(list.find("--cursor 0a"), std::string::npos) << list;
  EXPECT_EQ(gateway::commands_table(R"({"commands":[]})"), "  none\n");
  const std::string one = gateway::commands_table(
      R"({"id":"a","transitions":[{"at":"1","state":"ACCEPTED"},{"at":"2","state":"SENT","note":"n"}]})");
  EXPECT_NE(one.find("2   SENT      n\n"), std::string::npos) << one;
}

// Commands all the time, the engine dies all the time: each has one outcome, none comes twice, none
// comes late, and UNCERTAIN is none that the device has not seen.
TEST_F(Commands, UnderKillsEachHasOneOutcomeAndIsExecutedOnceAtMost) {
  Gate gate(gateway_.mqtt_port(), true);
  std::promise<void> over;
  std::atomic<bool> heard{false};
  std::thread device([&] {
    while (!heard) gate.run(20ms);
  });
  std::thread killer([&] {
    Random r(7);
    const std::future<void> ends = over.get_future();
    while (ends.wait_for(std::chrono::milliseconds(50 + r.below(400))) != std::future_status::ready)
      gateway_.signal_engine(SIGKILL);
  });
  std::vector<std::string> accepted;
  const auto enough = Clock::now() + 12s;
  for (int i = 0; accepted.size() < 30 && Clock::now() < enough; ++i) {
    const std::string id = "k" + std::to_string(i);
    RestAnswer a;
    do a = submit(id, "open", R"("ttl_ms":4000)", "?wait=6000");
    while (a.status >= 429 && Clock::now() < enough);
    if (a.status == 200 || a.status == 202) accepted.push_back(id);
  }
  over.set_value();
  killer.join();
  std::map<std::string, std::string> outcomes;
  for (const std::string& id : accepted) outcomes[id] = outcome(id);
  heard = true;
  device.join();
  EXPECT_GE(accepted.size(), 3u);
  for (const auto& [id, end] : outcomes) {
    // No connection has broken, so it is always known.
    EXPECT_TRUE(end == "SUCCEEDED" || end == "NOT_DELIVERED" || end == "EXPIRED") << get(id).body;
    EXPECT_EQ(gate.times(id), end == "SUCCEEDED" ? 1u : 0u) << get(id).body;
  }
}

// With devices whose executor is the camera.
std::string with_barriers() {
  std::string registry = kTwoTenants;
  std::string barriers;
  for (const char* name : {"b0", "b1", "b2", "b3", "b4", "b5"})
    barriers += std::string("      - {name: ") + name + ", site: north, executor: cam}\n";
  return registry.insert(registry.find("      - {name: door"), barriers);
}

// The result is said in the partition of the camera's session; the ledger is in the barrier's.
TEST(CommandsInPartitions, SucceedWhenADeviceOfAnotherPartitionCarriesThemOut) {
  const Directory d;
  const std::string config = d.file(
      "berth.yaml",
      "auth: {failures_per_name: 0, failures_per_address: 0}\ncommands: {per_device_per_s: 0}\n"
      "registry: {source: file, file: " +
          d.file("registry.yaml", with_barriers()) + "}\n");
  Cluster c({.engines = 2,
             .edges = 1,
             .engine_flags = {"--config", config},
             .edge_flags = {},
             .partitions = 4,
             .anonymous = false});
  Gate cam(c.edges[0]->mqtt_port(), true);
  for (const char* barrier : {"b0", "b1", "b2", "b3", "b4", "b5", "cam"}) {
    std::future<RestAnswer> answer = std::async(std::launch::async, [&] {
      return Rest(c.edges[0]->admin_port())
          .ask("POST", "/api/v1/commands?wait=8000",
               R"({"tenant":"acme","device":")" + std::string(barrier) + R"(","id":"of-)" +
                   barrier + R"(","type":"open","ttl_ms":5000})",
               "Content-Type: application/json\r\n");
    });
    EXPECT_TRUE(cam.gets(std::string("of-") + barrier)) << barrier;
    const RestAnswer a = answer.get();
    EXPECT_TRUE(a.status == 200 && a.body.find("SUCCEEDED") != std::string::npos) << a.body;
  }
}

// The barriers and the camera have homes in all partitions, and one relay.
TEST(CommandsInPartitions, ABarrierAndItsCameraHaveOneImmediateCommand) {
  const Directory d;
  const char* const names[] = {"cam", "b0", "b1", "b2", "b3", "b4", "b5"};
  const std::string config = d.file(
      "berth.yaml",
      "auth: {failures_per_name: 0, failures_per_address: 0}\ncommands: {per_device_per_s: 0}\n"
      "registry: {source: file, file: " +
          d.file("registry.yaml", with_barriers()) + "}\n");
  Cluster c({.engines = 2,
             .edges = 1,
             .engine_flags = {"--config", config},
             .edge_flags = {},
             .partitions = 4,
             .anonymous = false});
  Gate cam(c.edges[0]->mqtt_port(), false);
  const auto open = [&](const std::string& device, const std::string& id) {
    return Rest(c.edges[0]->admin_port())
        .ask("POST", "/api/v1/commands",
             R"({"tenant":"acme","device":")" + device + R"(","id":")" + id +
                 R"(","type":"open","ttl_ms":8000})",
             "Content-Type: application/json\r\n");
  };
  for (const std::string by : {"b0", "cam", "b3"}) {
    const RestAnswer first = open(by, "of-" + by);
    ASSERT_EQ(first.status, 202) << first.body;
    ASSERT_TRUE(cam.gets("of-" + by));
    for (const std::string name : names) {
      const RestAnswer a = open(name, "also-" + name + "-" + by);
      EXPECT_TRUE(a.status == 429 && a.body.find("device_busy") != std::string::npos) << a.body;
    }
    EXPECT_EQ(open(by, "of-" + by).status, 202) << "the same one";
    cam.answer("of-" + by);
    EXPECT_TRUE(Rest(c.edges[0]->admin_port())
                    .get("/api/v1/commands/of-" + by + "?tenant=acme&wait=8000")
                    .body.find("SUCCEEDED") != std::string::npos);
  }
}

// Home, session and the process that is asked may all be elsewhere.
TEST(CommandsInPartitions, FindTheirDeviceFromEveryProcessAndOneIdIsOneCommand) {
  const Directory d;
  const std::string config = d.file("berth.yaml",
                                    "auth: {failures_per_name: 0, failures_per_address: 0}\n"
                                    "commands: {per_device_per_s: 0}\n"
                                    "registry: {source: file, file: " +
                                        d.file("registry.yaml", kTwoTenants) + "}\n");
  Cluster c({.engines = 2,
             .edges = 2,
             .engine_flags = {"--config", config},
             .edge_flags = {},
             .partitions = 4,
             .anonymous = false});
  const auto submit = [&](GatewayProcess& at, const std::string& device, const std::string& id) {
    return Rest(at.admin_port())
        .ask("POST", "/api/v1/commands?wait=8000",
             R"({"tenant":"acme","device":")" + device + R"(","id":")" + id +
                 R"(","type":"open","ttl_ms":5000})",
             "Content-Type: application/json\r\n");
  };
  const auto service = subscribed(c.edges[1]->mqtt_port(), as("platform@acme", "p", "backend"),
                                  "v1/+/+/command/+/result", 1);
  int n = 0;
  for (const char* device : {"cam", "door"}) {
    // Sessions of one device in several partitions, one after the other.
    for (const char* client : {"a", "b", "c", "d", "e"}) {
      ConnectOptions o = as(std::string(device) + "@acme", "secret", client);
      // Of v1/cmd/# it would also hear results of its session before.
      auto gate = subscribed(c.edges[0]->mqtt_port(), o, "v1/cmd/+/req/+", 1);
      std::string heard;
      std::thread answers([&] {
        for (int i = 0; i < 4; ++i) {
          const auto got = gate->until(3);
          for (const Packet& p : got)
            heard += " " + std::to_string(p.type) + (p.type == 3 ? p.topic() : "");
          if (got.empty() || got.back().type != 3) return;
          const std::string topic = got.back().topic();
          gate->send(publish("v1/cmd/" + topic.substr(7, topic.find('/', 7) - 7) + "/res",
                             R"({"outcome":"EXECUTED"})", 1, static_cast<unsigned>(i + 1)));
        }
      });
      for (GatewayProcess* at : {c.edges[0].get(), c.edges[1].get(), c.engines[n % 2].get()}) {
        const std::string id = "p" + std::to_string(n++);
        const RestAnswer a = submit(*at, device, id);
        EXPECT_TRUE(a.status == 200 && a.body.find("SUCCEEDED") != std::string::npos) << a.body;
        const RestAnswer again = submit(*c.edges[1], device, id);
        EXPECT_EQ(again.status, 200) << again.body;
        const RestAnswer other =
            submit(*c.edges[0], device == std::string("cam") ? "door" : "cam", id);
        EXPECT_EQ(other.status, 409) << other.body;
      }
      const std::string id = "m" + std::to_string(n++);
      const std::string site = device == std::string("cam") ? "north" : "south";
      const std::string at = "v1/" + site + "/" + device + "/command/" + id;
      service->send(publish(at + "/request/open", "", 1, static_cast<unsigned>(n)));
      std::vector<Packet> event;
      do event = service->until(3);
      while (!event.empty() && event.back().topic() != at + "/result");
      ASSERT_FALSE(event.empty());
      answers.join();
      EXPECT_NE(event.back().body.find("SUCCEEDED"), std::string::npos)
          << event.back().body << heard;
    }
  }
}

}  // namespace
}  // namespace berth::test
