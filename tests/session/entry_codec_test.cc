// Queue entries and retained messages as bytes: what is written is read, and what is damaged is
// refused or is something else, whole.
#include "session/entry_codec.h"

#include <gtest/gtest.h>

#include "tests/support/random.h"

namespace berth::session {
namespace {

struct Fields {
  std::string topic, payload, forwarded;
  MessageView view;
  explicit Fields(test::Random& random)
      : topic(random.bytes(30)), payload(random.bytes(200)), forwarded(random.bytes(40)) {
    view = {.topic = topic,
            .payload = payload,
            .forwarded = forwarded,
            .qos = static_cast<std::uint8_t>(random.below(3))};
    if (random.one_in(2)) view.expires_at = {static_cast<std::int64_t>(1 + (random.word() >> 2))};
    if (random.one_in(2)) view.stamp = random.number();
  }
  Fields(const Fields&) = delete;
};

void expect_same(const MessageView& got, const MessageView& said) {
  EXPECT_EQ(got.topic, said.topic);
  EXPECT_EQ(got.payload, said.payload);
  EXPECT_EQ(got.forwarded, said.forwarded);
  EXPECT_EQ(got.expires_at, said.expires_at);
}

// All views of `m` lie in `bytes`.
bool is_within(const MessageView& m, std::string_view bytes) {
  for (const std::string_view part : {m.topic, m.payload, m.forwarded}) {
    if (!part.empty() &&
        (part.data() < bytes.data() || part.data() + part.size() > bytes.data() + bytes.size()))
      return false;
  }
  return true;
}

TEST(EntryCodec, AnEntryIsReadAsItWasWritten) {
  test::Random random(10);
  for (int i = 0; i < 5000; ++i) {
    const Fields f(random);
    std::vector<std::uint32_t> ids(random.below(5));
    for (std::uint32_t& id : ids) id = static_cast<std::uint32_t>(random.number());
    const auto qos = static_cast<std::uint8_t>(random.below(3));
    const auto mark = static_cast<std::uint8_t>(random.below(16));
    const bool retain = random.one_in(2);
    const std::uint64_t cumulative = random.number();
    std::string bytes;
    encode_entry(bytes, f.view, qos, retain, cumulative, ids.empty() ? nullptr : &ids, mark);
    const auto got = decode_entry(bytes);
    ASSERT_TRUE(got);
    expect_same(got->message, f.view);
    EXPECT_EQ(got->message.qos, qos) << "of the delivery, not of the message";
    EXPECT_EQ(got->message.retain, retain);
    EXPECT_EQ(got->cumulative, cumulative);
    EXPECT_EQ(got->mark, mark);
    EXPECT_EQ(got->ids, ids);
    EXPECT_FALSE(got->released);
  }
}

TEST(EntryCodec, AReleasedEntryIsOnlyThatAndItsBytes) {
  std::string bytes;
  encode_released(bytes, 123'456'789);
  const auto got = decode_entry(bytes);
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->released);
  EXPECT_EQ(got->message.qos, 2);
  EXPECT_EQ(got->cumulative, 123'456'789u);
}

TEST(EntryCodec, ARetainedMessageIsReadAsItWasWritten) {
  test::Random random(11);
  for (int i = 0; i < 5000; ++i) {
    const Fields f(random);
    std::string bytes;
    encode_retained(bytes, f.view);
    const auto got = decode_retained(bytes);
    ASSERT_TRUE(got);
    expect_same(*got, f.view);
    EXPECT_EQ(got->qos, f.view.qos);
    EXPECT_EQ(got->stamp, f.view.stamp);
    EXPECT_TRUE(got->retain);
  }
}

TEST(EntryCodec, WhatIsDamagedIsRefusedOrLiesInItsBytes) {
  test::Random random(12);
  std::size_t refused = 0;
  const auto look = [&](const std::string& bytes) {
    const auto entry = decode_entry(bytes);
    const auto retained = decode_retained(bytes);
    refused += entry ? 0 : 1;
    if (entry) {
      ASSERT_TRUE(is_within(entry->message, bytes));
      ASSERT_LE(entry->ids.size(), bytes.size());
      ASSERT_LE(entry->message.qos, 2);
    }
    if (retained) {
      ASSERT_TRUE(is_within(*retained, bytes));
      ASSERT_LE(retained->qos, 2);
    }
  };
  for (int i = 0; i < 300; ++i) {
    const Fields f(random);
    const std::vector<std::uint32_t> ids{1, 70'000};
    std::string whole;
    encode_entry(whole, f.view, 1, false, random.number(), &ids);
    for (std::size_t n = 0; n < whole.size(); ++n) look(whole.substr(0, n));
    for (int k = 0; k < 200; ++k) look(random.damaged(whole));
    look(random.bytes(40));
  }
  EXPECT_GT(refused, 1000u);
}

TEST(EntryCodec, AnEntryThatSaysMoreIdsThanItHasIsRefusedAtOnce) {
  std::string bytes(1, '\x01');
  base::put_varint(bytes, 100);              // cumulative
  base::put_varint(bytes, 0);                // never expires
  base::put_varint(bytes, UINT64_MAX >> 4);  // ids
  bytes += "\x01\x02\x03";
  EXPECT_FALSE(decode_entry(bytes));
}

}  // namespace
}  // namespace berth::session
