// Records, and the index of log-ins.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>

#include "gateway/registry/display_name.h"
#include "gateway/registry/merge.h"
#include "gateway/registry/password_hash.h"
#include "tests/gateway/registry_texts.h"

namespace berth::gateway::registry {
namespace {

using session::Principal;
using session::Role;

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

TEST(Registry, KnowsWhichDevicesNameAnotherAsTheirExecutorOrParent) {
  Registry r("");
  const auto put = [&r](const char* name, const char* executor, const char* parent) {
    pb::Device d;
    d.set_name(name);
    d.set_site("north");
    d.set_executor(executor);
    d.set_parent(parent);
    r.apply({.whole = false, .list = {{"d/acme/" + d.name(), d.SerializeAsString()}}});
  };
  const auto referring = [&r](const char* tenant, const char* name) {
    std::vector<std::string> out;
    r.each_referring(tenant, name, [&out](std::string_view device) {
      out.emplace_back(device);
      return true;
    });
    return out;
  };
  using Names = std::vector<std::string>;
  put("gate-1", "cam", "");
  put("gate-2", "cam", "");
  put("sensor", "", "cam");
  put("gate-3", "cam-2", "");
  EXPECT_EQ(referring("acme", "cam"), (Names{"gate-1", "gate-2", "sensor"}));
  EXPECT_EQ(referring("other", "cam"), Names{});
  put("gate-1", "cam-2", "");
  EXPECT_EQ(referring("acme", "cam"), (Names{"gate-2", "sensor"}));
  EXPECT_EQ(referring("acme", "cam-2"), (Names{"gate-1", "gate-3"}));
  r.apply({.whole = false, .list = {{"d/acme/gate-3", std::nullopt}}});
  EXPECT_EQ(referring("acme", "cam-2"), Names{"gate-1"});
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

// A rotation: the old one is named without its secret, and without its type.
TEST(Records, ACredentialWithoutASecretIsTheStoredOne) {
  const Key key = parse_key("d/acme/box");
  const char* kKey = "MDEyMzQ1Njc4OWFiY2RlZg==";
  auto said = from_json(Kind::device, R"({"site":"north","credentials":[{"auth_id":"k","key":")" +
                                          std::string(kKey) +
                                          R"("},{"auth_id":"p","password":"secret"}]})");
  const std::string stored = normalized(key, *said, nullptr, 1);
  const auto old = message_of(Kind::device, stored);
  const auto with = [&](const std::string& credentials) {
    auto m = from_json(Kind::device, R"({"site":"north","credentials":[)" + credentials + "]}");
    pb::Device d;
    EXPECT_TRUE(d.ParseFromString(normalized(key, *m, old.get(), 1)));
    return d;
  };
  const pb::Device d = with(R"({"auth_id":"k"},{"auth_id":"k2","key":")" + std::string(kKey) +
                            R"("},{"auth_id":"p"})");
  EXPECT_EQ(d.credentials(0).type() + d.credentials(0).key(), "hmac" + std::string(kKey));
  EXPECT_EQ(d.credentials(2).type(), "password");
  EXPECT_FALSE(d.credentials(2).password_hash().empty());
  EXPECT_EQ(with(R"({"auth_id":"k","password":"new"})").credentials(0).type(), "password")
      << "with a secret it is another one";
  const auto fault = [&](const std::string& c) { return why([&] { with(c); }); };
  EXPECT_EQ(fault(R"({"auth_id":"p","type":"hmac"})"), "credential 'p' of type hmac has no key");
  EXPECT_EQ(fault(R"({"auth_id":"new"})"), "credential 'new' has no password");
  EXPECT_EQ(fault(R"({"auth_id":"k","key":"%"})"), "key of 'k' is not base64");
}

