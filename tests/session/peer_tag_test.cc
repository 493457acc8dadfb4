// What messages of another partition carry.
#include "session/peer_tag.h"

#include <gtest/gtest.h>

#include "tests/support/random.h"

namespace berth::session {
namespace {

PeerTag random_tag(test::Random& random) {
  PeerTag t;
  t.retain_only = random.one_in(2);
  t.qos = static_cast<std::uint8_t>(random.below(3));
  if (random.one_in(2)) t.stamp = random.number();
  if (random.one_in(2)) t.group = route_of_group("$share/" + random.bytes(8) + "/x");
  return t;
}

TEST(PeerTag, IsTheSameAfterAQueueAndAfterAWire) {
  test::Random random(2);
  for (int i = 0; i < 20'000; ++i) {
    const PeerTag sent = random_tag(random);
    const std::uint64_t seq = random.number();
    const std::string behind = random.bytes(20);
    const std::string properties = tag_property(text_of(seq, ids_of(sent))) + behind;
    std::string_view left = properties;
    const auto taken = take_tag(left);
    ASSERT_TRUE(taken);
    EXPECT_EQ(left, behind) << "other properties stay";
    EXPECT_EQ(taken->seq, seq);
    ASSERT_EQ(taken->ids, ids_of(sent)) << "as it stands in the queue";
    const PeerTag got = tag_of(taken->ids);
    EXPECT_EQ(got.retain_only, sent.retain_only);
    EXPECT_EQ(got.qos, sent.qos);
    EXPECT_EQ(got.stamp, sent.stamp);
    EXPECT_EQ(got.group, sent.group);
  }
}

TEST(PeerTag, OfAStampIsNotTakenForAnotherField) {
  // The halves of the stamp are numbers that mean something by themselves.
  const PeerTag got = tag_of(ids_of({.stamp = (std::uint64_t{1} << 32) | 3}));
  EXPECT_FALSE(got.retain_only);
  EXPECT_EQ(got.qos, 1);
  EXPECT_EQ(got.stamp, (std::uint64_t{1} << 32) | 3);
  EXPECT_EQ(tag_of({4, 7}).stamp, 0u) << "cut off";
}

TEST(PeerTag, ThatIsCutOffOrDamagedIsNoTagOrAnother) {
  test::Random random(3);
  for (int i = 0; i < 2'000; ++i) {
    const std::string whole = tag_property(text_of(random.number(), ids_of(random_tag(random))));
    for (std::size_t n = 0; n < whole.size(); ++n) {
      std::string_view cut = std::string_view(whole).substr(0, n);
      ASSERT_FALSE(take_tag(cut)) << n;
      ASSERT_EQ(cut.size(), n) << "what is no tag stays";
    }
    const std::string bad = random.damaged(whole);
    std::string_view left = bad;
    const bool taken = take_tag(left).has_value();
    EXPECT_TRUE(taken || left.size() == bad.size());
  }
  for (const char* text :
       {"", " 1", "1 ", "1  2", "x", "1 x", "-1", "1 4294967296", "18446744073709551616", "1,2"})
    EXPECT_FALSE(parse_tag(text)) << text;
}

TEST(PeerTag, GroupsHaveNumbersThatNoOtherFieldHas) {
  test::Random random(4);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint32_t route = route_of_group(random.bytes(30));
    ASSERT_GE(route, 16u);
    ASSERT_GE(group_mark(route), 1);
    ASSERT_LE(group_mark(route), 15);
  }
  EXPECT_NE(route_of_group("$share/a/x"), route_of_group("$share/b/x"));
  EXPECT_NE(route_of_group("$share/a/x"), route_of_group("$share/a/y"));
}

TEST(PeerTag, OnlyClientsOfPartitionsArePartitions) {
  for (std::uint32_t p = 0; p < protocol::link::kPartitionsMax; ++p)
    EXPECT_EQ(peer_of_client(peer_client_id(p)), p + 1);
  for (const char* id :
       {"", "$peer/", "$peer/x", "$peer/1x", "$peer/-1", "peer/1", "$peer/ 1", "a"})
    EXPECT_EQ(peer_of_client(id), 0) << id;
  EXPECT_EQ(peer_of_client(peer_client_id(protocol::link::kPartitionsMax)), 0);
}

}  // namespace
}  // namespace berth::session
