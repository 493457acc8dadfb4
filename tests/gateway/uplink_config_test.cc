// The file of uplinks: what it says, what is refused with file and line, and the topics of both
// sides.
#include "gateway/uplink/uplink_config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "gateway/uplink/definition.h"
#include "gateway/uplink/secrets.h"
#include "gateway/uplink/uplink_topics.h"

namespace berth::gateway::uplink {
namespace {

std::string why_bad(const std::string& text) {
  try {
    parse_uplinks(text, "up.yaml");
    return "";
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}
std::string one(const std::string& more) {
  return "uplinks:\n  - name: up\n    kind: mqtt\n    url: mqtt://h\n" + more;
}

TEST(UplinkConfig, SaysWhatGoesWhere) {
  EXPECT_TRUE(parse_uplinks("uplinks: []\n", "up.yaml").empty());
  const auto all = parse_uplinks(
      one("    tenants: [acme, b]\n    sites: [n]\n    select: [state]\n    topics: [lot/#]\n"
          "    connections: 3\n    queue_bytes: 5000000000\n"),
      "up.yaml");
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].connections, 3u);
  EXPECT_EQ(all[0].queue_bytes, 5'000'000'000u);
  const std::vector<std::string> filters{"lot/#", "$tenant/acme/v1/n/+/state",
                                         "$tenant/acme/v1/n/+/sub/+/state",
                                         "$tenant/b/v1/n/+/state", "$tenant/b/v1/n/+/sub/+/state"};
  EXPECT_EQ(filters_of(all[0]), filters);
  EXPECT_EQ(plan_of(all[0]).filters, filters);
  const auto typed = parse_uplinks(one("    select: [event/plate]\n"), "up.yaml");
  EXPECT_EQ(filters_of(typed[0]), (std::vector<std::string>{"$tenant/+/v1/+/+/event/plate",
                                                            "$tenant/+/v1/+/+/sub/+/event/plate"}));
  const auto defaults = parse_uplinks(one(""), "up.yaml");
  EXPECT_EQ(filters_of(defaults[0]).front(), "$tenant/+/v1/+/+/event/#");
  EXPECT_EQ(filters_of(defaults[0]).size(), 10u);
}

TEST(UplinkConfig, RefusesWhatIsWrongWithFileAndLine) {
  for (const char* none :
       {"", "\n", "# nothing\n", "null\n", "---\n", "uplinks:\n", "uplinks: null\n"})
    EXPECT_NE(why_bad(none).find("[] says that there are none"), std::string::npos)
        << "cut off while it was written: " << none;
  EXPECT_NE(why_bad("up: []\n"), "");
  EXPECT_EQ(why_bad(one("    colour: red\n")), "up.yaml:5: unknown key 'colour'");
  EXPECT_EQ(why_bad(one("    connections: 17\n")), "up.yaml:5: connections: a number from 1 to 16");
  EXPECT_EQ(why_bad(one("    connections: -1\n")), "up.yaml:5: connections: a number from 1 to 16");
  EXPECT_EQ(
      why_bad(one("    select: [events]\n")),
      "up.yaml:5: select: events: one of event, event/TYPE, telemetry, telemetry/TYPE, state, "
      "presence, result");
  EXPECT_NE(why_bad(one("    select: [state/x]\n")), "");
  EXPECT_NE(why_bad(one("    select: [event/]\n")), "");
  EXPECT_NE(why_bad(one("    select: ['event/#']\n")), "");
  EXPECT_EQ(why_bad(one("    name: again\n")), "up.yaml:5: key 'name' twice");
  EXPECT_EQ(why_bad(one("    topics: ['$SYS/#']\n")),
            "up.yaml:5: topics: $SYS/#: no filter of topics");
  EXPECT_EQ(why_bad(one("    topics: ['a/#/b']\n")),
            "up.yaml:5: topics: a/#/b: no filter of topics");
  EXPECT_EQ(why_bad(one("    select: []\n")), "up.yaml:2: it selects nothing");
  EXPECT_EQ(why_bad(one("    cert_file: c\n")), "up.yaml:2: cert_file and key_file go together");
  EXPECT_EQ(why_bad(one("    ca_file: c\n")),
            "up.yaml:2: ca_file and cert_file are of a url with TLS");
  for (const char* topic : {"a/{sight}", "a/#"})
    EXPECT_EQ(why_bad(one("    topic: '" + std::string(topic) + "'\n")),
              "up.yaml:5: topic: a topic without + and #; in braces: {tenant}, {site}, {device}, "
              "{what}, {type}, {rest}");
  EXPECT_EQ(why_bad(one("  - name: up\n    kind: mqtt\n    url: mqtt://h\n")),
            "up.yaml:5: two uplinks are up");
  EXPECT_EQ(why_bad("uplinks:\n  - kind: mqtt\n"), "up.yaml:2: name is missing");
  EXPECT_EQ(why_bad("uplinks:\n  - name: up\n    kind: nats\n    url: x\n"),
            "up.yaml:3: kind: one of mqtt, kafka, rabbitmq, webhook");
  EXPECT_EQ(why_bad("uplinks:\n  - name: up\n    kind: mqtt\n    url: tcp://h\n"),
            "up.yaml:4: url: mqtt://HOST:PORT or mqtts://HOST:PORT");
  EXPECT_NE(why_bad("uplinks:\n  - name: up\n    kind: mqtt\n    url: mqtt://u:p@h\n"), "");
  EXPECT_EQ(why_bad("uplinks: [\n").substr(0, 8), "up.yaml:");
}

std::string kind(const char* name, const char* url, const std::string& more = "") {
  return "uplinks:\n  - name: up\n    kind: " + std::string(name) + "\n    url: " + url + "\n" +
         more;
}

TEST(UplinkConfig, EachKindHasItsKeys) {
  const auto kafka = parse_uplinks(
      kind("kafka", "kafkas://a:1,b,[::1]:2",
           "    sasl: PLAIN\n    user_name: u\n    password_file: p\n    compression: zstd\n"),
      "up.yaml");
  EXPECT_EQ(kafka[0].where().hosts, "a:1,b:9093,[::1]:2");
  EXPECT_TRUE(kafka[0].where().tls);
  EXPECT_EQ(kafka[0].topic, "berth.{what}");
  EXPECT_EQ(kafka[0].format, Format::tenant);
  const auto hook = parse_uplinks(
      kind("webhook", "https://h/a/b", "    secret_file: s\n    batch_messages: 7\n"), "up.yaml");
  EXPECT_EQ(hook[0].where().path, "/a/b");
  EXPECT_EQ(hook[0].where().authority(), "h:443");
  EXPECT_EQ(hook[0].format, Format::json) << "what a webhook expects";
  const auto rabbit = parse_uplinks(
      kind("rabbitmq", "amqp://h/vh", "    keep_hours: 24\n    declare: false\n"), "up.yaml");
  EXPECT_EQ(rabbit[0].where().path, "/vh");
  EXPECT_EQ(rabbit[0].where().port, 5672);
  EXPECT_FALSE(rabbit[0].declare);
  EXPECT_EQ(plan_of(rabbit[0]).keep_ms, 86'400'000);
  EXPECT_EQ(why_bad(kind("webhook", "http://h/")),
            "up.yaml:2: secret_file is missing: the platform knows by the signature that it is "
            "Berth");
  EXPECT_EQ(why_bad(kind("kafka", "kafka://h", "    version: 5\n")),
            "up.yaml:5: version is no key of kind kafka");
  EXPECT_EQ(why_bad(kind("mqtt", "mqtt://h", "    sasl: PLAIN\n")),
            "up.yaml:5: sasl is no key of kind mqtt");
  EXPECT_EQ(why_bad(kind("kafka", "kafka://h", "    sasl: PLAIN\n")),
            "up.yaml:2: sasl needs user_name and password_file");
  EXPECT_EQ(why_bad(kind("kafka", "kafka://h", "    user_name: u\n")),
            "up.yaml:2: user_name and password_file need sasl");
  EXPECT_EQ(why_bad(kind("kafka", "kafka://h", "    password_file: p\n")),
            "up.yaml:2: user_name and password_file need sasl");
  for (const char* url : {"kafka://", "kafka://a,,b", "kafka://a:0", "kafka://a:70000",
                          "kafka://a/b", "kafka://[::1", "mqtt://h", "kafka://a:1x"})
    EXPECT_EQ(why_bad(kind("kafka", url)),
              "up.yaml:4: url: kafka://HOST:PORT,HOST:PORT or kafkas://HOST:PORT,HOST:PORT")
        << url;
  EXPECT_NE(why_bad(kind("mqtt", "mqtt://h/path")), "");
  EXPECT_EQ(why_bad(kind("mqtt", "mqtt://h/")), "");
}

TEST(UplinkConfig, ExternalIsOfRabbitmqWithACertificate) {
  const std::string pair = "    cert_file: c\n    key_file: k\n";
  EXPECT_EQ(
      parse_uplinks(kind("rabbitmq", "amqps://h", pair + "    sasl: EXTERNAL\n"), "up.yaml")[0]
          .sasl,
      "EXTERNAL");
  EXPECT_EQ(why_bad(kind("rabbitmq", "amqp://h", "    sasl: PLAIN\n")), "");
  EXPECT_EQ(why_bad(kind("rabbitmq", "amqps://h", "    sasl: EXTERNAL\n")),
            "up.yaml:5: sasl: EXTERNAL needs cert_file and key_file: RabbitMQ knows by them who it "
            "is");
  EXPECT_EQ(why_bad(kind("rabbitmq", "amqps://h", pair + "    user_name: u\n    sasl: EXTERNAL\n")),
            "up.yaml:8: sasl: EXTERNAL takes the name from the certificate: no user_name and "
            "password_file");
  EXPECT_EQ(why_bad(kind("rabbitmq", "amqps://h", "    sasl: SCRAM-SHA-256\n")),
            "up.yaml:5: sasl: RabbitMQ has PLAIN and EXTERNAL");
  EXPECT_EQ(why_bad(kind("kafka", "kafkas://h", pair + "    sasl: EXTERNAL\n")),
            "up.yaml:7: sasl: Kafka has no EXTERNAL: with a client certificate (cert_file) leave "
            "sasl out");
  EXPECT_EQ(why_bad(kind("kafka", "kafkas://h", pair)), "");
}

TEST(UplinkConfig, CommandsAreOfNamedTenantsByATopicThatNamesTheDevice) {
  const std::string good = "    tenants: [acme]\n    commands: true\n";
  auto all = parse_uplinks(one(good), "up.yaml");
  EXPECT_TRUE(all[0].commands);
  EXPECT_EQ(command_filter(all[0]), "berth/v1/+/+/+/command/+/request/+");
  EXPECT_EQ(command_topic(all[0], "berth/v1/acme/north/gate/command/7/request/open"),
            "$tenant/acme/v1/north/gate/command/7/request/open");
  EXPECT_EQ(command_topic(all[0], "berth/v1/b/north/gate/command/7/request/open"), "");
  all[0].sites = {"south"};
  EXPECT_EQ(command_topic(all[0], "berth/v1/acme/north/gate/command/7/request/open"), "");
  for (const char* topic : {"x/{device}/{tenant}-/{site}/{rest}", "x/{device}/{site}/{rest}",
                            "{tenant}/{site}/{device}/{rest}/x", "{tenant}/{site}/{device}"})
    EXPECT_EQ(why_bad(one(good + "    topic: '" + topic + "'\n")),
              "up.yaml:2: commands needs a topic with {tenant}, {site} and {device} as levels and "
              "{rest} at its end")
        << topic;
  EXPECT_EQ(why_bad(one("    commands: true\n")),
            "up.yaml:2: commands needs tenants: whose devices the platform may command");
}

TEST(UplinkConfig, TopicsOfThePlatform) {
  UplinkConfig c;
  c.topic = default_topic(Kind::mqtt);
  c.plain_topic = default_plain_topic(Kind::mqtt);
  EXPECT_EQ(upstream_topic(c, "$tenant/acme/v1/north/cam/event/plate"),
            "berth/v1/acme/north/cam/event/plate");
  EXPECT_EQ(upstream_topic(c, "$tenant/acme/v1/north/cam/sub/x/event/plate"),
            "berth/v1/acme/north/cam/sub/x/event/plate");
  EXPECT_EQ(upstream_topic(c, "lot/gate"), "berth/lot/gate");
  c.topic = "{site}/{tenant}/x";
  c.plain_topic = "{topic}";
  EXPECT_EQ(upstream_topic(c, "$tenant/acme/v1/north/cam/state"), "north/acme/x");
  EXPECT_EQ(upstream_topic(c, "lot/{site}"), "lot/{site}") << "what a device says is no template";
}

TEST(UplinkConfig, QueuesAreCutToWhatThereIsForAllOfThem) {
  std::vector<UplinkConfig> all(2);
  all[0].queue_bytes = 3'000'000;
  all[1].queue_bytes = 1'000'000;
  EXPECT_FALSE(fit_into(all, 4'000'000));
  EXPECT_TRUE(fit_into(all, 2'000'000));
  EXPECT_EQ(all[0].queue_bytes, 1'500'000u);
  EXPECT_EQ(all[1].queue_bytes, 500'000u);
  all[0].keep_hours = 1;
  all[0].keep_bytes = 2'000'000;
  EXPECT_TRUE(fit_into(all, 2'000'000)) << "what is kept counts";
  EXPECT_EQ(all[0].queue_bytes, 750'000u);
  EXPECT_EQ(all[0].keep_bytes, 1'000'000u);
}

TEST(UplinkConfig, WhatIsInOrder) {
  EXPECT_EQ(order_key("$tenant/acme/v1/north/cam/event/plate"), "acme/v1/north/cam");
  EXPECT_EQ(order_key("$tenant/acme/v1/north/cam/state"), "acme/v1/north/cam");
  EXPECT_EQ(order_key("lot/gate"), "lot/gate");
}

TEST(UplinkFiles, AreRegularSmallAndInTheirDirectory) {
  std::string path = std::filesystem::temp_directory_path() / "berth-files-XXXXXX";
  ASSERT_NE(mkdtemp(path.data()), nullptr);
  const std::string dir = path + "/files";
  ASSERT_EQ(::mkdir(dir.c_str(), 0700), 0);
  std::ofstream(dir + "/good") << "secret\n";
  std::ofstream(dir + "/large") << std::string(kSecretFileMax + 1, 'x');
  std::ofstream(path + "/outside") << "not yours";
  ASSERT_EQ(::mkfifo((dir + "/pipe").c_str(), 0600), 0);
  ASSERT_EQ(::symlink("/dev/zero", (dir + "/zero").c_str()), 0);
  ASSERT_EQ(::symlink("../outside", (dir + "/link").c_str()), 0);
  ASSERT_EQ(::symlink("good", (dir + "/inside").c_str()), 0);
  EXPECT_EQ(secret_in(dir + "/good"), "secret");
  for (const char* bad : {"pipe", "zero", "large", "none"})
    EXPECT_THROW(secret_in(dir + "/" + bad), std::runtime_error) << bad;
  UplinkConfig c;
  c.files_dir = dir;
  const auto checked = [&c, &dir](const char* file) {
    c.password_file = dir + "/" + file;
    check_files(c);
  };
  EXPECT_NO_THROW(checked("good"));
  EXPECT_NO_THROW(checked("inside")) << "as Kubernetes mounts secrets";
  for (const char* bad : {"pipe", "zero", "large", "link", "none"})
    EXPECT_THROW(checked(bad), std::runtime_error) << bad;
  std::filesystem::remove_all(path);
}

TEST(UplinkDefinitions, AreJsonWithNamesOfFilesInOneDirectory) {
  const auto why = [](const std::string& json, const std::string& name = "up",
                      const std::string& dir = "/d") -> std::string {
    try {
      read_definition(name, json, dir);
      return "";
    } catch (const std::runtime_error& e) {
      return e.what();
    }
  };
  const std::string good = R"({"kind":"mqtt","url":"mqtt://h","select":["event"])";
  EXPECT_EQ(why(good + "}"), "");
  EXPECT_EQ(
      read_definition("up", good + R"(,"user_name":"u","password_file":"p"})", "/d").password_file,
      "/d/p");
  EXPECT_NE(why(good + R"(,"user_name":"u","password_file":"p"})", "up", ""), "");
  for (const char* file : {"../p", "/etc/shadow", ".", "..", "a\nb"})
    EXPECT_NE(why(good + R"(,"user_name":"u","password_file":")" + file + "\"}"), "") << file;
  for (const char* name : {".", "..", "...", "a/b", ""})
    EXPECT_NE(why(good + "}", name), "") << name;
  for (const char* bad : {"[]", "{", "{}", "1"}) EXPECT_NE(why(bad), "") << bad;
  EXPECT_NE(why(good + R"(,"topics":[")" + std::string(kDefinitionMax, 'x') + "\"]}"), "");
}

}  // namespace
}  // namespace berth::gateway::uplink