// As openssl prints one, and as the edge makes it.
// A name of another script has its place beside the one that programs use.
TEST(Records, ADisplayNameIsInAnyScript) {
  const auto why = [](const std::string& fields) {
    return why_yaml("tenants: [{name: acme, sites: [{name: north, " + fields + "}]}]");
  };
  EXPECT_EQ(why("display_name: 北区 \U0001F697 停车场"), "");
  std::string longest;
  for (int i = 0; i < 64; ++i) longest += "车";
  EXPECT_EQ(why("display_name: " + longest), "");
  EXPECT_NE(why("display_name: " + longest + "a").find("more than 64 characters"),
            std::string::npos);
  for (const char* control : {"a\\nb", "a\\x7f", "a\\x85b", "a\\u2028b", "a\\u202Eb", "a\\0b"})
    EXPECT_NE(why(std::string("display_name: \"") + control + "\"").find("control character"),
              std::string::npos)
        << control;
  const std::string name = why_yaml("tenants: [{name: acme, sites: [{name: 车道1}]}]");
  EXPECT_NE(name.find("put text of other scripts into display_name"), std::string::npos) << name;
  EXPECT_EQ(why_yaml("tenants: [{name: a b}]").find("display_name"), std::string::npos);
  for (const char* kind :
       {"products: [{name: x, display_name: 甲}]",
        "accounts: [{name: x, role: service, display_name: 甲}]",
        "sites: [{name: x}], devices: [{name: x, site: x, display_name: 甲}]", "display_name: 甲"})
    EXPECT_EQ(why_yaml(std::string("tenants: [{name: acme, ") + kind + "}]"), "") << kind;
}

TEST(Records, ASearchTakesNoAccountOfCase) {
  EXPECT_TRUE(contains_folded("Cam-NORTH", folded("cam-n")));
  EXPECT_TRUE(contains_folded("1号道闸", "道"));
  EXPECT_TRUE(contains_folded("", ""));
  EXPECT_TRUE(contains_folded("aab", "ab"));
  EXPECT_FALSE(contains_folded("ab", "abc"));
}

TEST(Records, AFingerprintHasOneForm) {
  std::string pairs;
  for (int i = 0; i < 32; ++i) pairs += std::string(i == 0 ? "" : ":") + (i % 2 == 0 ? "9A" : "0b");
  std::string digits;
  for (int i = 0; i < 16; ++i) digits += "9a0b";
  std::string upper = digits;
  for (char& c : upper) c = c == 'a' ? 'A' : c == 'b' ? 'B' : c;
  EXPECT_EQ(canonical_certificate(pairs), digits);
  EXPECT_EQ(canonical_certificate(upper), digits);
  EXPECT_EQ(canonical_certificate("sha256 Fingerprint=" + pairs), digits);
  EXPECT_EQ(canonical_certificate("SHA256 Fingerprint=" + pairs), digits);
  for (const char* other : {"", "Door.example", "AA:BB:CC:DD:EE:FF", "9A", "9A:", ":9A", "9A:0"})
    EXPECT_EQ(canonical_certificate(other), other);
  const std::string place = "tenants: [{name: a, sites: [{name: n}], devices: [{name: d, site: n, ";
  const auto with = [&](const std::string& c, const std::string& more = {}) {
    return place + "credentials: [{certificate: \"" + c + "\"" + more + "}]}]}]";
  };
  for (const std::string& written : {pairs, upper, digits}) {
    Registry r("a");
    r.apply(changes_of(with(written, ", authority: \"" + pairs + "\"")));
    EXPECT_EQ(r.find("d/a/d")->find(pairs), std::string::npos);
    EXPECT_FALSE(r.find_certificate(digits, {})) << "of another authority";
    r.apply(changes_of(with(written)));
    EXPECT_TRUE(r.find_certificate(digits, {})) << written;
  }
  // One of an older release stays as it is stored, and matches.
  Registry older("a");
  older.apply(changes_of(with(digits)));
  pb::Device d;
  ASSERT_TRUE(d.ParseFromString(*older.find("d/a/d")));
  d.mutable_credentials(0)->set_certificate(pairs);
  older.apply({.whole = false, .list = {{"d/a/d", d.SerializeAsString()}}});
  EXPECT_TRUE(older.find_certificate(digits, {}));
  EXPECT_NE(why_yaml(with(pairs.substr(0, 59))).find("is not a SHA-256 fingerprint"),
            std::string::npos)
      << "SHA-1, what openssl x509 -fingerprint shows";
  EXPECT_NE(why_yaml(place + "credentials: [{certificate: \"" + pairs +
                     "\"}, {certificate: " + digits + "}]}]}]")
                .find("twice"),
            std::string::npos);
}

}  // namespace
}  // namespace berth::gateway::registry
