// Records, imports, the index of log-ins, and each kind of store behind one contract.
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sqlite3.h>
#include <boost/json.hpp>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "gateway/registry/file_registry.h"
#include "gateway/registry/import.h"
#include "gateway/registry/merge.h"
#include "gateway/registry/password_hash.h"
#include "gateway/registry/redis_registry.h"
#include "gateway/registry/registry.h"
#include "gateway/registry/sqlite_registry.h"
#include "tests/support/redis_server.h"

namespace berth::gateway::registry {
namespace {

using session::Principal;
using session::Role;

const auto kNothing = [](std::string_view) -> const std::string* { return nullptr; };

constexpr const char* kSite = R"(
tenants:
  - name: acme
    sites: [{name: north}, {name: south, enabled: false}]
    products:
      - name: lane-camera
        topics: ["device/%d/#", "site/%s/+"]
    devices:
      - name: cam-1
        site: north
        product: lane-camera
        labels: {lane: "1"}
        credentials:
          - {auth_id: cam-1, password: secret}
          - {certificate: cam-1.acme.example}
      - {name: cam-2, site: south, credentials: [{auth_id: cam-2, password: secret}]}
    accounts:
      - {name: platform, role: service, sites: [north], credentials: [{auth_id: platform, password: p}]}
      - {name: eve, role: operator, credentials: [{auth_id: eve, password: e}]}
  - name: other
    sites: [{name: north}]
    devices:
      - {name: cam-1, site: north, credentials: [{auth_id: cam-1, password: other}]}
)";

Changes changes_of(const std::string& yaml) {
  Changes c{.whole = true, .list = {}};
  for (const Write& w : to_writes(parse_yaml(yaml), kNothing, 1))
    c.list.push_back({w.key, w.value});
  return c;
}

std::string why(const std::function<void()>& f) {
  try {
    f();
    return {};
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}
std::string why_yaml(const std::string& text) {
  return why([&] { to_writes(parse_yaml(text), kNothing, 1); });
}
std::string why_csv(const std::string& text) {
  return why([&] { parse_csv(text); });
}

TEST(PasswordHash, WhatIsMadeIsVerified) {
  const std::string text = PasswordHash::make("secret", 3);
  std::string reason;
  const auto h = PasswordHash::parse(text, reason);
  ASSERT_TRUE(h) << reason;
  EXPECT_TRUE(h->verify("secret"));
  EXPECT_FALSE(h->verify("Secret"));
  EXPECT_NE(text, PasswordHash::make("secret", 3)) << "salted";
}

TEST(Registry, ALogInLeadsToAScope) {
  Registry r("acme");
  EXPECT_FALSE(r.loaded());
  r.apply(changes_of(kSite));
  EXPECT_TRUE(r.loaded());
  const auto cam = r.find_login("cam-1@acme");
  ASSERT_TRUE(cam && cam->scope);
  EXPECT_EQ(cam->scope->who(), (Principal{"acme", Role::device, "cam-1"}));
  EXPECT_EQ(cam->scope->allowed(), (std::vector<std::string>{"device/cam-1/#", "site/north/+"}));
  EXPECT_EQ(r.find_login("cam-1")->scope->who().tenant, "acme");
  EXPECT_EQ(r.find_login("cam-1@other")->scope->who().tenant, "other");
  EXPECT_FALSE(r.find_login("cam-1@nobody"));
  EXPECT_FALSE(r.find_login("cam-1@"));
  EXPECT_FALSE(r.find_login("@acme"));
  EXPECT_FALSE(r.find_login(""));
  EXPECT_FALSE(r.find_login("cam-2@acme")->scope) << "its site is disabled";
  EXPECT_EQ(r.find_certificate("cam-1.acme.example", {})->scope->who().name, "cam-1");
  EXPECT_FALSE(r.find_certificate("cam-1", {}));
  EXPECT_EQ(r.find_login("platform")->scope->allowed(), std::vector<std::string>{"north"});
  EXPECT_EQ(r.find_login("eve")->scope->who().role, Role::operator_);
}

// Whose sessions and retained messages go.
TEST(Registry, SaysWhatHasBeenRemoved) {
  Registry r("");
  const Changes c = changes_of(kSite);
  r.apply(c);
  const auto change = [&](const std::string& key, std::optional<std::string> value) {
    return r.apply({.whole = false, .list = {{key, std::move(value)}}});
  };
  pb::Device d;
  ASSERT_TRUE(d.ParseFromString(*r.find("d/acme/cam-1")));
  d.set_site("south");
  const session::Concerned moved = change("d/acme/cam-1", d.SerializeAsString());
  EXPECT_EQ(moved.removed_topics, std::vector<std::string>{"$tenant/acme/v1/north/cam-1/#"})
      << "device/cam-1/# is as good at the other site";
  EXPECT_TRUE(moved.removed_principals.empty()) << "it is the same one";
  EXPECT_FALSE(r.keeps_retained("$tenant/acme/v1/north/cam-1/state"));
  EXPECT_TRUE(r.keeps_retained("$tenant/acme/v1/south/cam-1/state"));
  EXPECT_TRUE(r.keeps_retained("$tenant/acme/v1/north/today")) << "a service's own";
  EXPECT_TRUE(r.keeps_retained("$SYS/x"));
  const session::Concerned gone = change("d/acme/cam-1", std::nullopt);
  EXPECT_EQ(gone.removed_topics, (std::vector<std::string>{"$tenant/acme/v1/south/cam-1/#",
                                                           "$tenant/acme/device/cam-1/#"}));
  EXPECT_TRUE(gone.has_removed(Principal{"acme", Role::device, "cam-1"}.key()));
  EXPECT_FALSE(r.keeps_retained("$tenant/acme/v1/south/cam-1/state"));
  EXPECT_TRUE(change("a/acme/eve", std::nullopt)
                  .has_removed(Principal{"acme", Role::operator_, "eve"}.key()));
  EXPECT_EQ(change("s/acme/south", std::nullopt).removed_topics,
            std::vector<std::string>{"$tenant/acme/v1/south/#"});
  const session::Concerned tenant = change("t/acme", std::nullopt);
  EXPECT_EQ(tenant.removed_topics, std::vector<std::string>{"$tenant/acme/#"});
  EXPECT_TRUE(tenant.has_removed(Principal{"acme", Role::service, "platform"}.key()));
  EXPECT_FALSE(tenant.has_removed(Principal{"other", Role::device, "cam-1"}.key()));
  EXPECT_FALSE(r.keeps_retained("$tenant/acme/v1/x"));
  EXPECT_TRUE(r.keeps_retained("$tenant/other/v1/north/cam-1/state"));
}

TEST(Registry, AWillIsSaidAlsoOfWhoIsGone) {
  Registry r("");
  r.apply(changes_of(kSite));
  const Principal off{"acme", Role::device, "cam-2"};
  ASSERT_FALSE(r.scope_of(off)) << "its site is disabled";
  ASSERT_TRUE(r.scope_of_will(off, "south"));
  EXPECT_EQ(r.scope_of_will({"acme", Role::device, "nobody"}, "north")->site(), "north");
  EXPECT_FALSE(r.scope_of_will({"nobody", Role::device, "cam"}, "north"));
}

TEST(Registry, ChangesShowAtOnce) {
  Registry r("");
  Changes c = changes_of(kSite);
  EXPECT_TRUE(r.apply(c).empty()) << "nobody was there before";
  EXPECT_TRUE(r.apply({.whole = false, .list = c.list}).empty()) << "nothing has changed";
  const Principal cam{"acme", Role::device, "cam-1"};
  ASSERT_TRUE(r.scope_of(cam));
  pb::Tenant t;
  t.set_name("acme");
  t.set_enabled(false);
  const auto tenant = r.apply({.whole = false, .list = {{"t/acme", t.SerializeAsString()}}});
  EXPECT_TRUE(tenant.has(cam.key()));
  EXPECT_FALSE(tenant.has(Principal{"other", Role::device, "cam-1"}.key()));
  EXPECT_FALSE(tenant.has(Principal{"acm", Role::device, "cam-1"}.key()));
  EXPECT_FALSE(r.scope_of(cam));
  EXPECT_TRUE(r.exists(cam.key()));
  EXPECT_TRUE(r.find_login("cam-1@acme")) << "known, and may not come in";
  const auto one = r.apply({.whole = false, .list = {{"d/acme/cam-1", std::nullopt}}});
  EXPECT_TRUE(one.has(cam.key()));
  EXPECT_FALSE(one.has(Principal{"acme", Role::device, "cam-2"}.key()));
  EXPECT_FALSE(one.has(Principal{"acme", Role::service, "cam-1"}.key()));
  EXPECT_FALSE(r.exists(cam.key()));
  EXPECT_FALSE(r.find_login("cam-1@acme"));
  EXPECT_TRUE(r.find_login("cam-1@other")->scope);
  EXPECT_EQ(r.count(Kind::device), 2u);
  Changes rest{.whole = true, .list = {}};
  for (const Change& each : c.list) {
    if (each.key.find("/other") != std::string::npos) rest.list.push_back(each);
  }
  EXPECT_FALSE(r.apply(rest).empty());
  EXPECT_FALSE(r.find_login("eve@acme"));
  EXPECT_TRUE(r.find_login("cam-1@other")->scope);
}

TEST(Registry, OneCredentialOfTwoIsNobodys) {
  Registry r("");
  Changes c = changes_of(kSite);
  pb::Device d;
  d.set_name("copy");
  d.set_site("north");
  auto& cred = *d.add_credentials();
  cred.set_type("password");
  cred.set_auth_id("cam-1");
  EXPECT_EQ(why([&] { message_of(Kind::device, d.SerializeAsString()); }), "");
  r.apply(c);
  EXPECT_EQ(r.holder_of("d/acme/copy", d), "d/acme/cam-1");
  EXPECT_EQ(r.holder_of("d/acme/cam-1", d), "");
  r.apply({.whole = false, .list = {{"d/acme/copy", d.SerializeAsString()}}});
  EXPECT_FALSE(r.find_login("cam-1@acme"));
  // Also when the one that is found first may not come in.
  for (const auto& [off, on] : {std::pair("cam-1", "copy"), std::pair("copy", "cam-1")}) {
    Registry other("");
    other.apply(c);
    const auto put = [&](const char* name, bool enabled) {
      pb::Device device = d;
      device.set_name(name);
      device.set_enabled(enabled);
      other.apply(
          {.whole = false, .list = {{std::string("d/acme/") + name, device.SerializeAsString()}}});
    };
    put(off, false);
    put(on, true);
    EXPECT_FALSE(other.find_login("cam-1@acme")) << off;
  }
}

TEST(Registry, ARotationHasTwoPasswordsForATime) {
  pb::Credential c;
  const base::Instant now{1'000'000};
  EXPECT_TRUE(in_time(c, now));
  c.mutable_not_before()->set_seconds(1001);
  EXPECT_FALSE(in_time(c, now));
  c.mutable_not_before()->set_seconds(1000);
  c.mutable_not_after()->set_seconds(1001);
  EXPECT_TRUE(in_time(c, now));
  c.mutable_not_after()->set_seconds(1000);
  EXPECT_FALSE(in_time(c, now));
}

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

TEST(Records, SecretsComeInAndDoNotGoOut) {
  const Key key = parse_key("d/acme/cam-1");
  auto said = from_json(Kind::device, R"({"site":"north","credentials":[
      {"auth_id":"a","password":"secret"},{"auth_id":"k","key":"MDEyMzQ1Njc4OWFiY2RlZg=="}]})");
  const std::string stored = normalized(key, *said, nullptr, 1);
  EXPECT_EQ(stored.find("secret"), std::string::npos);
  const std::string json = to_json(key, stored);
  EXPECT_EQ(json.find("$7$"), std::string::npos);
  EXPECT_EQ(json.find("MDEyMz"), std::string::npos);
  EXPECT_NE(json.find("\"auth_id\":\"k\""), std::string::npos);
  // What comes back as it went out keeps its secrets.
  auto again = from_json(Kind::device, json);
  const auto old = message_of(Kind::device, stored);
  EXPECT_EQ(normalized(key, *again, old.get(), 1), stored);
}

