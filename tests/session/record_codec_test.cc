// Parts of session records and cookies as bytes: what is written is read, and what is damaged is
// refused or is something else, whole.
#include "session/record_codec.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "session/records.pb.h"
#include "tests/support/random.h"

namespace berth::session {
namespace {

Will random_will(test::Random& random) {
  const std::string topic = random.bytes(30);
  const std::string payload = random.bytes(300);
  const std::string forwarded = random.bytes(60);
  Will w;
  w.message = MessagePtr(MessageView{.topic = topic,
                                     .payload = payload,
                                     .forwarded = forwarded,
                                     .qos = static_cast<std::uint8_t>(random.below(3)),
                                     .retain = random.one_in(2)});
  w.delay_s = static_cast<std::uint32_t>(random.number());
  w.message_expiry_s = static_cast<std::uint32_t>(random.number());
  return w;
}

TEST(RecordCodec, AWillIsReadAsItWasWritten) {
  test::Random random(7);
  for (int i = 0; i < 5000; ++i) {
    const Will w = random_will(random);
    const auto got = decode_will(encode_will(w));
    ASSERT_TRUE(got);
    const MessageView a = w.message->view();
    const MessageView b = got->message->view();
    EXPECT_EQ(b.topic, a.topic);
    EXPECT_EQ(b.payload, a.payload);
    EXPECT_EQ(b.forwarded, a.forwarded);
    EXPECT_EQ(b.qos, a.qos);
    EXPECT_EQ(b.retain, a.retain);
    EXPECT_EQ(got->delay_s, w.delay_s);
    EXPECT_EQ(got->message_expiry_s, w.message_expiry_s);
    EXPECT_EQ(got->at, base::kNever) << "it waits for nothing yet";
    EXPECT_FALSE(got->ours);
  }
}

TEST(RecordCodec, AWillThatIsCutOffOrDamagedIsRefusedOrWhole) {
  test::Random random(8);
  std::size_t refused = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string whole = encode_will(random_will(random));
    for (std::size_t n = 0; n <= whole.size(); ++n) {
      const auto got = decode_will(std::string_view(whole).substr(0, n));
      refused += got ? 0 : 1;
      ASSERT_TRUE(!got || got->message) << n;
    }
    for (int k = 0; k < 100 && !whole.empty(); ++k) {
      const auto got = decode_will(random.damaged(whole));
      ASSERT_TRUE(!got || got->message);
    }
  }
  EXPECT_GT(refused, 1000u);
}

TEST(RecordCodec, AScopeIsReadAsItWasWritten) {
  test::Random random(9);
  const auto name = [&] { return "n" + std::to_string(random.number()); };
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::string> allowed;
    for (auto n = random.below(4); n != 0; --n) allowed.push_back(name());
    const Scope scope({name(), static_cast<Role>(random.below(3)), name()}, name(), allowed,
                      {static_cast<Format>(random.below(3)), random.one_in(2) ? name() : ""});
    pb::Scope wire;
    scope_to_pb(scope, wire);
    pb::Scope read;
    ASSERT_TRUE(read.ParseFromString(wire.SerializeAsString()));
    EXPECT_TRUE(*scope_from_pb(read) == scope);
  }
}

TEST(RecordCodec, AliasesAreThoseThatStandForSomething) {
  Channel ch;
  EXPECT_TRUE(encode_alias_in(ch).empty());
  EXPECT_TRUE(encode_alias_out(ch).empty());
  ch.alias_in = std::make_unique<std::vector<std::string>>(
      std::vector<std::string>{"never used: aliases begin with 1", "one", "", "three"});
  pb::Aliases in;
  ASSERT_TRUE(in.ParseFromString(encode_alias_in(ch)));
  std::map<std::uint32_t, std::string> found;
  for (const auto& e : in.entries()) found[e.alias()] = e.topic();
  EXPECT_EQ(found, (std::map<std::uint32_t, std::string>{{1, "one"}, {3, "three"}}));

  ch.alias_out = std::make_unique<boost::unordered_flat_map<std::string, std::uint16_t>>();
  (*ch.alias_out)["a"] = 7;
  (*ch.alias_out)["b/c"] = 65535;
  pb::Aliases out;
  ASSERT_TRUE(out.ParseFromString(encode_alias_out(ch)));
  found.clear();
  for (const auto& e : out.entries()) found[e.alias()] = e.topic();
  EXPECT_EQ(found, (std::map<std::uint32_t, std::string>{{7, "a"}, {65535, "b/c"}}));
}

TEST(RecordCodec, ACursorHasAllItsItemsInOrder) {
  Channel ch;
  EXPECT_TRUE(encode_retained_cursor(ch).empty());
  ch.retained = std::make_unique<std::deque<RetainedItem>>();
  ch.retained->push_back({.filter = "a/#", .options = {0x2a}, .id = 268'435'455, .after = "a/5"});
  ch.retained->push_back({.filter = "+", .options = {}, .id = 0, .after = {}});
  pb::RetainedCursor c;
  ASSERT_TRUE(c.ParseFromString(encode_retained_cursor(ch)));
  ASSERT_EQ(c.items_size(), 2);
  EXPECT_EQ(c.items(0).filter(), "a/#");
  EXPECT_EQ(c.items(0).options(), 0x2au);
  EXPECT_EQ(c.items(0).id(), 268'435'455u);
  EXPECT_EQ(c.items(0).after(), "a/5");
  EXPECT_EQ(c.items(1).filter(), "+");
  EXPECT_EQ(c.items(1).after(), "");
}

TEST(RecordCodec, SlotsAreReadAsTheyWereWrittenAndNoPartOfThemIs) {
  session::Flow q;
  q.last_seq = 900;
  q.queued = 3;
  q.queued_bytes = 5000;
  q.cumulative_bytes = 70'000;
  q.slots = std::make_unique<session::Slots>();
  q.slots->newest = {{"display", 800, 1000, 1}, {std::string("\0x", 2), 900, 77, 2}};
  q.slots->gaps = {{3, 700}, {702, 702}};
  const std::string bytes = session::encode_slots(q);
  const auto read = session::decode_slots(bytes);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->newest.size(), 2u);
  EXPECT_EQ(read->newest[0].key, "display");
  EXPECT_EQ(read->newest[1].key, std::string("\0x", 2));
  EXPECT_EQ(read->newest[1].seq, 900u);
  EXPECT_EQ(read->newest[1].bytes, 77u);
  EXPECT_EQ(read->newest[1].qos, 2);
  EXPECT_EQ(read->gaps, q.slots->gaps);
  EXPECT_EQ(read->last_seq, 900u);
  EXPECT_EQ(read->queued, 3u);
  EXPECT_EQ(read->queued_bytes, 5000u);
  EXPECT_EQ(read->cumulative_bytes, 70'000u);
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_FALSE(session::decode_slots(bytes.substr(0, n))) << n;
  EXPECT_TRUE(session::decode_slots(bytes + "more of a later release"));
}

}  // namespace
}  // namespace berth::session
