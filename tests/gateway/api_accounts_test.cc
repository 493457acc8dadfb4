// Credentials of accounts over HTTP: keys, signatures, nonces, the throttle, and what they may do.
#include "gateway/rest/accounts.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <sstream>
#include <utility>
#include <vector>

#include "gateway/registry/password_hash.h"
#include "gateway/rest/account_ask.h"
#include "gateway/rest/scope.h"
#include "tests/gateway/registry_texts.h"

namespace berth::gateway::registry {
namespace {

constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kKeys = R"(
tenants:
  - name: acme
    sites: [{name: north}, {name: south}]
    devices: [{name: cam, site: north, credentials: [{auth_id: cam, password: p}]}]
    accounts:
      - name: platform
        role: service
        api: [read, command]
        credentials:
          - {auth_id: platform, password: "secret:with@signs"}
          - {auth_id: key-1, key: MDEyMzQ1Njc4OWFiY2RlZg==}
          - {auth_id: key-2, key: ZmVkY2JhOTg3NjU0MzIxMA==}
          - {auth_id: key-0, key: AAAAAAAAAAAAAAAAAAAAAA==, not_after: "2020-01-01T00:00:00Z"}
      - {name: eve, role: operator, sites: [north], api: [read, plates], credentials: [{auth_id: eve, password: e}]}
      - {name: mute, role: service, credentials: [{auth_id: mute, password: m}]}
      - {name: off, role: service, api: [read], enabled: false, credentials: [{auth_id: off, password: o}]}
)";

class ApiAccountsTest : public ::testing::Test {
 protected:
  void SetUp() override { registry_.apply(changes_of(kKeys)); }
  admin::ClaimAnswer ask(const std::string& authorization, const std::string& address = "192.0.2.1",
                         const std::string& target = "/api/v1/tenants",
                         const char* method = "GET") {
    std::optional<admin::ClaimAnswer> out;
    accounts_.decide({authorization, method, target, address},
                     [&](admin::ClaimAnswer a) { out = std::move(a); });
    io_.restart();
    const auto work = boost::asio::make_work_guard(io_);
    while (!out) io_.run_one();
    return *out;
  }
  std::string status_of(const admin::ClaimAnswer& a) {
    return a.caller ? a.caller->id : std::to_string(a.refusal.status);
  }
  std::string bearer(const std::string& key, const std::string& address = "192.0.2.1") {
    return status_of(ask("Bearer " + key, address));
  }
  Signed signed_by(const std::string& client_id, const std::string& nonce) const {
    return {client_id, std::to_string(now_s_), nonce, kEmpty, "", now_s_};
  }
  static std::string header(const Signed& s) {
    return "HMAC-SHA256 client_id=\"" + s.client_id + "\", timestamp=\"" + s.timestamp +
           "\", nonce=\"" + s.nonce + "\", body=\"" + s.body + "\", signature=\"" + s.signature +
           "\"";
  }
  std::string show(Signed s, const std::string& key,
                   const std::string& target = "/api/v1/tenants") {
    s.signature = signature_of(s, "GET", target, key);
    return status_of(ask(header(s)));
  }

  // One of two processes of the gateway, which ask one engine.
  ApiAccounts process() {
    return ApiAccounts{io_,
                       registry_,
                       {},
                       [this](const protocol::link::Question& q, const link::Answered& answered) {
                         if (!engine_) return answered({protocol::link::AskError::not_serving, {}});
                         engine_->ask(q.bytes, [answered](std::string bytes) {
                           answered({protocol::link::AskError::none, std::move(bytes)});
                         });
                       },
                       {[this] { return now_s_; }, [this] { return now_s_; }}};
  }
  struct Store final : platform::Records {
    explicit Store(const std::int64_t& now) : now_s(now) {}
    void put(std::string_view key, std::string_view value) override {
      records[std::string(key)] = std::string(value);
    }
    void remove(std::string_view) override {}
    void when_durable(std::function<void()> f) override { f(); }
    base::Instant now() const override { return {now_s * 1000}; }
    void read(session::RecordRange, session::Store::RecordsDone) override {}
    const std::int64_t& now_s;
    std::map<std::string, std::string> records;
  };
  void begin_engine() {
    engine_.emplace(store_, base::SipKey{});
    for (const auto& [key, value] : store_.records) engine_->restored(key, value);
  }

