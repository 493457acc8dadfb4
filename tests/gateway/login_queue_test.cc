#include "gateway/engine/login_queue.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/siphash.h"

namespace berth::gateway::engine {
namespace {

base::Address queue_address(std::uint32_t n) {
  return base::Address::v4(&n);
}

std::vector<LoginQueue::Ticket> pop(LoginQueue& q, std::size_t most) {
  std::vector<LoginQueue::Ticket> out;
  while (out.size() < most) {
    const auto t = q.pop();
    if (!t) break;
    out.push_back(*t);
  }
  return out;
}

TEST(LoginQueue, TenantsTakeTurnsAndInOneAddressesDo) {
  LoginQueue q;
  for (LoginQueue::Ticket t = 0; t < 10; ++t) q.push(1, queue_address(1), t);
  q.push(1, queue_address(2), 20);
  q.push(1, queue_address(2), 21);
  q.push(2, queue_address(1), 30);
  EXPECT_EQ(pop(q, 6), (std::vector<LoginQueue::Ticket>{0, 30, 20, 1, 21, 2}));
  EXPECT_EQ(q.size(), 7u);
}

TEST(LoginQueue, OneAddressHoldsItsShareOnly) {
  LoginQueue q;
  LoginQueue::Ticket t = 0;
  while (q.has_room(t % 7, queue_address(1))) q.push(t % 7, queue_address(1), t), ++t;
  EXPECT_EQ(t, LoginQueue::kPerAddress);
  EXPECT_TRUE(q.has_room(1, queue_address(2)));
  pop(q, 1);
  EXPECT_TRUE(q.has_room(1, queue_address(1)));
}

// Who holds most makes room; who comes to a full queue with nothing in it is let in.
TEST(LoginQueue, AFullQueueTakesFromWhoHoldsMost) {
  LoginQueue q;
  LoginQueue::Ticket t = 1;
  for (std::uint32_t a = 1; q.size() < LoginQueue::kMost; ++a) {
    while (q.size() < LoginQueue::kMost && q.has_room(0, queue_address(a)))
      q.push(0, queue_address(a), t++);
  }
  EXPECT_FALSE(q.has_room(0, queue_address(1)));
  ASSERT_TRUE(q.has_room(5, queue_address(99)));
  const auto out = q.push(5, queue_address(99), 1'000'000);
  ASSERT_TRUE(out);
  EXPECT_LT(*out, t);
  EXPECT_EQ(q.size(), LoginQueue::kMost);
  EXPECT_TRUE(q.has_room(0, queue_address(77))) << "another queue_address of the same tenant";
  const auto first = pop(q, 2);
  EXPECT_TRUE(first[0] == 1'000'000 || first[1] == 1'000'000) << "its turn is the next";
}

TEST(LoginQueue, WhoHasGoneComesLast) {
  LoginQueue q;
  for (LoginQueue::Ticket t = 1; t <= 4; ++t) q.push(0, queue_address(1), t);
  EXPECT_FALSE(q.gone(1));
  EXPECT_FALSE(q.gone(3));
  EXPECT_FALSE(q.gone(3)) << "said twice";
  EXPECT_EQ(pop(q, 9), (std::vector<LoginQueue::Ticket>{2, 4, 1, 3}));
  for (LoginQueue::Ticket t = 1; t <= LoginQueue::kGone + 1; ++t) {
    q.push(0, queue_address(1), t);
    EXPECT_EQ(q.gone(t).value_or(0), t > LoginQueue::kGone ? t : 0);
  }
  EXPECT_EQ(q.size(), 0u);
}

// Vectors of the reference implementation (vectors_sip64): key and input are 00 01 02 …
TEST(SipHash, AsItsAuthorsSay) {
  std::string input;
  for (char c = 0; c < 15; ++c) input.push_back(c);
  const base::SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  EXPECT_EQ(base::siphash(key, ""), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(base::siphash(key, input.substr(0, 8)), 0x93f5f5799a932462u);
  EXPECT_EQ(base::siphash(key, input), 0xa129ca6149be45e5u);
}

}  // namespace
}  // namespace berth::gateway::engine
