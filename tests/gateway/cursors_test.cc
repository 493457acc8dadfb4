// Cursors of lists tell nothing of records that their caller may not see, and such records count as
// what a request looks at.
#include "gateway/rest/cursors.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "platform/presence.pb.h"
#include "tests/gateway/api_box.h"

namespace berth::gateway::rest {
namespace {

namespace json = boost::json;

TEST(Seals, AreOfOneListAndTenant) {
  const Seal seal("0123456789abcdef0123456789abcdef");
  const std::string cursor = seal.close(lists::kDevices, "acme", "cam-1");
  EXPECT_EQ(seal.open(lists::kDevices, "acme", cursor), "cam-1");
  EXPECT_EQ(Seal("0123456789abcdef0123456789abcdef").open(lists::kDevices, "acme", cursor), "cam-1")
      << "another process";
  EXPECT_FALSE(seal.open(lists::kDevices, "other", cursor));
  EXPECT_FALSE(seal.open(lists::kPresence, "acme", cursor));
  EXPECT_FALSE(Seal(std::string(32, 'x')).open(lists::kDevices, "acme", cursor));
  const std::string binary("\0\xff\1", 3);
  EXPECT_EQ(seal.open(lists::kCommands, "acme", seal.close(lists::kCommands, "acme", binary)),
            binary);
}

TEST(Seals, WhatIsNoneIsRefused) {
  const Seal seal(std::string(32, 'k'));
  const std::string good = seal.close(lists::kHistory, "acme", "1-2");
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(seal.open(lists::kHistory, "acme", bad)) << i;
    EXPECT_FALSE(seal.open(lists::kHistory, "acme", good.substr(0, i))) << i;
  }
  for (const std::string& bad : {std::string("cam-1"), std::string("1-2"), std::string("%"),
                                 good + "A", std::string(100'000, 'A'), std::string("\0\xff", 2)})
    EXPECT_FALSE(seal.open(lists::kHistory, "acme", bad)) << bad.substr(0, 100);
}

TEST(Seals, TellNothingOfThePlace) {
  const Seal seal(std::string(32, 'k'));
  const std::string one = seal.close(lists::kPresence, "acme", "a");
  const std::string longest = seal.close(lists::kPresence, "acme", std::string(64, 'a'));
  EXPECT_EQ(one.size(), longest.size());
  EXPECT_NE(one, seal.close(lists::kPresence, "acme", "a")) << "nor whether it is the same";
  const std::string event = seal.close(lists::kEvents, "acme", "1-2");
  EXPECT_EQ(event, seal.close(lists::kEvents, "acme", "1-2")) << "an event has one id";
}

class Lists : public test::ApiBox {
 protected:
  // Names on all pages; cursors of pages that end at a hidden record go to `ends_`.
  std::vector<std::string> walk(const std::string& target, const char* name) {
    std::vector<std::string> names;
    std::string cursor;
    for (int page = 0; page < 100; ++page) {
      const json::object o = get(target + (cursor.empty() ? "" : "&cursor=" + cursor));
      for (const json::value& item : o.at("items").as_array())
        names.emplace_back(item.as_object().at(name).as_string());
      const json::value* next = o.if_contains("next");
      if (next == nullptr) return names;
      cursor = std::string(next->as_string());
      EXPECT_EQ(cursor.find("hidden"), std::string::npos) << cursor;
      EXPECT_GE(cursor.size(), 100u) << "sealed";
      EXPECT_TRUE(cursors_.insert(cursor).second) << "the walk goes on";
    }
    ADD_FAILURE() << "no end";
    return names;
  }
  const std::vector<std::string> gates_{"a-gate", "z-gate"};
  std::set<std::string> cursors_;
};

TEST_F(Lists, OfRecordsCountHiddenOnesAndNameNone) {
  start(1000, 300);
  EXPECT_EQ(walk("tenants/acme/devices?limit=10", "name"), gates_);
  EXPECT_EQ(cursors_.size(), 3u) << "1,002 records, 300 of a request";
  EXPECT_EQ(http_.figures().cut_lists, 3u);
}

TEST_F(Lists, OfPresenceNameNoHiddenDevice) {
  start(41'000, 300);
  EXPECT_EQ(walk("presence?limit=10", "device"), gates_);
  EXPECT_EQ(cursors_.size(), 2u) << "20,000 devices of a request";
  EXPECT_EQ(http_.figures().cut_lists, 2u);
}

// Behind a full page nothing but hidden devices is the same as nothing.
TEST_F(Lists, DoNotTellThatThereAreHiddenRecords) {
  start(600, 10'000);
  const json::object page =
      get("presence?limit=1&cursor=" + std::string(get("presence?limit=1").at("next").as_string()));
  EXPECT_EQ(page.at("items").as_array().size(), 1u);
  EXPECT_FALSE(page.contains("next"));
  platform::pb::DevicesQuestion q;
  platform::pb::DevicesAnswer a;
  q.set_tenant("acme");
  q.add_sites("north");
  q.set_limit(1);
  ASSERT_TRUE(a.ParseFromString(engine::list_devices(registry_, q.SerializeAsString())));
  EXPECT_TRUE(a.more());
  q.set_after("a-gate");
  q.set_limit(1);
  ASSERT_TRUE(a.ParseFromString(engine::list_devices(registry_, q.SerializeAsString())));
  EXPECT_EQ(a.devices_size(), 1);
  EXPECT_FALSE(a.more());
}

TEST_F(Lists, RefuseHostileCursors) {
  start(10, 5);
  const std::string good(get("tenants/acme/devices?limit=1").at("next").as_string());
  for (const char* target :
       {"presence?cursor=", "history?device=a-gate&cursor=", "commands?cursor=",
        "tenants/acme/devices?cursor=", "tenants/acme/devices?after=", "tenants/acme/sites?cursor=",
        "tenants/acme/products?cursor=", "events?last_event_id="}) {
    for (const std::string& bad : {std::string("hidden-100000"), std::string("1-2"), good.substr(1),
                                   std::string("AAAA"), std::string("00ff")}) {
      const json::object o = get(target + bad, 422);
      EXPECT_EQ(o.at("code"), "invalid_cursor") << target << bad;
    }
    if (std::string(target).find("devices") != std::string::npos) continue;
    EXPECT_EQ(get(target + good, 422).at("code"), "invalid_cursor") << target;
  }
}

}  // namespace
}  // namespace berth::gateway::rest
