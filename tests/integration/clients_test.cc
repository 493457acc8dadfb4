// Real clients over the installed binary, in both shapes: Paho C++ (3.1.1 and 5.0),
// mosquitto_pub/sub.
#include <gtest/gtest.h>
#include <mqtt/async_client.h>

#include <filesystem>
#include <mutex>

#include "tests/support/gateway_process.h"

namespace berth::test {
namespace {

class Clients : public ::testing::TestWithParam<const char*> {
 protected:
  std::vector<std::string> flags() const {
    std::vector<std::string> f{"--anonymous"};
    if (*GetParam() != 0) f.emplace_back(GetParam());
    return f;
  }
};
INSTANTIATE_TEST_SUITE_P(Shapes, Clients, ::testing::Values("", "--single-process"),
                         [](const auto& i) { return *i.param == 0 ? "supervised" : "single"; });

// A Paho client that gathers what it gets.
class Paho : public mqtt::callback {
 public:
  Paho(int port, const std::string& id, int version)
      : version_(version),
        client_("tcp://127.0.0.1:" + std::to_string(port), id,
                mqtt::create_options(version == 5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1)) {
    client_.set_callback(*this);
  }
  // Session Present.
  bool connect(bool clean, std::int32_t expiry_s = 0) {
    mqtt::connect_options_builder b;
    b.keep_alive_interval(std::chrono::seconds(20));
    if (version_ == 5) {
      b.mqtt_version(MQTTVERSION_5)
          .clean_start(clean)
          .properties({{mqtt::property::SESSION_EXPIRY_INTERVAL, expiry_s}});
    } else {
      b.mqtt_version(MQTTVERSION_3_1_1).clean_session(clean);
    }
    auto token = client_.connect(b.finalize());
    if (!token->wait_for(std::chrono::seconds(10))) throw std::runtime_error("no CONNACK");
    return token->get_connect_response().is_session_present();
  }
  void message_arrived(mqtt::const_message_ptr m) override {
    const std::lock_guard lock(mutex_);
    got_.push_back(m);
  }
  std::vector<std::string> payloads() {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const auto& m : got_) out.push_back(m->to_string());
    return out;
  }
  mqtt::const_message_ptr first() {
    const std::lock_guard lock(mutex_);
    return got_.empty() ? nullptr : got_.front();
  }
  mqtt::async_client* operator->() { return &client_; }

