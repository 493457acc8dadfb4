// Each kind of store behind one contract, and a registry file.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "gateway/registry/file_registry.h"
#include "gateway/registry/redis_registry.h"
#include "gateway/registry/sqlite_registry.h"
#include "tests/gateway/registry_texts.h"
#include "tests/support/log_lines.h"
#include "tests/support/redis_server.h"

namespace berth::gateway::registry {
namespace {

using session::Principal;
using session::Role;

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
  test::LogLines lines;
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
  EXPECT_EQ(lines.all(), "");
  put(site(device("a", "secret3") + ", " + device("c", "secret4")));
  f.read();
  f.read();
  EXPECT_NE(lines.all().find("registry file read again"), std::string::npos) << lines.all();
  EXPECT_NE(lines.all().find("records=4 added=1 changed=1 missing=1"), std::string::npos)
      << lines.all();
  EXPECT_NE(lines.all().find("changed d/acme/a, removed d/acme/b, added d/acme/c"), std::string::npos)
      << lines.all();
  EXPECT_EQ(lines.all().find("secret"), std::string::npos);
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
