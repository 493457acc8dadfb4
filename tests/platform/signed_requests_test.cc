// Signed requests are let in once, also by engines that begin anew; nonces are bounded.
#include "platform/signed_requests.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "platform/platform.pb.h"

namespace berth::platform {
namespace {

using pb::NonceAnswer;

struct SignedStore final : Records {
  void put(std::string_view key, std::string_view value) override {
    open[std::string(key)] = std::string(value);
    ++puts;
  }
  void remove(std::string_view key) override { records.erase(std::string(key)); }
  void when_durable(std::function<void()> f) override { waiting.push_back(std::move(f)); }
  base::Instant now() const override { return {now_s * 1000}; }
  void read(session::RecordRange, session::Store::RecordsDone) override {}
  void commit() {
    for (auto& [key, value] : open) records[key] = value;
    open.clear();
    for (const auto& f : std::exchange(waiting, {})) f();
  }
  std::map<std::string, std::string> records, open;
  std::vector<std::function<void()>> waiting;
  std::int64_t now_s = 50'000;
  int puts = 0;
};

struct SigningEngine {
  explicit SigningEngine(SignedStore& s) : store(s), requests(s, {1, 2}) {
    for (const auto& [key, value] : store.records) requests.restored(key, value);
  }
  // UNKNOWN: there is no answer yet.
  NonceAnswer::Verdict take(const std::string& nonce, std::int64_t timestamp_s,
                            const std::string& account = "platform@acme") {
    pb::NonceQuestion q;
    q.set_account(account);
    q.set_nonce(nonce);
    q.set_timestamp_s(timestamp_s);
    answer.Clear();
    requests.ask(q.SerializeAsString(),
                 [this](const std::string& bytes) { EXPECT_TRUE(answer.ParseFromString(bytes)); });
    return answer.verdict();
  }
  SignedStore& store;
  SignedRequests requests;
  NonceAnswer answer;
};

TEST(SignedRequests, AreLetInOnce) {
  SignedStore store;
  SigningEngine e(store);
  EXPECT_EQ(e.take("nonce-01", 1000), NonceAnswer::UNKNOWN) << "before the store has its time";
  store.commit();
  EXPECT_EQ(e.answer.verdict(), NonceAnswer::FRESH);
  EXPECT_EQ(e.take("nonce-01", 1000), NonceAnswer::AGAIN);
  EXPECT_EQ(e.take("nonce-01", 1000, "other@acme"), NonceAnswer::UNKNOWN) << "of another account";
  store.commit();
  EXPECT_EQ(e.answer.verdict(), NonceAnswer::FRESH);
}

// Whatever was let in, the next engine refuses it, and what is signed later it lets in.
TEST(SignedRequests, AreNotLetInAgainByTheNextEngine) {
  SignedStore store;
  std::vector<std::pair<std::string, std::int64_t>> good;
  {
    SigningEngine e(store);
    for (const std::int64_t at : {1000, 1001, 1300, 1004, 700, 1302, 1303}) {
      const std::string nonce = "nonce-" + std::to_string(at);
      if (e.take(nonce, at) == NonceAnswer::UNKNOWN) store.commit();
      if (e.answer.verdict() == NonceAnswer::FRESH) good.emplace_back(nonce, at);
    }
    EXPECT_EQ(good.size(), 7u);
    e.take("nonce-of-the-death", 1306);
    store.open.clear();  // it has let in nothing that the store does not know
    store.waiting.clear();
  }
  SigningEngine next(store);
  for (const auto& [nonce, at] : good) {
    EXPECT_EQ(next.take(nonce, at), NonceAnswer::TOO_OLD) << at;
    EXPECT_EQ(next.answer.signed_after_s(), 1305);
  }
  EXPECT_EQ(next.take("nonce-1306", 1306), NonceAnswer::UNKNOWN);
  store.commit();
  EXPECT_EQ(next.answer.verdict(), NonceAnswer::FRESH);
  EXPECT_EQ(next.take("another", 700, "other@acme"), NonceAnswer::UNKNOWN) << "other accounts";
}

TEST(SignedRequests, AreWrittenOnceInAWhile) {
  SignedStore store;
  SigningEngine e(store);
  for (int i = 0; i < 1000; ++i) {
    e.take("nonce-" + std::to_string(i), 1000 + i / 100);
    if (i % 10 == 0) store.commit();
  }
  EXPECT_EQ(store.puts, 4) << "in 10 s, of 1,000 requests";
}

TEST(SignedRequests, AccountsAreBoundedAndForgotten) {
  SignedStore store;
  SigningEngine e(store);
  const auto name = [](std::size_t i, const char* tenant) {
    return "a" + std::to_string(i) + "@" + tenant;
  };
  for (std::size_t i = 0; i < SignedRequests::kAccountsOfOne; ++i)
    ASSERT_NE(e.take("nonce-01", 1000, name(i, "acme")), NonceAnswer::FULL);
  EXPECT_EQ(e.take("nonce-01", 1000, "one-more@acme"), NonceAnswer::FULL);
  for (std::size_t i = SignedRequests::kAccountsOfOne; i < SignedRequests::kAccounts; ++i)
    ASSERT_NE(e.take("nonce-01", 1000, name(i, "other")), NonceAnswer::FULL);
  EXPECT_EQ(e.take("nonce-01", 1000, "one-more@other"), NonceAnswer::FULL);
  store.commit();
  e.requests.tick((1000 + 2 * SignedRequests::kSkew_s) * 1000);
  EXPECT_EQ(store.records.size(), SignedRequests::kAccounts) << "timestamps may be good yet";
  e.requests.tick((1003 + 2 * SignedRequests::kSkew_s) * 1000);
  EXPECT_EQ(store.records.size(), 0u);
  EXPECT_NE(e.take("nonce-01", 1603, "one-more@acme"), NonceAnswer::FULL);
}

TEST(Nonces, AreBoundedInAllAndForOne) {
  Nonces n(base::SipKey{}, 10, 6);
  for (int i = 0; i < 6; ++i) ASSERT_EQ(n.take("a", std::to_string(i), 0), Nonces::Seen::fresh);
  EXPECT_EQ(n.take("a", "6", 0), Nonces::Seen::full);
  EXPECT_EQ(n.take("a", "5", 0), Nonces::Seen::again);
  for (int i = 0; i < 4; ++i) ASSERT_EQ(n.take("b", std::to_string(i), 1), Nonces::Seen::fresh);
  EXPECT_EQ(n.take("b", "4", 1), Nonces::Seen::full);
  EXPECT_EQ(n.take("a", "6", Nonces::kRemembered_s), Nonces::Seen::fresh);
  Nonces of_tenants(base::SipKey{}, 10, 6);
  for (int i = 0; i < 6; ++i) {
    const std::string account = i % 2 == 0 ? "p@a" : "q@a";
    ASSERT_EQ(of_tenants.take(account, std::to_string(i), 0), Nonces::Seen::fresh);
  }
  EXPECT_EQ(of_tenants.take("r@a", "6", 0), Nonces::Seen::full) << "by whichever account";
  EXPECT_EQ(of_tenants.take("p@b", "6", 0), Nonces::Seen::fresh);
  EXPECT_EQ(n.size(), 5u);
}

}  // namespace
}  // namespace berth::platform