// -- stores

struct Place {
  virtual ~Place() = default;
  virtual std::unique_ptr<RegistryStore> open() = 0;
  virtual std::int64_t remembers() = 0;  // records, those that were removed too
};
struct SqlitePlace : Place {
  SqlitePlace() {
    std::string name = std::filesystem::temp_directory_path() / "berth-registry-XXXXXX";
    directory = mkdtemp(name.data());
  }
  ~SqlitePlace() override { std::filesystem::remove_all(directory); }
  std::unique_ptr<RegistryStore> open() override {
    return std::make_unique<SqliteRegistry>(path());
  }
  std::int64_t remembers() override {
    sqlite3* db = nullptr;
    sqlite3_stmt* s = nullptr;
    std::int64_t n = -1;
    if (sqlite3_open(path().c_str(), &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT COUNT(*) FROM registry", -1, &s, nullptr) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
      n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
  }
  std::string path() const { return directory + "/new/registry.db"; }
  std::string directory;
};
struct RedisPlace : Place {
  std::unique_ptr<RegistryStore> open() override {
    session::RedisOptions o;
    o.address = session::parse_redis_url(server.url());
    return std::make_unique<RedisRegistry>(o, "t:", RedisRegistry::Copies{});
  }
  std::int64_t remembers() override { return server.call({"ZCARD", "t:registry:changed"}).integer; }
  test::RedisServer server;
};

class RegistryStores : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) == "sqlite") place_ = std::make_unique<SqlitePlace>();
    if (std::string(GetParam()) == "redis") place_ = std::make_unique<RedisPlace>();
    a_ = place_->open();
    b_ = place_->open();
  }
  std::unique_ptr<Place> place_;
  std::unique_ptr<RegistryStore> a_;  // two processes
  std::unique_ptr<RegistryStore> b_;
};

