// Ids of commands that are claimed in a partitioned gateway: their bounds.
#include "platform/claims.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

namespace berth::platform {
namespace {

struct ClaimStore final : Records {
  void put(std::string_view key, std::string_view value) override {
    records[std::string(key)] = std::string(value);
  }
  void remove(std::string_view key) override { records.erase(std::string(key)); }
  void when_durable(std::function<void()> f) override {
    if (stalls) return waiting.push_back(std::move(f));
    f();
  }
  base::Instant now() const override { return {1000}; }
  void read(session::RecordRange range, session::Store::RecordsDone done) override {
    if (stalls) return reads.push_back([this, range, done] { answer(range, done); });
    answer(range, done);
  }
  void answer(const session::RecordRange& range, const session::Store::RecordsDone& done) {
    std::vector<session::StoredRecord> out;
    for (auto it = records.lower_bound(range.from);
         it != records.end() && it->first < range.to && out.size() < range.count; ++it)
      out.push_back({it->first, it->second});
    done(std::move(out));
  }
  std::size_t bytes() const {
    std::size_t n = 0;
    for (const auto& [key, value] : records) n += key.size() + value.size();
    return n;
  }
  std::map<std::string, std::string> records;
  std::vector<std::function<void()>> waiting, reads;
  bool stalls = false;
};

int claim(Claims& claims, const std::string& id, char content = 'a', std::int64_t wall_ms = 1000) {
  int status = -1;
  claims.claim("acme", id, std::string(32, content), wall_ms,
               [&status](const Refusal& r) { status = r.status; });
  return status;
}

TEST(Claims, StayWithinTheirBytesTheOldestGoFirst) {
  constexpr std::uint64_t kMax = 60'000;
  ClaimStore store;
  {
    Claims claims(store, kMax);
    for (int i = 0; i < 600; ++i)
      ASSERT_EQ(claim(claims, "c" + std::to_string(1000 + i), 'a', 1000 + i), 0);
    claims.sweep(0);
  }
  EXPECT_NEAR(static_cast<double>(store.bytes()), 39'000, 1'000);
  Claims next(store, kMax);  // it knows how much there is
  for (const auto& [key, value] : store.records)
    if (Claims::is_key(key)) next.restored(value);
  for (int i = 600; i < 1000; ++i)
    ASSERT_EQ(claim(next, "c" + std::to_string(1000 + i), 'a', 1000 + i), 0);
  EXPECT_GT(store.bytes(), kMax);
  next.sweep(0);
  EXPECT_LE(store.bytes(), kMax + 100);
  EXPECT_GT(store.bytes(), kMax - 1000);
  EXPECT_GT(next.swept(), 50u);
  EXPECT_EQ(claim(next, "c1000", 'b'), 0) << "the oldest has gone";
  EXPECT_EQ(claim(next, "c1999", 'b'), 409);
}

TEST(Claims, AreRefusedWhereTheSweepDoesNotKeepUp) {
  ClaimStore store;
  Claims claims(store, 10'000);
  int good = 0;
  while (claim(claims, "c" + std::to_string(good)) == 0 && good < 1000) ++good;
  EXPECT_LT(store.bytes(), 12'000u);
  EXPECT_EQ(claim(claims, "one-more"), 503);
}

TEST(Claims, WhatIsOldGoes) {
  ClaimStore store;
  Claims claims(store, 1 << 20);
  claim(claims, "old", 'a', 1000);
  claim(claims, "new", 'a', 2000);
  claims.sweep(1500);
  EXPECT_EQ(claims.swept(), 1u);
  EXPECT_EQ(claim(claims, "old", 'b'), 0);
  EXPECT_EQ(claim(claims, "new", 'b'), 409);
}

TEST(Claims, CallersThatWaitForTheStoreAreBounded) {
  ClaimStore store;
  store.stalls = true;
  Claims claims(store, 1 << 30);
  for (std::size_t i = 0; i < Claims::kLineMax; ++i) EXPECT_EQ(claim(claims, "same"), -1);
  EXPECT_EQ(claim(claims, "same"), 503);
  std::size_t waiting = 1;
  while (claim(claims, "c" + std::to_string(waiting)) == -1 && waiting < 100'000) {
    ++waiting;
    for (const auto& read : std::exchange(store.reads, {})) read();
  }
  EXPECT_EQ(waiting, Claims::kWritingMax);
  int status = -1;
  claims.claim("acme", "x", std::string(Claims::kContentMax + 1, 'x'), 1000,
               [&status](const Refusal& r) { status = r.status; });
  EXPECT_EQ(status, 422);
}

}  // namespace
}  // namespace berth::platform
