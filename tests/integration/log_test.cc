// What an operator reads in the log of a running gateway: who, from where, why and with which code,
// as text and as ECS; what can't be done to the log by a client; what never stands in it.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <sstream>

#include "tests/support/certificates.h"
#include "tests/support/limits.h"
#include "tests/support/park_client.h"
#include "tests/support/raw_client.h"
#include "tests/support/rest.h"
#include "tests/support/shapes.h"

namespace berth::test {
namespace {

namespace json = boost::json;
using Fields = std::map<std::string, std::string>;

// mosquitto_passwd -b FILE NAME secret, version 2.0.11
constexpr const char* kSecret =
    "$7$101$arQvV6TuUEq4Ebq2$SsMPy5lvEp+dtsj/eyXNvFAE8cwX0wb6JPG2kf+8V5tfaxvQ0Pl9Lfa9"
    "O01Von3CgyjmhA7IvNbnbJZ1wp0qPQ==";

std::vector<std::string> lines_of(const std::string& log) {
  std::vector<std::string> all;
  std::istringstream in(log);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

// Of `key=value` in the text the field of ECS.
const char* ecs_name(const std::string& key) {
  static const std::map<std::string, const char*> kNames{{"client", "berth.client_id"},
                                                         {"user", "user.name"},
                                                         {"tenant", "berth.tenant"},
                                                         {"device", "berth.device"},
                                                         {"site", "berth.site"},
                                                         {"topic", "berth.topic"},
                                                         {"filter", "berth.filter"},
                                                         {"reason", "event.reason"},
                                                         {"code", "event.code"},
                                                         {"cause", "labels.cause"},
                                                         {"method", "http.request.method"},
                                                         {"path", "url.path"},
                                                         {"session", "labels.session"},
                                                         {"quota", "labels.quota"},
                                                         {"listener", "berth.listener"},
                                                         {"certificate", "labels.certificate"},
                                                         {"protocol", "network.protocol"},
                                                         {"ip", "client.ip"},
                                                         {"who", "labels.who"}};
  const auto it = kNames.find(key);
  return it == kNames.end() ? "" : it->second;
}

bool text_has(const std::string& line, const std::string& words, const Fields& fields) {
  if (line.find("] " + words) == std::string::npos) return false;
  return std::all_of(fields.begin(), fields.end(), [&](const auto& f) {
    if (f.first == "ip") return line.find(" peer=" + f.second + ":") != std::string::npos;
    const std::string bare = " " + f.first + "=" + f.second;
    const std::string quoted = " " + f.first + "=\"" + f.second + "\"";
    return (line + " ").find(bare + " ") != std::string::npos ||
           line.find(quoted) != std::string::npos;
  });
}

bool ecs_has(const std::string& line, std::string words, const Fields& fields) {
  boost::system::error_code ec;
  const json::value v = json::parse(line, ec);
  if (ec || !v.is_object()) return false;
  std::replace(words.begin(), words.end(), ' ', '-');
  const auto is = [&](const std::string& name, const std::string& value) {
    const json::value* at = v.as_object().if_contains(name);
    return at != nullptr && at->is_string() && at->as_string() == value;
  };
  return is("event.action", words) && std::all_of(fields.begin(), fields.end(), [&](const auto& f) {
           return is(ecs_name(f.first), f.second);
         });
}

class LogFixture : public ::testing::Test {
 protected:
  LogFixture(Shape shape, const char* format) : shape_(shape), format_(format) {
    std::string name = std::filesystem::temp_directory_path() / "berth-log-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~LogFixture() override {
    gateway_.reset();
    std::filesystem::remove_all(directory_);
  }
  bool ecs() const { return format_ == "ecs"; }
  std::string file(const std::string& name, const std::string& text) const {
    const std::string at = directory_ + "/" + name;
    std::ofstream(at) << text;
    ::chmod(at.c_str(), 0600);
    return at;
  }
  // With a password file and an ACL file; `level` of the log.
  void start(const std::string& more, const std::string& level) {
    std::string users;
    for (const char* u : {"cam", "door"}) users += std::string(u) + ":" + kSecret + "\n";
    file("users", users);
    file("acl", "user cam\ntopic readwrite free/#\nuser door\ntopic readwrite free/#\n");
    start_with("auth: {password_file: " + directory_ + "/users, acl_file: " + directory_ +
                   "/acl, failures_per_name: 3, failures_per_address: 1000}\n" + more,
               level);
  }
  void start_with(const std::string& config, const std::string& level) {
    const std::vector<std::string> flags{
        "--config", file("berth.yaml", config), "--log-format", format_, "--log-level", level};
    gateway_.emplace(shape_, flags, 3);
  }
  int port() const { return gateway_->mqtt_port(); }
  bool has(const std::string& words, const Fields& fields) const {
    for (const std::string& line : lines_of(gateway_->log())) {
      if (ecs() ? ecs_has(line, words, fields) : text_has(line, words, fields)) return true;
    }
    return false;
  }
  void expect(const std::string& words, const Fields& fields) const {
    std::string wanted = words;
    for (const auto& [k, v] : fields) wanted += " " + k + "=" + v;
    EXPECT_TRUE(eventually([&] { return has(words, fields); })) << wanted << "\n"
                                                                << gateway_->log();
  }
  static ConnectOptions as(const std::string& user, const std::string& client_id,
                           const std::string& password = "secret") {
    ConnectOptions o{.client_id = client_id};
    o.user = user;
    o.password = password;
    return o;
  }
  void knock(const ConnectOptions& o) const {
    RawClient c(port());
    c.send(connect(o));
    c.until(2);
  }
  const Shape shape_;
  const std::string format_;
  std::string directory_;
  std::optional<ShapedGateway> gateway_;
};

class Log : public LogFixture,
            public ::testing::WithParamInterface<std::tuple<const char*, Shape>> {
 protected:
  Log() : LogFixture(std::get<1>(GetParam()), std::get<0>(GetParam())) {}
};
INSTANTIATE_TEST_SUITE_P(
    Shapes, Log,
    ::testing::Values(std::tuple{"text", Shape::supervised}, std::tuple{"ecs", Shape::supervised},
                      std::tuple{"ecs", Shape::single}, std::tuple{"ecs", Shape::cluster}),
    [](const auto& i) {
      const Shape s = std::get<1>(i.param);
      return std::string(std::get<0>(i.param)) + (s == Shape::supervised ? "" : name_of(s));
    });

TEST_P(Log, NamesWhoFromWhereWhyAndCode) {
  start("", "info");
  knock(as("cam", "c-wrong", "nope"));
  expect("client refused", {{"cause", "login"},
                            {"client", "c-wrong"},
                            {"user", "cam"},
                            {"reason", "wrong password"},
                            {"code", "0x86"}});
  knock(as("nobody", "c-unknown"));
  expect("client refused", {{"client", "c-unknown"}, {"reason", "unknown user name"}});
  for (int i = 0; i < 6; ++i) knock(as("nobody", "c-brute", "guess"));
  expect("client refused", {{"cause", "throttled"}, {"client", "c-brute"}, {"code", "0x9f"}});
  auto c = connected(port(), as("door", "c-door"));
  c->send(publish("closed/x", "p", 1, 1));
  c->until(4);
  expect("publish denied",
         {{"client", "c-door"}, {"user", "door"}, {"topic", "closed/x"}, {"code", "0x87"}});
  c->send(subscribe(2, "closed/#", 1));
  c->until(9);
  expect("subscribe denied", {{"client", "c-door"}, {"filter", "closed/#"}, {"code", "0x87"}});
  auto twin = connected(port(), as("door", "c-door"));
  expect("session taken over", {{"client", "c-door"}, {"user", "door"}, {"code", "0x8e"}});
  twin->send(from_hex("0000"));
  expect("client disconnected", {{"cause", "protocol_error"}, {"client", "c-door"}});
  ConnectOptions silent = as("cam", "c-silent");
  silent.keep_alive_s = 1;
  auto quiet = connected(port(), silent);
  expect("client disconnected",
         {{"cause", "keepalive_timeout"}, {"client", "c-silent"}, {"code", "0x8d"}});
  ConnectOptions kept = as("cam", "c-kept");
  kept.properties = expiry(1);
  connected(port(), kept).reset();
  expect("client disconnected", {{"cause", "peer_closed"}, {"client", "c-kept"}, {"user", "cam"}});
  expect("session expired", {{"client", "c-kept"}, {"user", "cam"}});
  knock({.client_id = std::string(2000, 'x')});
  expect("client refused", {{"cause", "protocol_error"}, {"code", "0x85"}});
  RawClient noise(port());
  noise.send("GET / HTTP/1.1\r\n\r\n");
  expect("client refused",
         {{"cause", "protocol_error"},
          {"reason", "the first byte is 0x47: neither CONNECT nor a frame of Park"}});
  const std::string log = gateway_->log();
  EXPECT_NE(log.find(ecs() ? "\"client.ip\":\"127.0.0.1\"" : "peer=127.0.0.1:"), std::string::npos);
  EXPECT_EQ(log.find("secret"), std::string::npos) << "no password";
}

TEST_P(Log, NamesTenantsAndWhatAnOperatorDoes) {
  start_with(
      "auth: {failures_per_name: 0, failures_per_address: 0}\n"
      "registry: {source: store, refresh_ms: 200, password_iterations: 3}\n",
      "info");
  const Rest rest(gateway_->registry().admin_port());
  const auto put = [&](const std::string& path, const std::string& body) {
    const RestAnswer a = rest.put("/api/v1/tenants/acme" + path, body);
    EXPECT_LT(a.status, 300) << path << a.body;
  };
  put("", R"({"limits":{"connections":1}})");
  put("/sites/north", "{}");
  for (const std::string name : {"cam", "door"}) {
    put("/devices/" + name,
        R"({"site":"north","credentials":[{"auth_id":")" + name + R"(","password":"secret"}]})");
  }
  expect(
      "admin change",
      {{"method", "PUT"}, {"path", "/api/v1/tenants/acme/devices/cam"}, {"user", "admin_token"}});
  Rest(gateway_->registry().admin_port(), "wrong").put("/api/v1/tenants/acme", "{}");
  expect("admin refused", {{"method", "PUT"}, {"path", "/api/v1/tenants/acme"}});
  std::unique_ptr<RawClient> cam;
  ASSERT_TRUE(eventually([&] {
    cam = std::make_unique<RawClient>(port());
    cam->send(connect(as("cam@acme", "c-cam")));
    const auto got = cam->until(2);
    return !got.empty() && got.back().body[1] == 0;
  }));
  knock(as("door@acme", "c-door"));
  expect("client refused", {{"cause", "quota"},
                            {"client", "c-door"},
                            {"tenant", "acme"},
                            {"device", "door"},
                            {"site", "north"},
                            {"quota", "connections"}});
  cam->send(publish("v1/other/device/event/x", "p", 1, 1));
  cam->until(4);
  rest.ask("DELETE", "/api/v1/tenants/acme/devices/cam");
  expect("session removed", {{"client", "c-cam"}, {"tenant", "acme"}, {"device", "cam"}});
  expect("client disconnected",
         {{"cause", "policy"}, {"client", "c-cam"}, {"tenant", "acme"}, {"code", "0x98"}});
  const std::string log = gateway_->log();
  EXPECT_EQ(log.find("secret"), std::string::npos) << "no password";
  for (const GatewayProcess* p : gateway_->processes())
    EXPECT_EQ(log.find(p->admin_token()), std::string::npos) << "no token";
}

TEST_P(Log, SaysWhyTlsFailedAndWhichCertificatesAreNew) {
  Certificates authority(directory_);
  authority.issue("server", "localhost");
  start_with("auth: {anonymous: always}\nmqtts: {listen: '127.0.0.1:0', cert_file: '" +
                 authority.file("server.crt") + "', key_file: '" + authority.file("server.key") +
                 "'}\n",
             "info");
  RawClient plain(gateway_->edge().mqtts_port());
  plain.send(connect({.client_id = "c"}));
  expect("tls failed", {{"listener", "mqtts"}});
  authority.issue("server", "localhost");
  gateway_->edge().process().send(SIGHUP);
  expect("certificates of devices read again", {{"certificate", "mqtts"}});
}

TEST_P(Log, OfLevelDebugSaysMoreAndNeverASecret) {
  std::size_t lines[2] = {};
  for (const bool debug : {false, true}) {
    start("", debug ? "debug" : "info");
    ConnectOptions o = as("cam", "c-cam");
    o.properties = expiry(60);
    o.clean = false;
    o.will_topic = "free/will";
    o.will_payload = "PLATE-WILL";
    connected(port(), o)->send(disconnect());
    if (debug) expect("client connected", {{"client", "c-cam"}, {"session", "new"}});
    auto c = connected(port(), o);
    c->send(subscribe(1, "free/#", 1));
    c->until(9);
    c->send(publish("free/x", "PLATE-AB123", 1, 2));
    c->until(3);
    c->send(publish("closed/x", "PLATE-AB123", 1, 3));
    c->until(4);
    c->send(unsubscribe(4, "free/#"));
    c->until(11);
    knock(as("cam", "c-bad", "PASSWORD-GUESS"));
    Rest(gateway_->registry().admin_port())
        .ask("POST", "/api/v1/nowhere?token=QUERY-TOKEN", "BODY-SECRET");
    c.reset();
    expect("client disconnected", {{"client", "c-cam"}, {"cause", "peer_closed"}});
    expect("publish denied", {{"client", "c-cam"}});
    EXPECT_EQ(has("client connected", {{"client", "c-cam"}, {"session", "resumed"}}), debug);
    EXPECT_EQ(has("client subscribed", {{"client", "c-cam"}, {"filter", "free/#"}}), debug);
    EXPECT_EQ(has("client unsubscribed", {{"client", "c-cam"}, {"filter", "free/#"}}), debug);
    EXPECT_FALSE(has("session taken over", {{"client", "c-cam"}})) << "the first said goodbye";
    const std::string token = gateway_->registry().admin_token();
    gateway_->terminate();
    const std::string log = gateway_->log();
    for (const std::string& never :
         {std::string("PLATE"), std::string("secret"), std::string("PASSWORD-GUESS"),
          std::string("QUERY-TOKEN"), std::string("BODY-SECRET"), token})
      EXPECT_EQ(log.find(never), std::string::npos) << never << "\n" << log;
    for (const std::string& line : lines_of(log)) lines[debug] += line.find("c-cam") != line.npos;
  }
  EXPECT_EQ(lines[0], 3u) << "disconnected twice, denied";
  EXPECT_GE(lines[1], 7u) << "and connected twice, subscribed, unsubscribed";
}

// Every line is one of ours, whatever names are given.
TEST_P(Log, IsNotForged) {
  start("", "debug");
  const std::string forged =
      "2026-01-01T00:00:00.000Z error [edge 1] client quarantined client=boss";
  const std::vector<std::string> names{"x\n" + forged,
                                       "x\"} \n{\"event.action\":\"client-quarantined\"",
                                       "\x1b[2J",
                                       "x\" user=root \"",
                                       "x\xe2\x80\xa8\xe2\x80\xae" + forged,
                                       std::string(1000, '"'),
                                       std::string(4096, 'x')};
  for (const std::string& name : names) {
    knock(as("cam", name, "bad"));
    knock(as("cam" + name, "c", "bad"));
    if (name.size() > 1024) continue;
    RawClient c(port());
    c.send(connect(as("door", name)));
    if (c.until(2).empty()) continue;
    c.send(publish("closed/" + std::string(name.find('\n') == std::string::npos ? name : "x"), "p",
                   1, 1));
    c.until(4, std::chrono::seconds(2));
  }
  expect("client refused", {{"client", "c"}});
  gateway_->terminate();
  for (const std::string& line : lines_of(gateway_->log())) {
    EXPECT_LT(line.size(), 16'000u);
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
    EXPECT_EQ(line.find("\xe2\x80\xa8"), std::string::npos);
    if (ecs()) {
      boost::system::error_code ec;
      const json::value v = json::parse(line, ec);
      EXPECT_FALSE(ec) << line;
      if (ec) continue;
      const json::value* action = v.as_object().if_contains("event.action");
      EXPECT_TRUE(action == nullptr || *action != json::value("client-quarantined")) << line;
      EXPECT_NE(v.as_object().if_contains("log.logger"), nullptr) << line;
      EXPECT_TRUE(!v.as_object().contains("user.name") || v.at("user.name").as_string() != "root")
          << line;
    } else {
      static const std::regex kOurs(
          R"(^\d{4}-\d\d-\d\dT[0-9:.]+Z [a-z]+ \[[a-z]+ \d+\] ([a-z_-]+ ?)+)");
      std::smatch m;
      EXPECT_TRUE(std::regex_search(line, m, kOurs)) << line;
      EXPECT_EQ(m.str().find("client quarantined"), std::string::npos) << line;
      EXPECT_EQ(m.str().find("2026-01-01T00:00:00.000Z"), std::string::npos) << line;
    }
  }
}

// One attacker's lines are limited, and counted; another kind, and another client, are seen.
TEST_P(Log, OfAFloodHidesNobodyElse) {
  start("", "info");
  constexpr int kFlood = 600;
  for (int i = 0; i < kFlood; ++i) {
    RawClient c(port(), 0, 2);
    c.send(connect({.client_id = std::string(2000, 'x')}));
    c.until(2);
  }
  RawClient other(port(), 0, 3);
  other.send(connect({.client_id = std::string(1500, 'y')}));
  other.until(2);
  auto c = connected(port(), as("door", "c-door"));
  c->send(publish("closed/x", "p", 1, 1));
  c->until(4);
  expect("publish denied", {{"client", "c-door"}});
  gateway_->terminate();
  int written = 0;
  int left_out = 0;
  bool seen = false;
  const std::string key = ecs() ? "\"labels.lines\":\"" : " lines=";
  for (const std::string& line : lines_of(gateway_->log())) {
    const bool summary = line.find("log lines left out kind=") != std::string::npos;
    if (line.find("cause=protocol_error") == std::string::npos) continue;
    if (summary) {
      left_out += std::atoi(line.c_str() + line.find(key) + key.size());
    } else if (line.find("client refused") != std::string::npos) {
      seen = seen || line.find("yyyy") != std::string::npos;
      ++written;
    }
  }
  EXPECT_TRUE(seen) << "another client's line of the same kind";
  EXPECT_EQ(written + left_out, kFlood + 1) << gateway_->log();
  EXPECT_LE(written, 200);
}

// A device of MQTT or Park that logs in, and says one event to "v1/_/<client id>/event/plate".
class Speaker {
 public:
  Speaker(const ShapedGateway& g, bool park, const std::string& user, const std::string& client_id,
          const std::string& password = "secret")
      : topic_("v1/_/" + client_id + "/event/plate") {
    if (park) {
      park_ = std::make_unique<ParkClient>(
          g.edge().parks_port(),
          park::Device::Options{.client_id = client_id, .auth_id = user, .password = password},
          ParkTls{.on = true, .cert_file = {}, .key_file = {}});
      is_in_ = park_->welcome();
      return;
    }
    mqtt_ = std::make_unique<RawClient>(g.mqtt_port());
    ConnectOptions o{.client_id = client_id};
    o.user = user;
    o.password = password;
    mqtt_->send(connect(o));
    const auto got = mqtt_->until(2);
    is_in_ = !got.empty() && got.back().type == 2 && got.back().body[1] == 0;
  }
  bool is_in() const { return is_in_; }
  void say_event() {
    if (park_) {
      park_->report(plate_event("1"));
      park_->until([] { return false; }, std::chrono::milliseconds(1));  // it is sent
    } else {
      mqtt_->send(publish(topic_, "x", 1, 1));
    }
  }
  void say_nonsense() {
    const std::string zeros(16, '\0');
    if (!park_) return void(mqtt_->send(zeros));
    park_->send(zeros);
    park_->until([] { return false; }, std::chrono::milliseconds(1));
  }
  bool ended() { return park_ ? park_->ended() : mqtt_->closed_within(std::chrono::seconds(20)); }

 private:
  std::string topic_;
  std::unique_ptr<RawClient> mqtt_;  // one of the two
  std::unique_ptr<ParkClient> park_;
  bool is_in_ = false;
};

// Whether a line says who, from where, why and with which code is a matter neither of the protocol
// nor of the shape.
class LogOfDevices : public LogFixture,
                     public ::testing::WithParamInterface<std::tuple<bool, Shape>> {
 protected:
  LogOfDevices() : LogFixture(std::get<1>(GetParam()), "ecs") {
    Certificates authority(directory_);
    authority.issue("server", "localhost");
    start("mqtts: {listen: '127.0.0.1:0', cert_file: '" + authority.file("server.crt") +
              "', key_file: '" + authority.file("server.key") +
              "'}\nparks: {listen: '127.0.0.1:0'}\n",
          "debug");
  }
  static bool park() { return std::get<0>(GetParam()); }
  Speaker speaker(const std::string& user, const std::string& client_id,
                  const std::string& password = "secret") const {
    return {*gateway_, park(), user, client_id, password};
  }
  void expect_from_here(const std::string& words, Fields fields) const {
    fields["ip"] = "127.0.0.1";
    expect(words, fields);
  }
  const Setting fault_{"BERTH_FAULT_TOPIC", "v1/_/c-evil/event/plate"};  // before start()
};

TEST_P(LogOfDevices, NamesWhoFromWhereWhyAndCode) {
  speaker("cam", "c-wrong", "nope");
  expect_from_here("client refused", {{"cause", "login"},
                                      {"client", "c-wrong"},
                                      {"user", "cam"},
                                      {"reason", "wrong password"},
                                      {"code", "0x86"}});
  speaker("nobody", "c-unknown");
  expect_from_here("client refused", {{"client", "c-unknown"}, {"reason", "unknown user name"}});
  Speaker first = speaker("door", "c-door");
  ASSERT_TRUE(first.is_in());
  expect_from_here("client connected", {{"client", "c-door"},
                                        {"user", "door"},
                                        {"session", "new"},
                                        {"protocol", park() ? "park" : "mqtt5"}});
  first.say_event();
  expect_from_here("publish denied", {{"client", "c-door"},
                                      {"user", "door"},
                                      {"topic", "v1/_/c-door/event/plate"},
                                      {"code", "0x87"}});
  Speaker second = speaker("door", "c-door");
  expect_from_here("session taken over",
                   {{"client", "c-door"}, {"user", "door"}, {"code", "0x8e"}});
  second.say_nonsense();
  expect_from_here("client disconnected",
                   {{"cause", "protocol_error"}, {"client", "c-door"}, {"user", "door"}});
  const char* listener = park() ? "parks" : "mqtts";
  RawClient plain(park() ? gateway_->edge().parks_port() : gateway_->edge().mqtts_port());
  plain.send(connect({.client_id = "c"}));
  expect_from_here("tls failed", {{"listener", listener}});
  if (shape_ == Shape::single) return;  // a fault of the engine ends it all
  Speaker evil = speaker("cam", "c-evil");
  ASSERT_TRUE(evil.is_in());
  evil.say_event();
  EXPECT_TRUE(evil.ended());
  expect_from_here("engine died of client", {{"who", "user=cam client_id=c-evil"},
                                             {"reason", "the engine was working for it"}});
  expect_from_here("client disconnected",
                   {{"cause", "poison"}, {"client", "c-evil"}, {"user", "cam"}, {"code", "0x8a"}});
  EXPECT_TRUE(eventually([&] { return !speaker("cam", "c-again").is_in(); }));
  expect_from_here(
      "client refused",
      {{"cause", "quarantine"}, {"client", "c-again"}, {"user", "cam"}, {"code", "0x8a"}});
}

INSTANTIATE_TEST_SUITE_P(Every, LogOfDevices,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::Values(Shape::supervised, Shape::single,
                                                              Shape::cluster)),
                         [](const auto& i) {
                           return std::string(std::get<0>(i.param) ? "Park" : "Mqtt") +
                                  name_of(std::get<1>(i.param));
                         });

}  // namespace
}  // namespace berth::test