TEST_P(RegistryStores, WhatOneWritesTheOtherReads) {
  EXPECT_TRUE(b_->read().list.empty());
  ASSERT_TRUE(a_->write({{"t/a", "1", {}}, {"t/b", std::string("\0x", 2), {}}}));
  Registry r("");
  r.apply(b_->read());
  EXPECT_EQ(*r.find("t/a"), "1");
  EXPECT_EQ(*r.find("t/b"), std::string("\0x", 2));
  EXPECT_TRUE(b_->read().list.empty());
  ASSERT_TRUE(a_->write({{"t/a", std::nullopt, {}}, {"t/b", "2", {}}}));
  const Changes c = b_->read();
  EXPECT_FALSE(c.whole);
  EXPECT_EQ(c.list.size(), 2u);
  r.apply(c);
  EXPECT_EQ(r.find("t/a"), nullptr);
  EXPECT_EQ(*r.find("t/b"), "2");
  Registry fresh("");
  fresh.apply(place_->open()->read());
  EXPECT_EQ(fresh.find("t/a"), nullptr);
  EXPECT_EQ(*fresh.find("t/b"), "2");
}

TEST_P(RegistryStores, WhoExpectsSomethingElseWritesNothing) {
  ASSERT_TRUE(a_->write({{"t/a", "1", std::string()}}));
  EXPECT_FALSE(b_->write({{"t/b", "1", {}}, {"t/a", "2", std::string()}}));
  EXPECT_FALSE(b_->write({{"t/a", "2", "0"}}));
  EXPECT_TRUE(b_->write({{"t/a", "2", "1"}}));
  Registry r("");
  r.apply(a_->read());
  EXPECT_EQ(r.find("t/b"), nullptr);
  EXPECT_EQ(*r.find("t/a"), "2");
}

