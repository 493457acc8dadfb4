// Ends of connections by client: few of each, and no client pushes out those of another group.
#include "platform/last_ends.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace berth::platform {
namespace {

using protocol::link::CloseReason;

base::Address address(std::uint8_t last) {
  const std::uint8_t four[4] = {192, 0, 2, last};
  return base::Address::v4(four);
}

TopList::Place client(const std::string& id, const std::string& tenant = "",
                      const std::string& name = "") {
  TopList::Place p;
  p.tenant = tenant;
  p.name = name;
  p.client_id = id;
  return p;
}

LastEnds::End end(std::int64_t at_ms) {
  return {.at_ms = at_ms,
          .cause = Cause::keep_alive,
          .why = CloseReason::keepalive_timeout,
          .protocol = "mqtt5",
          .address = "192.0.2.1:1"};
}

std::vector<std::int64_t> times(const LastEnds& ends, const std::string& of) {
  std::vector<std::int64_t> all;
  ends.each(of, [&](const LastEnds::Client&, const LastEnds::End& e) { all.push_back(e.at_ms); });
  return all;
}

TEST(LastEnds, AClientHasItsNewestOnes) {
  LastEnds ends;
  for (int i = 1; i <= 7; ++i) ends.add(client("a"), address(1), end(i));
  ends.add(client("b", "acme", "cam"), address(1), end(8));
  EXPECT_EQ(times(ends, "a"), (std::vector<std::int64_t>{7, 6, 5, 4, 3}));
  EXPECT_EQ(times(ends, "b"), std::vector<std::int64_t>{8}) << "by its client id";
  EXPECT_EQ(times(ends, "cam"), std::vector<std::int64_t>{8}) << "by its name";
  EXPECT_TRUE(times(ends, "c").empty());
  EXPECT_EQ(times(ends, "").size(), 6u) << "of all";
}

TEST(LastEnds, OneIdInTwoTenantsIsTwoClients) {
  LastEnds ends;
  ends.add(client("a", "acme", "cam"), address(1), end(1));
  ends.add(client("a", "other", "cam"), address(1), end(2));
  ends.add(client("a"), address(1), end(3));
  EXPECT_EQ(ends.size(), 3u);
  EXPECT_EQ(times(ends, "a").size(), 3u);
}

TEST(LastEnds, ADeviceThatIsMovedLeavesItsEndsAtTheOldSite) {
  LastEnds ends;
  TopList::Place p = client("a", "acme", "cam");
  p.site = "north";
  ends.add(p, address(1), end(1));
  p.site = "south";
  ends.add(p, address(1), end(2));
  EXPECT_EQ(times(ends, "a"), std::vector<std::int64_t>{2});
}

TEST(LastEnds, AClientWithEverNewIdsPushesOutItsOwnOnly) {
  LastEnds ends;
  for (int i = 0; i < 100; ++i) ends.add(client("quiet" + std::to_string(i)), address(1), end(i));
  ends.add(client("cam", "acme", "cam"), address(2), end(100));
  ends.add(client("user", "", "platform"), address(2), end(101));
  for (std::size_t i = 0; i < 3 * LastEnds::kClients; ++i)
    ends.add(client("x" + std::to_string(i)), address(2), end(1000 + static_cast<int>(i)));
  EXPECT_EQ(ends.size(), LastEnds::kClients);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(times(ends, "quiet" + std::to_string(i)).size(), 1u) << i;
  EXPECT_EQ(times(ends, "cam").size(), 1u);
  EXPECT_EQ(times(ends, "user").size(), 1u);
  EXPECT_TRUE(times(ends, "x0").empty()) << "the oldest of the many has gone";
  EXPECT_EQ(times(ends, "x" + std::to_string(3 * LastEnds::kClients - 1)).size(), 1u);
}

TEST(LastEnds, AnAddressOfIpv6IsItsNetwork) {
  LastEnds ends;
  ends.add(client("quiet"), address(1), end(1));
  for (std::size_t i = 0; i < LastEnds::kClients + 10; ++i) {
    std::uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8};
    bytes[14] = static_cast<std::uint8_t>(i >> 8);
    bytes[15] = static_cast<std::uint8_t>(i);
    ends.add(client("x" + std::to_string(i)), base::Address::v6(bytes), end(2));
  }
  EXPECT_EQ(times(ends, "quiet").size(), 1u);
}

// Groups of one client each: who ended longest ago goes.
TEST(LastEnds, OfEqualGroupsTheOldestGoes) {
  LastEnds ends;
  for (std::size_t i = 0; i <= LastEnds::kClients; ++i)
    ends.add(client("c", "t" + std::to_string(i), "d" + std::to_string(i)), address(1),
             end(static_cast<std::int64_t>(i)));
  EXPECT_TRUE(times(ends, "d0").empty());
  EXPECT_EQ(times(ends, "d1").size(), 1u);
  EXPECT_EQ(ends.size(), LastEnds::kClients);
}

}  // namespace
}  // namespace berth::platform