  std::int64_t now_s_ = 1'800'000'000;
  boost::asio::io_context io_{1};
  Registry registry_{""};
  Store store_{now_s_};
  std::optional<platform::SignedRequests> engine_{std::in_place, store_, base::SipKey{}};
  ApiAccounts accounts_ = process();
};

const std::string kFirst = "0123456789abcdef";
const std::string kSecond = "fedcba9876543210";

TEST_F(ApiAccountsTest, ABearerKeyIsAPasswordOfTheAccount) {
  const auto a = ask("Bearer platform@acme:secret:with@signs");
  ASSERT_TRUE(a.caller) << a.why;
  EXPECT_EQ(a.caller->id, "platform@acme");
  EXPECT_EQ(a.caller->tenant, "acme");
  EXPECT_EQ(a.caller->kind, admin::Caller::Kind::service);
  EXPECT_TRUE(a.caller->may_read && a.caller->may_command && !a.caller->may_change);
  EXPECT_EQ(bearer("platform@acme:secret:with@signs"), "platform@acme") << "known now";
  const auto e = ask("bearer eve@acme:e");
  ASSERT_TRUE(e.caller);
  EXPECT_EQ(e.caller->kind, admin::Caller::Kind::operator_);
  EXPECT_EQ(e.caller->sites, std::vector<std::string>{"north"});
  EXPECT_EQ(bearer("mute@acme:m"), "403") << "closed by default";
  EXPECT_EQ(bearer("off@acme:o"), "403");
  EXPECT_EQ(bearer("off@acme:x"), "401") << "says nothing to one without the key";
  for (const char* bad : {"platform@acme:secret", "platform@acme:", "platform:secret", "cam@acme:p",
                          "nobody@acme:x", "platform@other:x", "@:", "x", ""})
    EXPECT_EQ(bearer(bad, "192.0.2.77"), "401") << bad;
}

TEST_F(ApiAccountsTest, AChangedRecordHoldsForTheNextRequest) {
  ASSERT_EQ(bearer("platform@acme:secret:with@signs"), "platform@acme");
  pb::Account a;
  ASSERT_TRUE(a.ParseFromString(*registry_.find("a/acme/platform")));
  a.mutable_credentials(0)->set_password_hash(PasswordHash::make("other", 3));
  registry_.apply({.whole = false, .list = {{"a/acme/platform", a.SerializeAsString()}}});
  EXPECT_EQ(bearer("platform@acme:secret:with@signs"), "401");
  EXPECT_EQ(bearer("platform@acme:other"), "platform@acme");
  a.clear_api();
  registry_.apply({.whole = false, .list = {{"a/acme/platform", a.SerializeAsString()}}});
  EXPECT_EQ(bearer("platform@acme:other"), "403");
}

TEST_F(ApiAccountsTest, AnAddressHasAShareOfTheKeysThatAreHashed) {
  std::vector<std::string> said;
  const auto begin = [&](const std::string& key, const std::string& address) {
    accounts_.decide({"Bearer " + key, "GET", "/api/v1/tenants", address},
                     [&](const admin::ClaimAnswer& a) { said.push_back(status_of(a)); });
  };
  for (int i = 0; i < ApiAccounts::kHashesOfAddress; ++i)
    begin("nobody" + std::to_string(i) + "@acme:x", "192.0.2.1");
  EXPECT_TRUE(said.empty());
  begin("more@acme:x", "192.0.2.1");
  EXPECT_EQ(said, std::vector<std::string>{"503"});
  begin("eve@acme:e", "192.0.2.2");
  EXPECT_EQ(said.size(), 1u) << "another address has room";
  io_.restart();
  const auto work = boost::asio::make_work_guard(io_);
  while (said.size() < 2u + ApiAccounts::kHashesOfAddress) io_.run_one();
  EXPECT_EQ(said.back(), "eve@acme");
}

TEST_F(ApiAccountsTest, ASignatureIsOfOneRequest) {
  EXPECT_EQ(show(signed_by("key-1@acme", "nonce-01"), kFirst), "platform@acme");
  EXPECT_EQ(show(signed_by("key-1@acme", "nonce-01"), kFirst), "401") << "used";
  EXPECT_EQ(show(signed_by("key-1@acme", "nonce-02"), kSecond), "platform@acme")
      << "two keys while one replaces the other";
  EXPECT_EQ(show(signed_by("key-1@acme", "nonce-03"), std::string(16, '\0')), "401") << "expired";
  EXPECT_EQ(show(signed_by("key-1@acme", "nonce-04"), "another key of 16"), "401");
  EXPECT_EQ(show(signed_by("nobody@acme", "nonce-05"), kFirst), "401");
  EXPECT_EQ(show(signed_by("cam@acme", "nonce-06"), kFirst), "401");
  EXPECT_EQ(show(signed_by("key-1@acme", "nonce-07"), kFirst, "/api/v1/tenants?limit=1"), "401")
      << "the query is signed";
  Signed s = signed_by("key-1@acme", "nonce-08");
  s.signature = signature_of(s, "GET", "/api/v1/tenants", kFirst);
  const auto good = ask(header(s));
  EXPECT_EQ(good.body_sha256, kEmpty);
  s.nonce = "nonce-09";
  EXPECT_EQ(status_of(ask(header(s))), "401") << "another nonce, the same signature";
  s = signed_by("key-1@acme", "nonce-10");
  s.signature = signature_of(s, "POST", "/api/v1/tenants", kFirst);
  EXPECT_EQ(status_of(ask(header(s))), "401") << "another method";
}

// A stream goes on as long as the key that has begun it is the account's.
TEST_F(ApiAccountsTest, ASignatureOfAStreamIsGoodUntilItsKeyIsGone) {
  Signed s = signed_by("key-1@acme", "nonce-01");
  s.signature = signature_of(s, "GET", "/api/v1/events", kFirst);
  const auto again = [&] {
    std::optional<admin::ClaimAnswer> out;
    accounts_.decide({header(s), "GET", "/api/v1/events", "192.0.2.1", false, true},
                     [&](admin::ClaimAnswer a) { out = std::move(a); });
    return status_of(out.value_or(admin::ClaimAnswer()));
  };
  EXPECT_EQ(again(), "platform@acme");
  now_s_ += 3600;
  EXPECT_EQ(again(), "platform@acme") << "it needs not be fresh, nor a nonce that is new";
  std::string less = kKeys;
  const std::string key = "          - {auth_id: key-1, key: MDEyMzQ1Njc4OWFiY2RlZg==}\n";
  less.erase(less.find(key), key.size());
  registry_.apply(changes_of(less));
  EXPECT_EQ(again(), "401");
}

// A page that is left open after a password has changed keeps nobody from logging in.
TEST_F(ApiAccountsTest, AStaleSessionIsNoFailedAttempt) {
  for (int i = 0; i < 50; ++i) {
    std::optional<admin::ClaimAnswer> out;
    accounts_.decide({"Bearer platform@acme:old", "GET", "/", "192.0.2.1", true},
                     [&](admin::ClaimAnswer a) { out = std::move(a); });
    io_.restart();
    const auto work = boost::asio::make_work_guard(io_);
    while (!out) io_.run_one();
    ASSERT_EQ(status_of(*out), "401") << i;
  }
  EXPECT_EQ(bearer("platform@acme:secret:with@signs", "192.0.2.99"), "platform@acme");
}

// As somebody does who has seen it, at another process or behind the death of an engine.
TEST_F(ApiAccountsTest, ASignedRequestIsNotReplayed) {
  Signed s = signed_by("key-1@acme", "nonce-01");
  s.signature = signature_of(s, "GET", "/api/v1/tenants", kFirst);
  ApiAccounts other = process();
  const auto at_other = [&](const Signed& request) {
    std::optional<admin::ClaimAnswer> out;
    other.decide({header(request), "GET", "/api/v1/tenants", "192.0.2.1"},
                 [&](admin::ClaimAnswer a) { out = std::move(a); });
    return out.value_or(admin::ClaimAnswer());
  };
  EXPECT_EQ(status_of(ask(header(s))), "platform@acme");
  EXPECT_EQ(status_of(at_other(s)), "401");
  begin_engine();
  for (const auto& again : {ask(header(s)), at_other(s)}) {
    EXPECT_EQ(again.refusal.status, 503);
    EXPECT_NE(again.refusal.body.find("\"sign_again\""), std::string::npos);
    EXPECT_EQ(again.refusal.headers.at("Retry-After"), "3");
  }
  now_s_ += 3;
  EXPECT_EQ(show(signed_by("key-1@acme", "nonce-02"), kFirst), "platform@acme");
  engine_.reset();
  EXPECT_EQ(show(signed_by("key-1@acme", "nonce-03"), kFirst), "503") << "that can't be proved";
}

TEST_F(ApiAccountsTest, TimestampsAndNoncesHaveTheirTimes) {
  Signed s = signed_by("key-1@acme", "nonce-01");
  for (const int skew : {-300, 300, -301, 301}) {
    s.seconds = now_s_ + skew;
    s.timestamp = std::to_string(s.seconds);
    s.nonce = "nonce-" + s.timestamp;
    EXPECT_EQ(show(s, kFirst), skew * skew == 90'000 ? "platform@acme" : "401") << skew;
  }
  s = signed_by("key-1@acme", "nonce-02");
  ASSERT_EQ(show(s, kFirst), "platform@acme");
  now_s_ += 601;
  EXPECT_EQ(show(signed_by("key-1@acme", "nonce-02"), kFirst), "401");
  now_s_ += 1;
  EXPECT_EQ(show(signed_by("key-1@acme", "nonce-02"), kFirst), "platform@acme");
}

TEST_F(ApiAccountsTest, HeadersThatAreNone) {
  Signed s = signed_by("key-1@acme", "nonce-01");
  s.signature = signature_of(s, "GET", "/api/v1/tenants", kFirst);
  const std::string good = header(s);
  for (const std::string& bad :
       {std::string("HMAC-SHA256"), std::string("HMAC-SHA256 "), std::string("HMAC-SHA256 ,,,"),
        good + ", nonce=\"again-one\"", good + ", more=1", good.substr(0, good.size() - 9),
        "HMAC-SHA1" + good.substr(11)})
    EXPECT_EQ(status_of(ask(bad)), "401") << bad;
  const std::vector<std::pair<std::string, std::string>> damages{
      {"key-1@acme", ""},
      {"nonce-01", "short"},
      {kEmpty, "00"},
      {"timestamp=\"18", "timestamp=\"x"},
      {"timestamp=\"18", "timestamp=\"-"}};
  for (const auto& [part, with] : damages) {
    std::string text = good;
    text.replace(text.find(part), part.size(), with);
    EXPECT_EQ(status_of(ask(text)), "401") << text;
  }
  std::string bare = good;
  bare.erase(std::remove(bare.begin(), bare.end(), '"'), bare.end());
  EXPECT_EQ(status_of(ask(bare)), "platform@acme") << "quotes may be left out";
}

TEST_F(ApiAccountsTest, FailuresAreThrottledByAddress) {
  ASSERT_EQ(bearer("platform@acme:secret:with@signs"), "platform@acme");
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(bearer("nobody" + std::to_string(i) + "@acme:x"), "401") << i;
  const auto no = ask("Bearer nobody@acme:x");
  EXPECT_EQ(no.refusal.status, 429);
  EXPECT_EQ(no.refusal.headers.at("Retry-After"), "10");
  EXPECT_EQ(bearer("eve@acme:e"), "429") << "not known from there";
  EXPECT_EQ(bearer("eve@acme:e", "192.0.2.2"), "eve@acme");
  EXPECT_EQ(bearer("platform@acme:secret:with@signs"), "platform@acme") << "known from there";
  now_s_ += 10;
  EXPECT_EQ(bearer("eve@acme:e"), "eve@acme") << "one is forgiven";
  const auto other = [](int i) { return "other" + std::to_string(i) + "@acme:x"; };
  for (int i = 0; i < 20; ++i) bearer(other(i), "2001:db8::" + std::to_string(i));
  EXPECT_EQ(bearer(other(21), "2001:db8::ffff"), "429") << "a /64 is one";
  EXPECT_EQ(bearer(other(21), "2001:db8:0:1::1"), "401");
}

TEST_F(ApiAccountsTest, FailuresAreThrottledByName) {
  ASSERT_EQ(bearer("eve@acme:e", "192.0.2.99"), "eve@acme");
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(bearer("eve@acme:x", "198.51.100." + std::to_string(i)), "401") << i;
  EXPECT_EQ(bearer("eve@acme:e", "198.51.100.9"), "429") << "from a new address";
  EXPECT_EQ(bearer("eve@acme:e", "192.0.2.99"), "eve@acme") << "from where it has been";
  EXPECT_EQ(bearer("platform@acme:secret:with@signs", "198.51.100.1"), "platform@acme");
  for (int i = 0; i < 5; ++i) {
    Signed s = signed_by("key-2@acme", "wrong-nonce-" + std::to_string(i));
    s.signature = signature_of(s, "GET", "/api/v1/tenants", "another key of 16");
    ASSERT_EQ(status_of(ask(header(s), "203.0.113." + std::to_string(i))), "401") << i;
  }
  Signed s = signed_by("key-2@acme", "good-nonce");
  s.signature = signature_of(s, "GET", "/api/v1/tenants", kSecond);
  EXPECT_EQ(status_of(ask(header(s), "203.0.113.9")), "429") << "signatures too";
}

// A back end begins with many requests at a time: none of them is a failure, and one is hashed.
TEST_F(ApiAccountsTest, TheSameKeyAtATimeIsHashedOnce) {
  std::vector<std::string> answers;
  for (int i = 0; i < 100; ++i) {
    accounts_.decide({"Bearer platform@acme:secret:with@signs", "GET", "/", "192.0.2.1"},
                     [&](const admin::ClaimAnswer& a) { answers.push_back(status_of(a)); });
  }
  EXPECT_TRUE(answers.empty());
  const auto work = boost::asio::make_work_guard(io_);
  while (answers.size() < 100) io_.run_one();
  EXPECT_EQ(answers, std::vector<std::string>(100, "platform@acme"));
}

TEST_F(ApiAccountsTest, HashesAreBounded) {
  std::vector<std::string> answers;
  for (int i = 0; i < 20; ++i) {
    const std::string address = "192.0.2." + std::to_string(i);
    accounts_.decide({"Bearer n" + std::to_string(i) + "@acme:x", "GET", "/", address},
                     [&](const admin::ClaimAnswer& a) { answers.push_back(status_of(a)); });
  }
  EXPECT_EQ(answers, std::vector<std::string>(4, "503")) << "16 are hashed at a time";
  const auto work = boost::asio::make_work_guard(io_);
  while (answers.size() < 20) io_.run_one();
  EXPECT_EQ(bearer("eve@acme:e"), "eve@acme");
}

// What an edge asks an engine, and what it hears.
TEST_F(ApiAccountsTest, ClaimsAndAnswersGoOverALink) {
  using protocol::link::AskError;
  const auto over = [&](const admin::Claim& claim, ApiAccounts* accounts) {
    std::optional<link::Answer> said;
    answer_claim(accounts, {protocol::link::AskKind::check_account, 1000, encode_claim(claim)},
                 [&](link::Answer a) { said = std::move(a); });
    io_.restart();
    const auto work = boost::asio::make_work_guard(io_);
    while (!said) io_.run_one();
    admin::ClaimAnswer out;
    EXPECT_EQ(said->error, AskError::none);
    EXPECT_TRUE(decode_answer(said->bytes, out)) << said->bytes;
    return out;
  };
  Signed s = signed_by("key-1@acme", "nonce-01");
  s.signature = signature_of(s, "GET", "/x?y=z", kFirst);
  const auto good = over({header(s), "GET", "/x?y=z", "192.0.2.1"}, &accounts_);
  ASSERT_TRUE(good.caller) << good.why;
  EXPECT_EQ(good.body_sha256, kEmpty);
  EXPECT_EQ(good.caller->id, "platform@acme");
  EXPECT_TRUE(good.caller->may_read && good.caller->may_command && !good.caller->may_change);
  EXPECT_FALSE(good.caller->may_see_plates);
  const auto eve = over({"Bearer eve@acme:e", "GET", "/", "192.0.2.1"}, &accounts_);
  ASSERT_TRUE(eve.caller);
  EXPECT_TRUE(eve.caller->may_see_plates);
  EXPECT_EQ(eve.caller->kind, admin::Caller::Kind::operator_);
  EXPECT_EQ(eve.caller->sites, std::vector<std::string>{"north"});
  const auto bad = over({"Bearer eve@acme:x", "GET", "/", "192.0.2.1"}, &accounts_);
  EXPECT_FALSE(bad.caller);
  EXPECT_EQ(bad.refusal.status, 401);
  EXPECT_EQ(bad.refusal.body, ask("Bearer eve@acme:y").refusal.body);
  EXPECT_NE(bad.why.find("eve@acme"), std::string::npos);
  for (int i = 0; i < 5; ++i) over({"Bearer no@acme:x", "GET", "/", "192.0.2.9"}, &accounts_);
  const auto wait = over({"Bearer no@acme:x", "GET", "/", "192.0.2.9"}, &accounts_);
  EXPECT_EQ(wait.refusal.status, 429);
  EXPECT_EQ(wait.refusal.headers.at("Retry-After"), "10");
  EXPECT_EQ(over({"Bearer eve@acme:e", "GET", "/", "192.0.2.1"}, nullptr).refusal.status, 401);
  EXPECT_EQ(over({"Bearer \xff\xfe@acme:e", "GET", "/", "192.0.2.1"}, &accounts_).refusal.status,
            401);
  admin::ClaimAnswer none;
  for (const char* damaged : {"", "{", "[]", "{}", R"({"id":"a@b","tenant":"b"})",
                              R"({"id":"a@b","tenant":"","sites":[]})",
                              R"({"id":"a@b","tenant":"b","sites":[1]})", R"({"status":200})"})
    EXPECT_FALSE(decode_answer(damaged, none)) << damaged;
}

// What docs/api.md shows is what the gateway computes.
TEST(ApiSignature, IsAsTheDocsHaveIt) {
  std::ifstream in(std::string(BERTH_SOURCE) + "/docs/api.md");
  std::stringstream text;
  text << in.rdbuf();
  const std::string page = text.str();
  static const std::regex row(
      "\\n\\| vector \\| (\\S+) \\| (\\S+) \\| (\\S+) \\| (\\w+) (\\S+) \\| (\\S*) \\| `(\\w+)` "
      "\\|");
  static const std::regex key("key `([A-Za-z0-9+/=]+)`");
  std::smatch k;
  ASSERT_TRUE(std::regex_search(page, k, key));
  std::size_t seen = 0;
  for (std::sregex_iterator it(page.begin(), page.end(), row), end; it != end; ++it, ++seen) {
    const std::smatch& m = *it;
    const Signed s{m[1], m[2], m[3], m[6], "", 0};
    EXPECT_EQ(signature_of(s, m[4].str(), m[5].str(), decode_base64(k[1].str())), m[7].str())
        << m[0];
  }
  EXPECT_EQ(seen, 2u);
}

TEST(ApiScope, AccountsChangeNoAccountsAndLeaveNoSite) {
  admin::Caller c{.kind = admin::Caller::Kind::service,
                  .id = "p@acme",
                  .tenant = "acme",
                  .may_read = true,
                  .may_change = true};
  pb::Device d;
  d.set_site("north");
  const std::string north = d.SerializeAsString();
  d.set_site("south");
  const std::string south = d.SerializeAsString();
  const auto status = [&](admin::Right right, Kind kind, const char* tenant, const char* name,
                          const std::string* stored = nullptr) {
    const auto r = refusal_of(c, right, {kind, tenant, name}, stored);
    return r ? r->status : 0;
  };
  using admin::Right;
  EXPECT_EQ(status(Right::read, Kind::tenant, "", ""), 0) << "the list, of its own";
  EXPECT_EQ(status(Right::read, Kind::tenant, "acme", ""), 0);
  EXPECT_EQ(status(Right::change, Kind::tenant, "acme", ""), 403);
  EXPECT_EQ(status(Right::read, Kind::account, "acme", "p"), 0);
  EXPECT_EQ(status(Right::change, Kind::account, "acme", "p"), 403);
  EXPECT_EQ(status(Right::change, Kind::device, "acme", "cam", &north), 0);
  EXPECT_EQ(status(Right::change, Kind::device, "acme", "new"), 0);
  EXPECT_EQ(status(Right::change, Kind::device, "other", "cam", &north), 404);
  EXPECT_EQ(status(Right::read, Kind::device, "other", "cam"), 404);
  c.sites = {"north"};
  EXPECT_EQ(status(Right::change, Kind::device, "acme", "cam", &north), 0);
  EXPECT_EQ(status(Right::change, Kind::device, "acme", "cam", &south), 404);
  EXPECT_EQ(status(Right::read, Kind::device, "acme", "cam", &south), 404);
  EXPECT_EQ(status(Right::change, Kind::device, "acme", "new"), 0) << "asked again with its site";
  EXPECT_EQ(status(Right::read, Kind::site, "acme", "south"), 404);
  EXPECT_EQ(status(Right::change, Kind::product, "acme", "x"), 403);
  EXPECT_EQ(status(Right::read, Kind::account, "acme", "p"), 403);
  EXPECT_TRUE(in_list_of(c, {Kind::device, "acme", "cam"}, north));
  EXPECT_FALSE(in_list_of(c, {Kind::device, "acme", "cam"}, south));
  EXPECT_FALSE(in_list_of(c, {Kind::device, "other", "cam"}, north));
}

TEST(ApiScope, AccountsHaveGoodRights) {
  const auto fault = [](const std::string& text) -> std::string {
    try {
      changes_of("tenants: [{name: a, accounts: [" + text + "]}]");
      return {};
    } catch (const BadRecord& e) {
      return e.what();
    }
  };
  EXPECT_EQ(fault("{name: s, role: service, api: [read, plates, change, command]}"), "");
  EXPECT_EQ(fault("{name: s, role: operator, api: [read, plates]}"), "");
  EXPECT_NE(fault("{name: s, role: service, api: [write]}").find("read, plates, change, command"),
            std::string::npos);
  EXPECT_NE(fault("{name: s, role: operator, api: [command]}").find("an operator only reads"),
            std::string::npos);
}

}  // namespace
}  // namespace berth::gateway::registry