TEST_P(RegistryStores, Many) {
  std::vector<Write> writes;
  for (int i = 0; i < 3000; ++i) writes.push_back({"d/a/" + std::to_string(i), "v", {}});
  ASSERT_TRUE(a_->write(writes));
  EXPECT_EQ(b_->read().list.size(), 3000u);
  for (Write& w : writes) w.value = "w";
  ASSERT_TRUE(a_->write(writes));
  EXPECT_EQ(b_->read().list.size(), 3000u);
}

// Of two changes between two reads the first counts too: what was kept for the one before goes.
TEST_P(RegistryStores, WhatWasRemovedAndIsThereAgainIsToldTwice) {
  pb::Device d;
  d.set_name("cam");
  d.set_site("north");
  const std::string cam = d.SerializeAsString();
  ASSERT_TRUE(a_->write({{"t/acme", "", {}}, {"d/acme/cam", cam, {}}, {"d/acme/door", cam, {}}}));
  Registry r("");
  r.apply(b_->read());
  ASSERT_TRUE(a_->write({{"d/acme/cam", std::nullopt, {}}, {"d/acme/nobody", std::nullopt, {}}}));
  ASSERT_TRUE(a_->write({{"d/acme/cam", cam, {}}}));
  const Changes c = b_->read();
  EXPECT_EQ(c.removals, 1) << "of records that there were";
  const session::Concerned who = r.apply(c);
  EXPECT_TRUE(who.has_removed(Principal{"acme", Role::device, "cam"}.key()));
  EXPECT_FALSE(who.has_removed(Principal{"acme", Role::device, "door"}.key()));
  EXPECT_EQ(who.removed_topics, std::vector<std::string>{"$tenant/acme/v1/north/cam/#"});
  EXPECT_NE(r.find("d/acme/cam"), nullptr);
  EXPECT_TRUE(b_->read().list.empty());
  EXPECT_EQ(a_->read().removals, 1);
}

