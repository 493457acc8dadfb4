// Sessions that were logged out: the list outlives the engine, and is bounded without bringing a
// session back to life.
#include "platform/ended_sessions.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace berth::platform {
namespace {

constexpr std::int64_t kNowSeconds = 1'800'000'000;  // seconds

struct SessionRecords final : Records {
  std::map<std::string, std::string, std::less<>> all;
  void put(std::string_view key, std::string_view value) override { all[std::string(key)] = value; }
  void remove(std::string_view key) override { all.erase(std::string(key)); }
  void when_durable(std::function<void()> f) override { f(); }
  base::Instant now() const override { return {}; }
  void read(session::RecordRange, session::Store::RecordsDone) override {}
};

std::string session(int number, const std::string& account,
                    std::int64_t issued_s = kNowSeconds - 10) {
  std::string id = std::to_string(number);
  id.resize(EndedSessions::kIdBytes, 'x');
  pb::EndedSession e;
  e.set_id(id);
  e.set_account(account);
  e.set_issued_s(issued_s);
  return e.SerializeAsString();
}
pb::EndedSessionsAnswer asked(const EndedSessions& s, std::uint64_t version = 0) {
  pb::EndedSessionsQuestion q;
  q.set_version(version);
  pb::EndedSessionsAnswer a;
  EXPECT_TRUE(a.ParseFromString(s.answer(q.SerializeAsString())));
  return a;
}

TEST(EndedSessions, OutliveTheEngineUntilTheyWouldHaveEnded) {
  SessionRecords r;
  EndedSessions s(r);
  EXPECT_TRUE(s.end(session(1, "guard@demo"), kNowSeconds * 1000));
  const auto first = asked(s);
  ASSERT_EQ(first.sessions_size(), 1);
  EXPECT_TRUE(asked(s, first.version()).same());
  EndedSessions next(r);
  for (const auto& [key, value] : r.all) {
    ASSERT_TRUE(EndedSessions::is_key(key));
    next.restored(key, value);
  }
  EXPECT_FALSE(asked(next, first.version()).same()) << "of another engine";
  ASSERT_EQ(asked(next).sessions_size(), 1);
  EXPECT_EQ(asked(next).sessions(0).id(), first.sessions(0).id());
  next.tick((kNowSeconds + EndedSessions::kLasts_s - 60) * 1000);
  EXPECT_EQ(next.size(), 1u);
  next.tick((kNowSeconds + EndedSessions::kLasts_s + 600) * 1000);
  EXPECT_EQ(next.size(), 0u);
  EXPECT_TRUE(r.all.empty());
  EXPECT_TRUE(
      next.end(session(2, "a@b", kNowSeconds - 2 * EndedSessions::kLasts_s), kNowSeconds * 1000));
  EXPECT_EQ(next.size(), 0u) << "it has ended long ago";
  EXPECT_FALSE(next.end(session(2, "a@b", kNowSeconds + 9999), kNowSeconds * 1000));
  EXPECT_FALSE(next.end(session(2, ""), kNowSeconds * 1000));
  EXPECT_FALSE(next.end("no", kNowSeconds * 1000));
}

TEST(EndedSessions, AnAccountWithTooManyLosesAllOfItsOwnAndNobodyElses) {
  SessionRecords r;
  EndedSessions s(r);
  s.end(session(9999, "other@demo"), kNowSeconds * 1000);
  for (int i = 0; i <= static_cast<int>(EndedSessions::kMostOfOne); ++i)
    EXPECT_TRUE(s.end(session(i, "loop@demo"), kNowSeconds * 1000));
  bool all_before = false, others = false;
  const auto a = asked(s);
  for (const auto& e : a.sessions()) {
    all_before |= e.id().empty() && e.account() == "loop@demo" && e.issued_s() == kNowSeconds;
    others |= e.account() == "other@demo" && !e.id().empty();
  }
  EXPECT_TRUE(all_before && others);
  EXPECT_EQ(s.size(), 3u);
  EXPECT_EQ(r.all.size(), 3u);
  for (int i = 0; i < 2 * static_cast<int>(EndedSessions::kMost); ++i)
    s.end(session(i, "a" + std::to_string(i / 100) + "@demo"), kNowSeconds * 1000);
  EXPECT_LE(s.size(), EndedSessions::kMost + 1);
  const auto full = asked(s);
  bool everybody = false;
  for (const auto& e : full.sessions()) everybody |= e.account() == EndedSessions::kEverybody;
  EXPECT_TRUE(everybody);
  EXPECT_LT(full.ByteSizeLong(), 900u * 1024);
}

}  // namespace
}  // namespace berth::platform
