// The keys of the store's table of applied records: each is found again as what it is.
#include "session/meta_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/support/random.h"

namespace berth::session {
namespace {

using Kind = MetaKey::Kind;

TEST(MetaKeys, AreReadAsWhatTheyWereWrittenAs) {
  test::Random random(5);
  for (int i = 0; i < 20'000; ++i) {
    const EdgeConn conn{random.number() + 1, random.number()};
    const std::uint64_t offset = random.number();
    const MetaKey outcome = parse_meta_key(outcome_key(conn, offset));
    ASSERT_EQ(outcome.kind, Kind::outcome);
    EXPECT_EQ(outcome.conn, conn);
    EXPECT_EQ(outcome.number, offset);

    const std::string intent =
        will_intent_key(static_cast<std::int64_t>(random.word() >> 1), offset);
    ASSERT_EQ(parse_meta_key(intent).kind, Kind::will_intent);
    EXPECT_EQ(parse_meta_key(intent).number, offset);
    EXPECT_EQ(number_of_intent(intent), offset);

    const MetaKey edge = parse_meta_key(edge_key(conn.first));
    ASSERT_EQ(edge.kind, Kind::edge);
    EXPECT_EQ(edge.number, conn.first);

    // Filters of all lengths: also those that make a key as long as that of an outcome or edge.
    const auto partition = static_cast<std::uint32_t>(random.below(256));
    const MetaKey route = parse_meta_key(route_key(partition, "a" + random.bytes(30)));
    ASSERT_EQ(route.kind, Kind::peer_route);
    EXPECT_EQ(route.number, partition);
    const MetaKey seen = parse_meta_key(seen_key(partition));
    ASSERT_EQ(seen.kind, Kind::peer_seen);
    EXPECT_EQ(seen.number, partition);
  }
  EXPECT_EQ(parse_meta_key(kClockKey).kind, Kind::clock);
}

TEST(MetaKeys, ThatNobodyWritesAreNoneOfThem) {
  for (const std::string& key :
       {std::string(), std::string(kBarrierKey), std::string(kEdgeKey), std::string(kRouteKey),
        std::string(kSeenKey), std::string(23, 'x'), std::string(25, 'x'), edge_key(1) + "x",
        seen_key(1) + "x"})
    EXPECT_EQ(parse_meta_key(key).kind, Kind::unknown) << key;
  const std::string whole = outcome_key({1, 2}, 3);
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_EQ(parse_meta_key(whole.substr(0, n)).kind, Kind::unknown) << n;
}

TEST(MetaKeys, OfOneConnectionSortByTheirOffset) {
  test::Random random(6);
  std::vector<std::uint64_t> offsets;
  for (int i = 0; i < 1000; ++i) offsets.push_back(random.number());
  std::sort(offsets.begin(), offsets.end());
  std::vector<std::string> keys;
  for (const std::uint64_t offset : offsets) keys.push_back(outcome_key({9, 7}, offset));
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
}

}  // namespace
}  // namespace berth::session
