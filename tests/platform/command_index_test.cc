// Lists of commands and how long they are kept, and the rates of those who ask for them.
#include "platform/command_index.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "platform/rates.h"

namespace berth::platform {
namespace {

struct IndexStore final : Records, LedgerPorts {
  void put(std::string_view key, std::string_view value) override {
    records.insert_or_assign(std::string(key), std::string(value));
  }
  void remove(std::string_view key) override { records.erase(std::string(key)); }
  void when_durable(std::function<void()> f) override { f(); }
  base::Instant now() const override { return {1000}; }
  void read(session::RecordRange range, session::Store::RecordsDone done) override {
    if (fails) return done(make_error_code(boost::system::errc::io_error));
    std::vector<session::StoredRecord> out;
    const auto from = records.lower_bound(range.from);
    auto to = records.lower_bound(range.to);
    if (range.newest_first) {
      while (to != from && out.size() < range.count) {
        --to;
        out.push_back({to->first, to->second});
      }
    } else {
      for (auto it = from; it != to && out.size() < range.count; ++it)
        out.push_back({it->first, it->second});
    }
    done(std::move(out));
  }
  void accepted(const Entry&) override {}
  void dispatch(const Dispatch&) override {}
  std::uint32_t locate(std::string_view, std::string_view) override { return 0; }
  void wants(std::string_view, std::string_view, bool) override {}
  void finished(const Entry&) override {}
  void late_result(const Entry&, const Result&) override {}
  void stray_result() override {}
  std::map<std::string, std::string> records;
  bool fails = false;
};

struct Index : ::testing::Test {
  // `done`: with its outcome, in the store.
  Entry put(int n, bool done, std::size_t payload = 10) {
    Entry e;
    e.asked.tenant = "acme";
    e.asked.device = "gate";
    e.asked.id = "c" + std::to_string(1000000 + n);
    e.asked.type = "open";
    e.asked.payload.assign(payload, 'x');
    e.site = "north";
    e.serial = static_cast<std::uint64_t>(n) + 1;
    e.accepted_wall_ms = 1000 + n;
    e.command.log.push_back({1000 + n, State::accepted, ""});
    index.accepted(e);
    if (done) {
      e.command.outcome = Outcome::succeeded;
      e.command.state = State::done;
      index.ended(e);
      store.put(final_key("acme", e.asked.id), encode(e));
    } else {
      ledger.restored("!c" + std::string(1, '\0') + joined("acme", e.asked.id), encode(e));
    }
    return e;
  }
  CommandIndex::Page list(std::string after = {}, std::size_t count = 200) {
    CommandIndex::Page out;
    CommandIndex::Query q{.tenant = "acme"};
    q.after = std::move(after);
    q.count = count;
    index.list(q, [&out](CommandIndex::Page page) { out = std::move(page); });
    return out;
  }
  IndexStore store;
  Ledger ledger{{}, store, store};
  CommandIndex index{store, ledger, {.days = 1, .bytes = 1 << 30}};
};

TEST_F(Index, EndsAPageBeforeItIsTooLargeForAnAnswerAndGoesOnBehindIt) {
  for (int i = 0; i < 40; ++i) put(i, true, 32 * 1024);
  std::size_t seen = 0;
  std::string after;
  int pages = 0;
  for (CommandIndex::Page page = list();; page = list(after)) {
    ++pages;
    ASSERT_FALSE(page.failed);
    EXPECT_LE(page.commands.size(), 17u);
    for (const Entry& e : page.commands)
      EXPECT_EQ(e.asked.id, "c" + std::to_string(1000000 + 39 - static_cast<int>(seen++)));
    if (!page.more) break;
    after = page.last;
  }
  EXPECT_EQ(seen, 40u);
  EXPECT_EQ(pages, 3);
}

TEST_F(Index, LooksForMatchesBehindThoseThatAreNotWanted) {
  const int all = static_cast<int>(CommandIndex::kLookMax) + 500;
  for (int i = 0; i < all; ++i) put(i, true);
  CommandIndex::Query q{.tenant = "acme"};
  q.count = 2;
  q.is_wanted = [](const Entry& e) { return e.accepted_wall_ms % 100 == 0; };
  CommandIndex::Page page;
  const auto take = [&page](CommandIndex::Page p) { page = std::move(p); };
  index.list(q, take);
  ASSERT_EQ(page.commands.size(), 2u);
  EXPECT_EQ(page.commands[0].accepted_wall_ms, 3400);
  EXPECT_EQ(page.commands[1].accepted_wall_ms, 3300);
  EXPECT_TRUE(page.more);
  q.is_wanted = [](const Entry& e) { return e.accepted_wall_ms == 1001; };  // the last but one
  index.list(q, take);
  EXPECT_TRUE(page.commands.empty());
  ASSERT_TRUE(page.more) << "it has looked at enough for one question";
  q.after = page.last;
  index.list(q, take);
  ASSERT_EQ(page.commands.size(), 1u);
  EXPECT_FALSE(page.more);
}

// Those that are not wanted may be of another site.
TEST_F(Index, AFullPageHasMoreBehindItOnlyIfThatIsWanted) {
  for (int i = 0; i < 20; ++i) put(i, true);
  CommandIndex::Query q{.tenant = "acme"};
  q.count = 2;
  q.is_wanted = [](const Entry& e) { return e.accepted_wall_ms >= 1016; };
  CommandIndex::Page page;
  const auto take = [&page](CommandIndex::Page p) { page = std::move(p); };
  index.list(q, take);
  EXPECT_EQ(page.commands.size(), 2u);
  EXPECT_TRUE(page.more);
  q.after = page.last;
  index.list(q, take);
  EXPECT_EQ(page.commands.size(), 2u);
  EXPECT_FALSE(page.more);
}

TEST_F(Index, SaysThatTheStoreCannotBeReadInsteadOfAShorterList) {
  put(1, true);
  store.fails = true;
  EXPECT_TRUE(list().failed);
}

TEST_F(Index, SweepsBehindCommandsThatHaveNoOutcome) {
  const int open = static_cast<int>(CommandIndex::kSweepMax) + 10;
  for (int i = 0; i < open; ++i) put(i, false);
  put(open, true);
  const std::int64_t later = 1000 + 2 * 86'400'000LL;
  index.sweep(later);
  EXPECT_EQ(index.swept(), 0u);
  index.sweep(later);
  EXPECT_EQ(index.swept(), 1u);
  index.sweep(later);
  EXPECT_EQ(list({}, 1).commands.size(), 1u) << "the open ones stay";
}

TEST_F(Index, KeepsACommandThatTheStoreCannotBeReadFor) {
  put(1, true);
  index.sweep(1000);  // writes how much is kept
  const std::size_t kept = store.records.size();
  store.fails = true;
  index.sweep(1000 + 2 * 86'400'000LL);
  store.fails = false;
  EXPECT_EQ(store.records.size(), kept);
  index.sweep(1000 + 2 * 86'400'000LL);
  EXPECT_EQ(index.swept(), 1u);
}

TEST(Rates, LimitMoreThanAThousandASecondToo) {
  for (const std::uint32_t per_s : {1u, 7u, 1000u, 1500u, 5000u}) {
    Rates rates;
    base::Instant now{1000};
    std::uint32_t taken = 0;
    while (rates.take("a", per_s, now) && taken <= 3 * per_s) ++taken;
    EXPECT_NEAR(taken, 2 * per_s, 1 + per_s / 100) << per_s;
    now = now.plus_ms(1000);
    taken = 0;
    while (rates.take("a", per_s, now) && taken <= 3 * per_s) ++taken;
    EXPECT_NEAR(taken, per_s, 1 + per_s / 100) << per_s;
  }
}

}  // namespace
}  // namespace berth::platform