 private:
  int version_;
  mqtt::async_client client_;
  std::mutex mutex_;
  std::vector<mqtt::const_message_ptr> got_;
};

TEST_P(Clients, PahoPublishesAndSubscribesAtEveryQos) {
  GatewayProcess g(flags());
  for (const int version : {4, 5}) {
    Paho sub(g.mqtt_port(), "sub" + std::to_string(version), version);
    Paho pub(g.mqtt_port(), "pub" + std::to_string(version), version);
    sub.connect(true);
    pub.connect(true);
    sub->subscribe("q/#", 2)->wait();
    std::vector<std::string> sent;
    for (int i = 0; i < 30; ++i) {
      sent.push_back("m" + std::to_string(i));
      pub->publish("q/" + std::to_string(i), sent.back(), i % 3, false)->wait();
    }
    EXPECT_TRUE(eventually([&] { return sub.payloads().size() == sent.size(); }));
    std::vector<std::string> got = sub.payloads();
    for (int qos = 0; qos < 3; ++qos) {  // the order of one QoS is kept (4.6)
      const auto of_qos = [qos](const std::vector<std::string>& all) {
        std::vector<std::string> o;
        for (const auto& m : all) {
          if (std::stoi(m.substr(1)) % 3 == qos) o.push_back(m);
        }
        return o;
      };
      EXPECT_EQ(of_qos(got), of_qos(sent));
    }
    sub->disconnect()->wait();
    pub->disconnect()->wait();
  }
}

TEST_P(Clients, PahoSessionKeepsItsQueueAcrossAKillOfEverything) {
  GatewayProcess g(flags());
  std::vector<std::string> sent;
  {
    Paho sub(g.mqtt_port(), "keeper", 5);
    EXPECT_FALSE(sub.connect(true, 600));
    sub->subscribe("k/#", 1)->wait();
    sub->disconnect()->wait();
    Paho pub(g.mqtt_port(), "pub", 5);
    pub.connect(true);
    for (int i = 0; i < 300; ++i) {
      sent.push_back(std::to_string(i));
      pub->publish("k/x", sent.back(), 1, false)->wait();
    }
    pub->publish("k/retained", "r", 1, true)->wait();
    sent.emplace_back("r");
    pub->disconnect()->wait();
  }
  g.kill9();
  g.start();
  Paho sub(g.mqtt_port(), "keeper", 5);
  EXPECT_TRUE(sub.connect(false, 600));
  EXPECT_TRUE(eventually([&] { return sub.payloads().size() >= sent.size(); }));
  EXPECT_EQ(sub.payloads(), sent);
  Paho late(g.mqtt_port(), "late", 5);
  late.connect(true);
  late->subscribe("k/retained", 1)->wait();
  EXPECT_TRUE(eventually([&] { return late.payloads() == std::vector<std::string>{"r"}; }));
  late->disconnect()->wait();
  sub->disconnect()->wait();
}

TEST_P(Clients, PahoRequestResponsePropertiesPass) {
  GatewayProcess g(flags());
  Paho sub(g.mqtt_port(), "sub", 5);
  Paho pub(g.mqtt_port(), "pub", 5);
  sub.connect(true);
  pub.connect(true);
  sub->subscribe("rpc", 1)->wait();
  mqtt::properties props{{mqtt::property::RESPONSE_TOPIC, "answers/1"},
                         {mqtt::property::CORRELATION_DATA, "c7"},
                         {mqtt::property::USER_PROPERTY, "lane", "E1"}};
  pub->publish(mqtt::message::create("rpc", "open?", 1, false, props))->wait();
  ASSERT_TRUE(eventually([&] { return sub.first() != nullptr; }));
  const auto& p = sub.first()->get_properties();
  EXPECT_EQ(mqtt::get<std::string>(p, mqtt::property::RESPONSE_TOPIC), "answers/1");
  EXPECT_EQ(mqtt::get<std::string>(p, mqtt::property::CORRELATION_DATA), "c7");
  EXPECT_EQ(std::get<1>(mqtt::get<mqtt::string_pair>(p, mqtt::property::USER_PROPERTY)), "E1");
  sub->disconnect()->wait();
  pub->disconnect()->wait();
}

TEST_P(Clients, MosquittoToolsSpeakAllVersions) {
  GatewayProcess g(flags());
  const std::string port = std::to_string(g.mqtt_port());
  for (const std::string version : {"mqttv31", "mqttv311", "mqttv5"}) {
    const std::string log = g.directory() + "/sub." + version;
    Process sub({"stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-V", version, "-p", port,
                 "-t", "t/+", "-q", "2", "-C", "3", "-W", "20", "-v", "-d"},
                log);
    ASSERT_TRUE(eventually([&] { return sub.log().find("Subscribed (mid") != std::string::npos; }))
        << sub.log();
    for (const char* qos : {"0", "1", "2"}) {
      Process pub({"mosquitto_pub", "-h", "127.0.0.1", "-V", version, "-p", port, "-t",
                   std::string("t/") + qos, "-q", qos, "-m", version},
                  log + ".pub");
      EXPECT_EQ(pub.wait(), 0);
    }
    EXPECT_EQ(sub.wait(), 0);
    for (const char* qos : {"0", "1", "2"}) {
      EXPECT_NE(sub.log().find(std::string("t/") + qos + " " + version), std::string::npos)
          << sub.log();
    }
  }
}

TEST_P(Clients, PasswordAndAclFilesOfMosquittoApply) {
  std::string dir = std::filesystem::temp_directory_path() / "berth-auth-XXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  Process make({"mosquitto_passwd", "-b", "-c", dir + "/pw", "gate", "secret"}, dir + "/log");
  ASSERT_EQ(make.wait(), 0);
  std::FILE* acl = std::fopen((dir + "/acl").c_str(), "w");
  std::fputs("user gate\ntopic read all/#\npattern readwrite dev/%u/%c/#\n", acl);
  std::fclose(acl);
  setenv("BERTH_AUTH_PASSWORD_FILE", (dir + "/pw").c_str(), 1);
  setenv("BERTH_AUTH_ACL_FILE", (dir + "/acl").c_str(), 1);
  setenv("BERTH_AUTH_ANONYMOUS", "never", 1);
  std::vector<std::string> f;
  if (*GetParam() != 0) f.emplace_back(GetParam());
  GatewayProcess g(f);
  unsetenv("BERTH_AUTH_PASSWORD_FILE");
  unsetenv("BERTH_AUTH_ACL_FILE");
  unsetenv("BERTH_AUTH_ANONYMOUS");
  const std::string port = std::to_string(g.mqtt_port());
  const auto pub = [&](std::vector<std::string> more) {
    std::vector<std::string> argv{
        "mosquitto_pub", "-h", "127.0.0.1", "-V", "mqttv5", "-p", port, "-q", "1", "-m", "x"};
    argv.insert(argv.end(), more.begin(), more.end());
    Process p(argv, dir + "/pub");
    const int code = p.wait();
    return std::to_string(code) + " " + p.log();
  };
  EXPECT_NE(pub({"-t", "dev/gate/g1/x", "-i", "g1"}).find("ot authorized"), std::string::npos);
  EXPECT_NE(pub({"-t", "dev/gate/g1/x", "-i", "g1", "-u", "gate", "-P", "wrong"})[0], '0');
  EXPECT_EQ(
      pub({"-t", "dev/gate/g1/x", "-i", "g1", "-u", "gate", "-P", "secret"}).find("uthorized"),
      std::string::npos);
  EXPECT_NE(pub({"-t", "all/x", "-i", "g1", "-u", "gate", "-P", "secret", "-d"}).find("RC:135"),
            std::string::npos);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace berth::test
