// Imports: what a YAML or CSV text may say, what it touches, and merge patches.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "gateway/registry/booleans.h"
#include "gateway/registry/merge.h"
#include "gateway/registry/password_hash.h"
#include "tests/gateway/registry_texts.h"

namespace berth::gateway::registry {
namespace {

TEST(Import, YamlTellsWhereItIsBad) {
  EXPECT_EQ(why_yaml(""), "");
  EXPECT_EQ(why_yaml("x: 1\n"), "line 1: unknown key 'x'");
  EXPECT_EQ(why_yaml("tenants:\n  - nam: x\n"), "line 2: a record without a name");
  EXPECT_EQ(why_yaml("tenants:\n  - name: a b\n").substr(0, 22), "line 2: tenant 'a b' i");
  EXPECT_EQ(why_yaml("tenants:\n  - name: a\n    devices:\n      - name: d\n        site: no\n"),
            "line 4: no site 'no' in tenant 'a'");
  EXPECT_NE(why_yaml("tenants:\n  - name: a\n    colour: red\n").find("colour"), std::string::npos);
  EXPECT_EQ(why_yaml("tenants:\n  - name: a\n  - name: a\n"), "line 3: 'a' twice");
  EXPECT_EQ(why_yaml("tenants: [{name: a, sites: [{name: s}], devices: [{name: d, site: s,"
                     " credentials: [{auth_id: d}]}]}]"),
            "line 1: credential 'd' has no password");
  EXPECT_EQ(why_yaml("tenants: [{name: a, sites: [{name: s, limits: {retained_messages: 1}}]}]"),
            "line 1: limits.retained_messages is a tenant's, not a site's");
  EXPECT_NE(why_yaml("tenants: [\n"), "");
  EXPECT_EQ(why_yaml("tenants:\n  - name: a\ntenants:\n  - name: b\n"),
            "line 3: key 'tenants' twice");
  EXPECT_EQ(why_yaml("tenants:\n  - {name: a, sites: [], sites: []}\n"),
            "line 2: key 'sites' twice");
  EXPECT_EQ(why_yaml("tenants:\n  - name: a\n    labels: {sites: a, name: a}\n    sites: []\n"), "")
      << "in maps of their own";
  EXPECT_EQ(why_yaml("tenants:\n  - name: a\n    sites:\n      - {name: a}\n      - {name: b}\n"),
            "");
  std::string bomb = "tenants:\n  - name: a\n    labels:\n      a0: &a0 {x: y}\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "      a" + std::to_string(i) + ": &a" + std::to_string(i) + " {a: " + before +
            ", b: " + before + "}\n";
  }
  EXPECT_NE(why_yaml(bomb).find("anchors and aliases are not taken"), std::string::npos);
  EXPECT_NE(why_yaml("tenants: [&a {name: a}]").find("anchors and aliases"), std::string::npos);
  EXPECT_NE(why_yaml("tenants: []\n---\ntenants: []\n").find("a second document"),
            std::string::npos);
  for (const char* topic : {"#", "+/x", "$SYS/x", "v1/x", "a/#/b"}) {
    EXPECT_NE(why_yaml(std::string("tenants: [{name: a, products: [{name: p, topics: ['") + topic +
                       "']}]}]"),
              "")
        << topic;
  }
}

// Protobuf would take the strings too, each for what it thinks.
TEST(Import, AStringIsNoBoolean) {
  const std::string head = "tenants:\n  - name: a\n";
  const std::string why = ": true or false is needed, without quotes, not ";
  EXPECT_EQ(why_yaml(head + "    enabled: \"no\"\n"), "line 3: enabled" + why + "\"no\"");
  EXPECT_EQ(why_yaml(head + "    sites:\n      - name: s\n        enabled: 'true'\n"),
            "line 5: enabled" + why + "\"true\"");
  EXPECT_EQ(why_yaml(head + "    products: [{name: p, messages: [{topic: t, report: event, fields: "
                            "{event_id: {from: /i, required: 'yes'}}}]}]\n"),
            "line 3: messages.fields.event_id.required" + why + "\"yes\"");
  EXPECT_EQ(why_yaml(head + "    enabled: no\n    labels: {enabled: \"no\"}\n"), "");
  const auto why_json = [](const char* text) {
    return registry::why([&] { check_booleans(Kind::product, parse_object(text)); });
  };
  EXPECT_EQ(why_json(R"({"messages":[{"fields":{"x":{"required":"no"}}}]})"),
            "messages.fields.x.required" + why + "\"no\"");
  EXPECT_EQ(why_json(R"({"messages":[{"fields":{"x":{"required":0}}}]})"),
            "messages.fields.x.required" + why + "0");
  EXPECT_EQ(why_json(R"({"messages":[{"fields":{"x":{"required":false}}}],"labels":{"a":"no"}})"),
            "");
}

TEST(Import, Csv) {
  const auto said = parse_csv(
      "\xef\xbb\xbftenant,site,device,auth_id,password,label.note\r\n"
      "acme,north,cam-1,cam-1,s1,\"a, \"\"b\"\"\"\r\n"
      "acme,north,cam-1,cam-1b,s2,\r\n"
      "\r\n"
      "acme,north,cam-2,,,x\r\n");
  ASSERT_EQ(said.size(), 2u);
  const auto& d = static_cast<const pb::Device&>(*said[0].message);
  EXPECT_EQ(d.credentials_size(), 2);
  EXPECT_EQ(d.labels().at("note"), "a, \"b\"");
  EXPECT_EQ(said[1].line, 5);
  EXPECT_EQ(why_csv("tenant,site\n"), "line 1: no column 'device'");
  EXPECT_EQ(why_csv("tenant,site,device,colour\n"), "line 1: unknown column 'colour'");
  EXPECT_EQ(why_csv("tenant,site,device\na,b\n"), "line 2: 2 cells, the first line has 3");
  EXPECT_EQ(why_csv("tenant,site,device\n\"a,b\n"), "line 3: a quote that does not end");
  EXPECT_EQ(why_csv("tenant,site,device\na,s,d\na,t,d\n"), "line 3: another site than in line 2");
  EXPECT_EQ(why_csv("tenant,site,device,enabled\na,s,d,perhaps\n").substr(0, 7), "line 2:");
  EXPECT_EQ(why_csv(""), "");
}

// A file is bounded as a whole, whatever it is made of.
TEST(Import, ABudgetForTheWholeFile) {
  std::string many = "tenants: [{name: a, sites: [";
  for (int i = 0; i < 100'001; ++i) many += "{name: s" + std::to_string(i) + "},";
  EXPECT_NE(why_yaml(many + "]}]").find("more than 100,000 records"), std::string::npos);
  std::string parts = "tenants: [";
  for (int i = 0; i < 1'000'100; ++i) parts += "1,";
  EXPECT_NE(why_yaml(parts + "]").find("more than 1,000,000 parts"), std::string::npos);
  EXPECT_NE(why_yaml(std::string(17 << 20, ' ')).find("16 MiB"), std::string::npos);
  EXPECT_NE(why_yaml(std::string(100'000, '[')), "");
  std::string csv = "tenant,site,device\n";
  for (int i = 0; i < 100'001; ++i) csv += "a,s,d" + std::to_string(i) + "\n";
  EXPECT_NE(why_csv(csv).find("more than 100,000 records"), std::string::npos);
}

// A backup: what it does not say was not so then.
TEST(Import, ReplacesWhatItNames) {
  std::map<std::string, std::string, std::less<>> there;
  const auto find = [&](std::string_view key) -> const std::string* {
    const auto it = there.find(key);
    return it == there.end() ? nullptr : &it->second;
  };
  const auto import = [&](const std::string& yaml, bool replace) {
    std::vector<Said> said = parse_yaml(yaml);
    const auto writes = to_writes(said, find, {.hashing = 1, .replace = replace});
    for (const Write& w : writes) there[w.key] = *w.value;
    return writes.size();
  };
  import(kSite, false);
  const auto backup = there;
  const std::string changes = R"(
tenants:
  - name: acme
    enabled: false
    limits: {connections: 5}
    devices: [{name: cam-1, enabled: false, labels: {lane: "2", more: x}}]
    accounts: [{name: platform, sites: [north, south]}]
)";
  EXPECT_EQ(import(changes, false), 3u);
  const std::string without_secrets = R"(
tenants:
  - name: acme
    devices:
      - name: cam-1
        site: north
        product: lane-camera
        labels: {lane: "1"}
        credentials: [{auth_id: cam-1, type: password}, {certificate: cam-1.acme.example, type: x509}]
    accounts:
      - {name: platform, role: service, sites: [north], credentials: [{auth_id: platform, type: password}]}
)";
  EXPECT_EQ(import(without_secrets, false), 2u) << "labels and sites are named, the rest is not";
  EXPECT_NE(there["d/acme/cam-1"], backup.at("d/acme/cam-1"));
  EXPECT_EQ(import(without_secrets, true), 2u);
  EXPECT_EQ(there, backup) << "secrets that it does not say stay";
}

TEST(Import, APasswordThatIsTheSameStaysAsItIsHashed) {
  const std::string csv = "tenant,site,device,auth_id,password\na,s,d,x,secret\n";
  const std::string place = "tenants: [{name: a, sites: [{name: s}]}]";
  std::map<std::string, std::string, std::less<>> there;
  const auto find = [&](std::string_view key) -> const std::string* {
    const auto it = there.find(key);
    return it == there.end() ? nullptr : &it->second;
  };
  std::int64_t left = 25;
  const auto import = [&](std::vector<Said> said) {
    const auto writes = to_writes(said, find, {.hashing = {10, &left}});
    for (const Write& w : writes) there[w.key] = *w.value;
    return writes.size();
  };
  import(parse_yaml(place));
  EXPECT_EQ(import(parse_csv(csv)), 1u);
  EXPECT_EQ(import(parse_csv(csv)), 0u);
  EXPECT_EQ(left, 15);
  EXPECT_EQ(import(parse_csv("tenant,site,device,auth_id,password\na,s,d,x,other\n")), 1u);
  EXPECT_EQ(import(parse_csv("tenant,site,device,auth_id,password\na,s,d,x,other\n")), 1u)
      << "no more is spent on it";
  EXPECT_EQ(left, 5);
}

TEST(Import, AnAccountNamesSitesThatThereAre) {
  const auto refused = [](const std::string& yaml, const Find& find) {
    std::vector<Said> said = parse_yaml(yaml);
    return why([&] { to_writes(said, find, {.hashing = 1, .known_sites = true}); });
  };
  const std::string account =
      "tenants: [{name: a, sites: [{name: s}], accounts: [{name: p, role: "
      "service, sites: [s, zz], credentials: [{auth_id: p, password: p}]}]}]";
  EXPECT_EQ(refused(account, kNothing), "line 1: no site 'zz' in tenant 'a'");
  std::vector<Said> said = parse_yaml(account);
  std::map<std::string, std::string, std::less<>> there;
  for (const Write& w : to_writes(said, kNothing, {.hashing = 1})) there[w.key] = *w.value;
  EXPECT_EQ(refused(account,
                    [&](std::string_view key) -> const std::string* {
                      const auto it = there.find(key);
                      return it == there.end() ? nullptr : &it->second;
                    }),
            "")
      << "of an older release";
  EXPECT_EQ(why_yaml("tenants: [{name: a}]"), "");
  EXPECT_EQ(why_csv("tenant,site,device\n"), "");
}

// What is there already keeps all that an import does not name.
TEST(Import, TouchesWhatItNames) {
  std::map<std::string, std::string, std::less<>> there;
  const auto find = [&](std::string_view key) -> const std::string* {
    const auto it = there.find(key);
    return it == there.end() ? nullptr : &it->second;
  };
  const auto import = [&](std::vector<Said> said) {
    const auto writes = to_writes(std::move(said), find, 1);
    for (const Write& w : writes) there[w.key] = *w.value;
    return writes.size();
  };
  const auto json = [&](const std::string& key) { return to_json(parse_key(key), there[key]); };
  import(parse_yaml(R"(
tenants:
  - name: acme
    enabled: false
    envelopes: json
    limits: {connections: 5, sessions: 6}
    sites: [{name: north, time_zone: Asia/Shanghai, labels: {a: "1", b: "2"}}]
    devices:
      - name: cam
        site: north
        enabled: false
        labels: {lane: "1"}
        credentials: [{auth_id: one, password: p}, {auth_id: two, password: p}]
)"));
  const std::string tenant = json("t/acme");
  const std::string device = there["d/acme/cam"];
  EXPECT_EQ(import(parse_yaml("tenants: [{name: acme, products: [{name: p, topics: ['x/%d']}]}]")),
            1U)
      << "only the product";
  EXPECT_EQ(json("t/acme"), tenant);
  EXPECT_EQ(import(parse_csv("tenant,site,device,enabled,auth_id\nacme,north,cam,,\n")), 0U);
  EXPECT_EQ(there["d/acme/cam"], device);
  EXPECT_EQ(import(parse_csv("tenant,site,device,label.floor\nacme,north,cam,2\n")), 1U);
  EXPECT_EQ(import(parse_csv("tenant,site,device,auth_id,password\nacme,north,cam,three,p\n"
                             "acme,north,cam,one,new\n")),
            1U);
  pb::Device d;
  ASSERT_TRUE(d.ParseFromString(there["d/acme/cam"]));
  EXPECT_EQ(d.credentials_size(), 3);
  EXPECT_FALSE(d.enabled());
  EXPECT_EQ(d.labels().at("lane") + d.labels().at("floor"), "12");
  import(
      parse_yaml("tenants: [{name: acme, limits: {connections: 7}, sites: [{name: north, "
                 "labels: {b: '3', a: null}}]}]"));
  EXPECT_EQ(json("t/acme"), R"({"name":"acme","enabled":false,"limits":{"connections":7,)"
                            R"("sessions":6},"envelopes":"json"})");
  EXPECT_NE(json("s/acme/north").find(R"("labels":{"b":"3"})"), std::string::npos);
  EXPECT_NE(json("s/acme/north").find("Asia/Shanghai"), std::string::npos);
  EXPECT_EQ(import(parse_yaml("tenants: [{name: acme, devices: [{name: cam, labels: {x: y}}]}]")),
            1U)
      << "its site is known";
}

TEST(Merge, IsAJsonMergePatch) {
  const Key key = parse_key("s/acme/north");
  const auto said = from_json(Kind::site, R"({"time_zone":"UTC","labels":{"a":"1"}})");
  const std::string stored = normalized(key, *said, nullptr, 1);
  const auto patched = [&](const std::string& patch) {
    const auto m = merged(Kind::site, stored, parse_object(patch), false);
    return to_json(key, normalized(key, *m, nullptr, 1));
  };
  EXPECT_EQ(patched("{}"), to_json(key, stored));
  EXPECT_EQ(patched(R"({"timeZone":"Asia/Tokyo"})"),
            R"({"name":"north","labels":{"a":"1"},"time_zone":"Asia/Tokyo"})");
  EXPECT_EQ(boost::json::parse(patched(R"({"labels":{"b":"2"},"time_zone":null})")),
            boost::json::parse(R"({"name":"north","labels":{"a":"1","b":"2"}})"));
  EXPECT_EQ(patched(R"({"labels":null})"), R"({"name":"north","time_zone":"UTC"})");
  EXPECT_THROW(patched(R"({"colour":"red"})"), BadRecord);
  EXPECT_THROW(parse_object("[]"), BadRecord);
  const auto other = from_json(Kind::site, R"({"time_zone":"CET","labels":{"a":"1"}})");
  const std::string now = normalized(key, *other, nullptr, 1);
  EXPECT_EQ(boost::json::serialize(difference("s/acme/north", &stored, &now)),
            R"({"record":"sites/acme/north","action":"update",)"
            R"("fields":{"time_zone":{"from":"UTC","to":"CET"}}})");
  EXPECT_EQ(difference("s/acme/north", nullptr, &now).at("action"), "create");
}

}  // namespace
}  // namespace berth::gateway::registry
