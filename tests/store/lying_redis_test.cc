// A Redis that answers what was not asked, or something else: nothing counts as done that its own
// answer has not said (I1), and what is read is not made up.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "store/redis_lease.h"
#include "store/redis_store.h"
#include "tests/support/lying_redis.h"
#include "tests/support/redis_server.h"
#include "tests/support/store_loop.h"

namespace berth::session {
namespace {

using test::eventually;
using test::LyingRedis;
using test::RedisServer;
using Lie = LyingRedis::Lie;
using Command = LyingRedis::Command;

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

// A script of this type; its tag is its last argument.
bool is_script(const Command& c, const std::string& type) {
  return c[0].starts_with("EVAL") && c.back().starts_with(type + ":");
}

// What stands in place of an answer: every type that RESP2 and RESP3 have, and answers of another.
std::vector<std::string> wrong_answers(const std::string& tag) {
  return {"$-1\r\n",
          "*-1\r\n",
          ":0\r\n",
          ":1\r\n",
          "+OK\r\n",
          "+" + tag + "\r\n",
          bulk("ok"),
          bulk(tag),
          "*0\r\n",
          "*1\r\n" + bulk(tag),
          "*2\r\n" + bulk(tag) + bulk("no"),
          "*2\r\n" + bulk(tag) + "$-1\r\n",
          "*2\r\n" + bulk(tag) + ":1\r\n",
          "*1\r\n" + bulk("ok"),
          "*2\r\n" + bulk("commit:1") + bulk("ok"),
          "*3\r\n" + bulk(tag) + bulk("ok") + bulk("no session"),
          "*3\r\n" + bulk(tag) + bulk("ok") + ":7\r\n",
          "#t\r\n",
          "_\r\n",
          "-ERR nothing of the kind\r\n",
          "-NOSCRIPT No matching script\r\n",
          "-FENCED somebody else\r\n"};
}

class LyingRedisTest : public ::testing::Test {
 protected:
  // `lie` is told to the store's connections once it is open.
  std::unique_ptr<RedisStore> open(const LyingRedis& redis, std::uint32_t wait_replicas = 0) {
    RedisStoreOptions o;
    o.redis.address = parse_redis_url(redis.url());
    o.redis.timeout_ms = 5000;
    o.owner = "gateway";
    o.lease_ms = 20'000;
    o.wait_replicas = wait_replicas;
    o.on_fenced = [this] { fenced_ = true; };
    return std::make_unique<RedisStore>(o, loop_.poster());
  }
  void begin(RedisStore& store, std::uint64_t id, const std::string& value) {
    auto batch = std::make_shared<Batch>();
    batch->add({.kind = WriteKind::put_session, .session = {id}, .epoch = 1, .value = value});
    store.commit(batch, [this](const CommitResult& r) {
      ++done_;
      refused_ += r.refused.size();
    });
  }
  std::string record(std::uint64_t id) {
    return real_.call({"HGET", "berth:sessions", std::to_string(id)}).text;
  }
  RedisServer real_;
  Loop loop_;
  std::atomic<bool> fenced_{false};
  int done_ = 0;
  std::size_t refused_ = 0;
};

// I1: each in place of a commit's answer, and the commit was not done.
TEST_F(LyingRedisTest, I1_NothingButItsOwnAnswerIsACommit) {
  std::atomic<std::size_t> which{0};
  std::atomic<bool> lying{false};
  const std::size_t all = wrong_answers("").size();
  LyingRedis redis(real_.port(), [&](const Command& c) -> Lie {
    if (!lying || !is_script(c, "commit")) return {};
    lying = false;  // the next is true
    return {.instead = wrong_answers(c.back()).at(which)};
  });
  auto store = open(redis);
  for (which = 0; which < all; ++which) {
    lying = true;
    begin(*store, 100 + which, "value");
    loop_.run_one();
    EXPECT_EQ(record(100 + which), "value") << wrong_answers("TAG")[which];
  }
  EXPECT_EQ(done_, static_cast<int>(all));
  EXPECT_EQ(refused_, 0u);
  EXPECT_FALSE(fenced_) << "an error is no answer of the script";
  EXPECT_EQ(redis.lies(), all);
  EXPECT_GE(redis.connections(), all) << "each ends the connection";
}

// I1: one answer too many would be taken for the next commit's, which then is not done.
TEST_F(LyingRedisTest, I1_ASurplusAnswerShiftsNothing) {
  std::string last_good;
  bool swallow = false;
  LyingRedis redis(real_.port(), [&](const Command& c) -> Lie {
    if (!is_script(c, "commit")) return {};
    const std::string good = "*2\r\n" + bulk(c.back()) + bulk("ok");
    if (std::exchange(swallow, false)) return {.instead = last_good};  // this one's is the surplus
    last_good = good;
    const bool surplus = c.size() > 8;  // not with the lease's renewals
    swallow = surplus;
    return {.instead = {}, .before = {}, .after = surplus ? good : ""};
  });
  auto store = open(redis);
  for (std::uint64_t id = 1; id <= 20; ++id) {
    begin(*store, id, "value");
    loop_.run_one();
    EXPECT_EQ(record(id), "value") << id;
  }
  EXPECT_EQ(done_, 20);
  EXPECT_GE(redis.lies(), 20u);
}

// I1: copies are not there because a number was read that was another answer.
TEST_F(LyingRedisTest, I1_WaitIsAnsweredByItsOwnNumber) {
  std::atomic<int> waits{0};
  LyingRedis redis(real_.port(), [&](const Command& c) -> Lie {
    if (c[0] == "WAIT") {
      const int n = ++waits;
      if (n == 1) return {.instead = {}, .before = ":5\r\n", .after = {}};  // then the true 0
      if (n == 2) return {.instead = "+OK\r\n"};
      if (n == 3) return {.instead = "$1\r\n5\r\n"};
      if (n == 4) return {.instead = "$-1\r\n"};
      if (n == 5) return {.instead = ":1\r\n"};  // as if a replica had come
    }
    return {};
  });
  auto store = open(redis, 1);
  begin(*store, 1, "value");
  loop_.run_one();
  EXPECT_EQ(waits, 5);
  EXPECT_EQ(done_, 1);
}

// A transaction of several scripts.
TEST_F(LyingRedisTest, I1_ATransactionIsDoneWhenAllItsScriptsSaySo) {
  std::atomic<int> lie{0};
  LyingRedis redis(real_.port(), [&](const Command& c) -> Lie {
    if (c[0] != "EXEC") return {};
    switch (++lie) {
      case 1:
        return {.instead = "*-1\r\n"};
      case 2:
        return {.instead = "*2\r\n+OK\r\n+OK\r\n"};
      case 3:
        return {.instead = "*0\r\n"};
      default:
        return {};
    }
  });
  auto store = open(redis);
  auto batch = std::make_shared<Batch>();
  for (std::uint64_t id = 1; id <= 50'001; ++id)
    batch->add({.kind = WriteKind::put_session, .session = {id}, .epoch = 1, .value = "v"});
  store->commit(batch, [this](const CommitResult&) { ++done_; });
  loop_.run_one();
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(lie, 4);
  EXPECT_EQ(record(50'001), "v");
}

// The lease is a number of the script's own answer.
TEST_F(LyingRedisTest, I5_ALeaseIsNotTakenByAnotherAnswer) {
  std::atomic<std::size_t> which{0};
  LyingRedis redis(real_.port(), [&](const Command& c) -> Lie {
    if (!is_script(c, "take")) return {};
    const auto wrong = wrong_answers(c.back());
    const std::size_t w = which++;
    if (w >= wrong.size() || wrong[w].find(":1\r\n") != std::string::npos) return {};
    return {.instead = wrong[w]};
  });
  for (int i = 0; i < 30 && which < 22; ++i) {
    try {
      auto store = open(redis);
      EXPECT_NE(real_.call({"GET", "berth:lease"}).text, "") << which;
      store->close();
    } catch (const std::runtime_error&) {  // it says that another has it
    }
  }
}

// Reading: entries of a queue, and everything at the start, in every wrong type and one answer
// late.
TEST_F(LyingRedisTest, WhatIsReadIsOfTheTypeThatWasAsked) {
  {
    LyingRedis honest(real_.port(), [](const Command&) { return Lie{}; });
    auto store = open(honest);
    auto batch = std::make_shared<Batch>();
    batch->add({.kind = WriteKind::put_session, .session = {1}, .epoch = 1, .value = "s"});
    batch->add({.kind = WriteKind::append, .session = {1}, .seq = 1, .value = "m"});
    batch->add({.kind = WriteKind::put_retained, .key = "t", .value = "r"});
    store->commit(batch, [](const CommitResult&) {});
    loop_.run_one();
    store->close();
  }
  const std::vector<std::string> lies{"$-1\r\n",
                                      ":3\r\n",
                                      "+OK\r\n",
                                      bulk("x"),
                                      "*1\r\n:1\r\n",
                                      "*2\r\n" + bulk("0") + ":1\r\n",
                                      "*2\r\n" + bulk("x") + "*0\r\n",
                                      "*2\r\n+0\r\n*1\r\n:1\r\n"};
  for (const char* command : {"HSCAN", "SSCAN", "HLEN", "EVAL"}) {
    for (const std::string& lie : lies) {
      if (std::string(command) == "HLEN" && lie == ":3\r\n") continue;  // what it may say
      std::atomic<bool> told{false};
      std::atomic<bool> lying{false};
      LyingRedis redis(real_.port(), [&](const Command& c) -> Lie {
        if (!lying || c[0] != command || is_script(c, "commit") || told.exchange(true)) return {};
        return {.instead = lie};
      });
      auto store = open(redis);
      lying = true;
      Contents c;
      EXPECT_THROW(store->restore(c), RedisError) << command << " " << lie;
      Contents again;
      store->restore(again);
      EXPECT_EQ(again.sorted(), "s1=s;q1=1m..1m;tt=r;") << command << " " << lie;
      store->close();
    }
  }
}

TEST_F(LyingRedisTest, AQueueIsReadAgainUntilItIsRead) {
  std::atomic<std::size_t> lie{0};
  const std::vector<std::string> lies{"$-1\r\n",
                                      ":3\r\n",
                                      "+OK\r\n",
                                      bulk("x"),
                                      "*1\r\n:1\r\n",
                                      "*1\r\n" + bulk("short"),
                                      "*1\r\n" + bulk(std::string(8, '\0') + "an older one")};
  LyingRedis redis(real_.port(), [&](const Command& c) -> Lie {
    if (c[0] != "ZRANGEBYLEX" || lie >= lies.size()) return {};
    return {.instead = lies[lie++]};
  });
  auto store = open(redis);
  auto batch = std::make_shared<Batch>();
  batch->add({.kind = WriteKind::append, .session = {1}, .seq = 5, .value = "m"});
  store->commit(batch, [](const CommitResult&) {});
  loop_.run_one();
  std::vector<StoredEntry> got;
  store->read_queue({1}, 5, 10, 1000, [&](auto e) { got = std::move(*e); });
  loop_.run_one();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].value, "m");
  EXPECT_EQ(lie, lies.size());
}

// What a standby looks at.
TEST_F(LyingRedisTest, ALeaseIsReadStrictly) {
  real_.call({"SET", "berth:holders", "7"});
  std::atomic<std::size_t> at{0};
  const std::vector<std::string> lies{":7\r\n",     "+OK\r\n",  "*0\r\n",
                                      bulk("many"), bulk("7x"), bulk("-7")};
  LyingRedis redis(real_.port(), [&](const Command& c) -> Lie {
    if (c.size() < 2 || c[1] != "berth:holders" || at >= lies.size()) return {};
    return {.instead = lies[at++]};
  });
  RedisOptions o;
  o.address = parse_redis_url(redis.url());
  RedisConnection c(o);
  for (const std::string& lie : lies) {
    EXPECT_THROW(read_lease(c, "berth:"), RedisError) << lie;
    c.close();
  }
  EXPECT_EQ(read_lease(c, "berth:").number, 7u);
}

}  // namespace
}  // namespace berth::session