// Else it would grow with every device that ever was.
TEST_P(RegistryStores, WhatWasRemovedIsForgottenInTheEnd) {
  const int half = kRemovedKept * 2 / 3;
  const auto devices = [&](int from, std::optional<std::string> value) {
    std::vector<Write> writes;
    for (int i = from; i < from + half; ++i)
      writes.push_back({"d/a/" + std::to_string(i), value, {}});
    return writes;
  };
  ASSERT_TRUE(a_->write({{"t/stays", "1", {}}, {"t/goes", "1", {}}, {"t/comes back", "1", {}}}));
  ASSERT_TRUE(a_->write(devices(0, "v")));
  ASSERT_TRUE(a_->write(devices(half, "v")));
  const auto keeps_up = place_->open();
  Registry late("");
  Registry current("");
  late.apply(b_->read());
  current.apply(keeps_up->read());
  ASSERT_TRUE(a_->write({{"t/goes", std::nullopt, {}}, {"t/comes back", std::nullopt, {}}}));
  for (const int from : {0, half}) {
    ASSERT_TRUE(a_->write(devices(from, std::nullopt)));
    ASSERT_TRUE(a_->write({{"t/comes back", std::to_string(from), {}}}));
    const Changes c = keeps_up->read();
    EXPECT_FALSE(c.whole);
    current.apply(c);
  }
  EXPECT_LE(place_->remembers(), kRemovedKept + 2);
  const Changes c = b_->read();
  EXPECT_TRUE(c.whole) << "its own changes can't be told any more";
  late.apply(c);
  EXPECT_TRUE(b_->read().list.empty());
  for (const Registry* r : {&late, &current}) {
    ASSERT_NE(r->find("t/stays"), nullptr);
    ASSERT_NE(r->find("t/comes back"), nullptr);
    EXPECT_EQ(*r->find("t/comes back"), std::to_string(half));
    EXPECT_EQ(r->find("t/goes"), nullptr);
    EXPECT_EQ(r->find("d/a/0"), nullptr);
    EXPECT_EQ(r->find("d/a/" + std::to_string(2 * half - 1)), nullptr);
  }
}

INSTANTIATE_TEST_SUITE_P(All, RegistryStores, ::testing::Values("sqlite", "redis"),
                         [](const auto& each) { return std::string(each.param); });

TEST(RedisRegistry, AnEmptyServerIsAnEmptyRegistry) {
  RedisPlace place;
  auto a = place.open();
  auto b = place.open();
  ASSERT_TRUE(a->write({{"t/a", "1", {}}}));
  Registry r("");
  r.apply(b->read());
  session::RedisOptions o;
  o.address = session::parse_redis_url(place.server.url());
  session::RedisConnection raw(o);
  raw.connect();
  raw.call({"FLUSHALL"});
  const Changes c = b->read();
  EXPECT_TRUE(c.whole);
  EXPECT_FALSE(r.apply(c).empty());
  EXPECT_EQ(r.find("t/a"), nullptr);
}

class RegistryFile : public ::testing::Test {
 protected:
  RegistryFile() {
    std::string name = std::filesystem::temp_directory_path() / "berth-registry-XXXXXX";
    directory_ = mkdtemp(name.data());
    path_ = directory_ + "/registry.yaml";
  }
  ~RegistryFile() override { std::filesystem::remove_all(directory_); }
  // As an editor that replaces the file.
  void put(const std::string& text) {
    std::ofstream(path_ + ".new") << text;
    std::filesystem::rename(path_ + ".new", path_);
  }
  std::string directory_, path_;
};

