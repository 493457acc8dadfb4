// Which records a list shows.
#include "gateway/rest/search.h"

#include <gtest/gtest.h>

#include "tests/gateway/registry_texts.h"

namespace berth::gateway::registry {
namespace {

constexpr const char* kPark = R"(
tenants:
  - {name: acme, display_name: 某某停车, labels: {tier: gold},
     sites: [{name: north, display_name: 北区}, {name: south}],
     products: [{name: cam}],
     devices: [
       {name: Cam-1, display_name: 1号道闸 EAST, site: north, product: cam, labels: {lane: "1", 区域: 甲}},
       {name: cam-2, site: south, enabled: false, labels: {lane: "2", "a=b": "c:d"}},
       {name: box, site: north, labels: {lane: ""}}]}
)";

class Searches : public ::testing::Test {
 protected:
  void SetUp() override { registry_.apply(changes_of(kPark)); }
  std::string found(const std::map<std::string, std::string>& query, Kind kind = Kind::device) {
    const admin::Request r{.method = "GET", .path = "/", .query = query};
    EXPECT_EQ(Search::fault_of(r), "");
    Search search(r);
    std::string out;
    const std::string prefix = kind == Kind::tenant ? "t/" : key_of(kind, "acme");
    registry_.each(prefix, {}, [&](const std::string& key, const std::string& value) {
      if (search.admits(parse_key(key), value)) out += key.substr(prefix.size()) + " ";
      return true;
    });
    return out;
  }
  Registry registry_{"acme"};
};

TEST_F(Searches, ByText) {
  EXPECT_EQ(found({}), "Cam-1 box cam-2 ");
  EXPECT_EQ(found({{"q", "CAM"}}), "Cam-1 cam-2 ");
  EXPECT_EQ(found({{"q", "道"}}), "Cam-1 ");
  EXPECT_EQ(found({{"q", "east"}}), "Cam-1 ");
  EXPECT_EQ(found({{"q", "north"}}), "") << "its site is no name of it";
  EXPECT_EQ(found({{"q", "北"}}, Kind::site), "north ");
  EXPECT_EQ(found({{"q", "某"}}, Kind::tenant), "acme ");
}

TEST_F(Searches, ByLabelAndPlace) {
  EXPECT_EQ(found({{"label", "lane=1"}}), "Cam-1 ");
  EXPECT_EQ(found({{"label", "lane:2"}}), "cam-2 ");
  EXPECT_EQ(found({{"label", "lane"}}), "Cam-1 box cam-2 ");
  EXPECT_EQ(found({{"label", "lane="}}), "box ");
  EXPECT_EQ(found({{"label", "区域=甲"}}), "Cam-1 ");
  EXPECT_EQ(found({{"label", "lane=1"}, {"site", "south"}}), "");
  EXPECT_EQ(found({{"site", "north"}}), "Cam-1 box ");
  EXPECT_EQ(found({{"product", "cam"}}), "Cam-1 ");
  EXPECT_EQ(found({{"enabled", "false"}}), "cam-2 ");
  EXPECT_EQ(found({{"enabled", "true"}, {"q", "a"}}), "Cam-1 ");
  EXPECT_EQ(found({{"label", "tier=gold"}}, Kind::tenant), "acme ");
}

TEST_F(Searches, WhatIsNoSearchIsRefused) {
  const auto fault = [](const std::string& name, const std::string& value) {
    return Search::fault_of({.method = "GET", .path = "/", .query = {{name, value}}});
  };
  EXPECT_NE(fault("q", "\xff"), "");
  EXPECT_NE(fault("q", std::string(257, 'a')), "");
  EXPECT_NE(fault("label", "=x"), "");
  EXPECT_NE(fault("label", std::string(521, 'a')), "");
}

// One request looks at so many records, whatever there is.
TEST_F(Searches, HaveABound) {
  Search search({.method = "GET", .path = "/", .query = {{"q", "nobody"}}});
  const std::string* value = registry_.find(key_of(Kind::device, "acme", "box"));
  const std::string key = key_of(Kind::device, "acme", "box");
  std::size_t looked_at = 0;
  for (; search.may_look(); ++looked_at) EXPECT_FALSE(search.admits(parse_key(key), *value));
  EXPECT_EQ(looked_at, Search::kLookedAtMax);
}

}  // namespace
}  // namespace berth::gateway::registry
