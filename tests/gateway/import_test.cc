// Imports: what a YAML or CSV text may say, what it touches, and merge patches.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "base/charset.h"
#include "gateway/registry/booleans.h"
#include "gateway/registry/csv.h"
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

std::string whole(const std::string& path) {
  std::ifstream in(std::string(BERTH_SOURCE "/") + path);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

// As Excel in China saves a table, and as anything else does.
TEST(Import, CsvInChinese) {
  const std::string table =
      "租户,车场,设备编号,名称,启用,产品,标签.车道\r\nacme,north,cam-1,1号入口,是,,入口1\r\n"
      "acme,north,cam-2,,否,,\r\n,,,,,,\r\n";
  const std::string gb = *base::from_utf8(base::Charset::gb18030, table);
  for (const std::string& text : {table, "\xef\xbb\xbf" + table, gb}) {
    const auto said = parse_csv(text);
    ASSERT_EQ(said.size(), 2u);
    const auto& d = static_cast<const pb::Device&>(*said[0].message);
    EXPECT_EQ(d.name() + d.display_name(), "cam-11号入口");
    EXPECT_EQ(d.labels().at("车道"), "入口1");
    EXPECT_TRUE(d.enabled());
    const auto& off = static_cast<const pb::Device&>(*said[1].message);
    EXPECT_FALSE(enabled(off));
  }
  EXPECT_EQ(why_csv("租户,车场,设备编号,颜色\n"), "line 1: unknown column '颜色'");
  EXPECT_EQ(why_csv("租户,车场,设备编号,tenant\n"), "line 1: column 'tenant' twice");
  EXPECT_EQ(why_csv("租户,车场\n"), "line 1: no column 'device'");
  EXPECT_EQ(why_csv("tenant,site,device\na,\xff\xff,b\n"),
            "line 1: the table is neither UTF-8 nor GB 18030");
  EXPECT_EQ(why_csv(std::string("\xff\xfet\0", 4)),
            "line 1: the table is UTF-16: save it as CSV in UTF-8");
}

TEST(Import, TheDocsHaveTheColumns) {
  const std::string page = whole("docs/registry.md");
  for (const CsvColumn& c : csv_columns())
    EXPECT_NE(page.find("| `" + std::string(c.name) + "` | " + std::string(c.in_chinese) + " |"),
              std::string::npos)
        << c.name;
}

// What goes out comes in as it was, in each encoding.
TEST(Import, CsvGoesOutAndComesIn) {
  pb::Device d;
  d.set_name("cam-1");
  d.set_site("north");
  d.set_display_name("车道1, \"东\"");
  d.set_product("p");
  d.set_enabled(false);
  d.set_firmware("5.1");
  d.set_parent("box");
  d.set_child("left");
  d.set_executor("cam-2");
  (*d.mutable_labels())["说明"] = "=1+1\nzwei";
  (*d.mutable_labels())["b"] = "''=x";
  (*d.mutable_labels())["c"] = "'plain";
  for (const char* id : {"one", "two"}) {
    auto* c = d.add_credentials();
    c->set_auth_id(id);
    c->set_password_hash("$7$1$AAAA$AAAA");
  }
  d.mutable_credentials(1)->mutable_not_after()->set_seconds(1'795'000'000);
  pb::Device bare;
  bare.set_name("cam-2");
  bare.set_site("north");
  for (const CsvEncoding e : {CsvEncoding::utf8, CsvEncoding::utf8_bom, CsvEncoding::gb18030}) {
    CsvWriter w(e, Secrets::shown);
    w.look_at(d);
    w.look_at(bare);
    const std::string text = w.head() + w.lines("acme", d) + w.lines("acme", bare);
    EXPECT_EQ(text.starts_with("\xef\xbb\xbf"), e == CsvEncoding::utf8_bom);
    EXPECT_EQ(base::is_utf8(text), e != CsvEncoding::gb18030);
    const auto said = parse_csv(text);
    ASSERT_EQ(said.size(), 2u);
    EXPECT_EQ(deterministic(*said[0].message), deterministic(d)) << said[0].message->DebugString();
    EXPECT_EQ(deterministic(*said[1].message), deterministic(bare));
  }
  CsvWriter hidden(CsvEncoding::utf8, Secrets::left_out);
  hidden.look_at(d);
  EXPECT_EQ(hidden.lines("acme", d).find("$7$"), std::string::npos);
  EXPECT_NE(hidden.lines("acme", d).find("\"'=1+1"), std::string::npos)
      << "no spreadsheet takes it for a formula";
  EXPECT_EQ(csv_encoding("gbk"), std::nullopt);
  for (std::size_t i = 0; i < 2 * CsvWriter::kLabelsMax; ++i)
    (*d.mutable_labels())["l" + std::to_string(i)] = "x";
  hidden.look_at(d);
  EXPECT_TRUE(hidden.labels_left_out());
  const std::string head = hidden.head();
  EXPECT_LT(std::count(head.begin(), head.end(), ','), 120);
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