TEST_F(RegistryFile, IsReadAgainWhenItHasSettled) {
  put(kSite);
  FileRegistry f(path_);
  const Changes first = f.read();
  EXPECT_TRUE(first.whole);
  EXPECT_EQ(first.list.size(), 11u);
  const Changes same = f.read();
  EXPECT_TRUE(same.list.empty() && !same.pending);
  Registry r("");
  r.apply(first);
  put(std::string(kSite) + "  - name: third\n");
  const Changes half = f.read();
  EXPECT_TRUE(half.pending && !half.whole) << "it may be half written";
  const Changes again = f.read();
  EXPECT_EQ(again.list.size(), 12u);
  EXPECT_TRUE(r.apply(again).empty()) << "what was there is as it was, its password hashes too";
  EXPECT_NE(r.find("t/third"), nullptr);
}

// Which records have changed; what stands in them is no matter of the log.
TEST_F(RegistryFile, AChangeIsLogged) {
  std::ostringstream out;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out)));
  const auto device = [](const std::string& name, const std::string& password) {
    return "{name: " + name + ", site: n, credentials: [{auth_id: " + name +
           ", password: " + password + "}]}";
  };
  const auto site = [](const std::string& devices) {
    return "tenants: [{name: acme, sites: [{name: n}], devices: [" + devices + "]}]";
  };
  put(site(device("a", "secret1") + ", " + device("b", "secret2")));
  FileRegistry f(path_);
  f.read();
  EXPECT_EQ(out.str(), "");
  put(site(device("a", "secret3") + ", " + device("c", "secret4")));
  f.read();
  f.read();
  spdlog::set_default_logger(before);
  EXPECT_NE(out.str().find("registry file read again"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("records=4 added=1 changed=1 removed=1"), std::string::npos)
      << out.str();
  EXPECT_NE(out.str().find("changed d/acme/a, removed d/acme/b, added d/acme/c"), std::string::npos)
      << out.str();
  EXPECT_EQ(out.str().find("secret"), std::string::npos);
}

TEST_F(RegistryFile, AKeyThatIsNoneAndOneThatIsShortAreToldApart) {
  const auto why = [&](const std::string& key) -> std::string {
    put("tenants: [{name: acme, sites: [{name: n}], devices: [{name: a, site: n, credentials: "
        "[{auth_id: a, key: '" +
        key + "'}]}]}]");
    try {
      FileRegistry(path_).read();
    } catch (const std::exception& e) {
      return e.what();
    }
    return "good";
  };
  EXPECT_NE(why("c2VjcmV0").find("has 6 bytes, at least 16 are needed"), std::string::npos);
  EXPECT_NE(why("not base64!").find("is not base64"), std::string::npos);
  EXPECT_EQ(why("MDEyMzQ1Njc4OWFiY2RlZg=="), "good");
}

TEST_F(RegistryFile, ABadOneChangesNothing) {
  put(kSite);
  FileRegistry f(path_);
  f.read();
  put("tenants: [{name: '!'}]");
  f.read();
  EXPECT_THROW(f.read(), std::runtime_error);
  put("tenants: [{name: ok}]");
  f.read();
  EXPECT_EQ(f.read().list.size(), 1u);
  EXPECT_THROW(FileRegistry(directory_ + "/none").read(), std::runtime_error);
}

// Both would be locked out. In the words of an import, with the lines.
TEST_F(RegistryFile, OneCredentialOfTwoIsBad) {
  const std::string head = "tenants:\n  - name: acme\n    sites: [{name: north}]\n";
  const std::string device =
      "    devices: [{name: d, site: north, credentials: [{auth_id: x, key: "
      "AAAAAAAAAAAAAAAAAAAAAA==}]}]\n";
  put(head + device);
  FileRegistry f(path_);
  EXPECT_EQ(f.read().list.size(), 3u);
  put(head + device +
      "    accounts: [{name: a, role: service, credentials: [{auth_id: x, password: p}]}]\n");
  f.read();
  EXPECT_EQ(why([&] { f.read(); }), path_ +
                                        ":5: 'acme/a' and 'acme/d' (line 4) have the "
                                        "same credential 'x@acme'");
  EXPECT_EQ(why([&] { f.read(); }).empty(), false) << "as long as it is so";
  put(head + device + "  - name: other\n    sites: [{name: north}]\n" + device);
  f.read();
  EXPECT_EQ(f.read().list.size(), 6u) << "of another tenant it is another log-in";
}

}  // namespace
}  // namespace berth::gateway::registry
