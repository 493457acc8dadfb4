#include <gtest/gtest.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <mutex>

#include "base/text.h"
#include "gateway/engine/authenticator.h"
#include "gateway/registry/import.h"
#include "gateway/registry/password_hash.h"
#include "tests/support/temp_file.h"

namespace berth::gateway::engine {
namespace {

using test::TempFile;

// mosquitto_passwd -b -c FILE gate secret, version 2.0.11
constexpr const char* kFile =
    "gate:$7$101$AAAAAAAAAAAAAAAA$qPZJrd0pZ7nyw7sQXnZ0Jr3jmLRXcBGqKHk2xRNoeS0YJnEkpmPVOUVmrm1ZkJU+"
    "A7AYxYmrt6oqC2lCGyD3Mw==\n";

TEST(Authenticator, DecidesAnonymousAtOnce) {
  const auto ask = [](Anonymous a, bool user, bool loopback) {
    Authenticator auth({.anonymous = a}, [](auto f) { f(); });
    auto reason = protocol::mqtt::Reason::unspecified_error;
    auth.check({.has_user_name = user, .loopback = loopback, .user_name = "u"},
               [&](auto r) { reason = r.reason; });
    return reason;
  };
  using protocol::mqtt::Reason;
  EXPECT_EQ(ask(Anonymous::never, false, true), Reason::not_authorized);
  EXPECT_EQ(ask(Anonymous::loopback, false, true), Reason::success);
  EXPECT_EQ(ask(Anonymous::loopback, false, false), Reason::not_authorized);
  EXPECT_EQ(ask(Anonymous::always, true, false), Reason::success);
}

// What an authenticator posts, run by the test's thread.
class Posted {
 public:
  auto poster() {
    return [this](std::function<void()> f) {
      const std::lock_guard lock(mutex_);
      all_.push_back(std::move(f));
      came_.notify_one();
    };
  }
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!done()) {
      std::unique_lock lock(mutex_);
      if (!came_.wait_until(lock, end, [this] { return !all_.empty(); })) return false;
      const auto f = std::move(all_.front());
      all_.pop_front();
      lock.unlock();
      f();
    }
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::function<void()>> all_;
};

// A storm against a slow password hash is answered, bounded.
TEST(Authenticator, StormIsBounded) {
  TempFile f(kFile);
  Posted posted;
  int answered = 0;
  int busy = 0;
  constexpr int kStorm = 25'000;
  Authenticator auth(
      {.passwords = PasswordFile::load(f.path), .throttle = {.per_address = 0, .per_name = 0}},
      posted.poster());
  for (int i = 0; i < kStorm; ++i) {
    auth.check({.has_user_name = true, .user_name = "nobody", .password = "x"}, [&](auto r) {
      ++answered;
      busy += r.reason == protocol::mqtt::Reason::server_busy;
    });
  }
  EXPECT_TRUE(posted.run_until([&] { return answered == kStorm; }));
  EXPECT_LT(busy, kStorm);
}

TEST(Authenticator, AGuesserIsRefusedUnasked) {
  TempFile f(kFile);
  Posted posted;
  std::vector<protocol::mqtt::Reason> answers;
  session::AuthResult last;
  Authenticator auth({.passwords = PasswordFile::load(f.path)}, posted.poster());
  for (std::size_t i = 1; i <= 7; ++i) {
    auth.check({.has_user_name = true, .user_name = "gate", .password = "guess"}, [&](auto r) {
      answers.push_back(r.reason);
      last = r;
    });
    ASSERT_TRUE(posted.run_until([&] { return answers.size() == i; }));
  }
  EXPECT_EQ(last.limit, "failures_per_name");
  EXPECT_EQ(last.why, "too many failed log-ins: auth.failures_per_name");
  EXPECT_GT(last.retry_after_ms, 0u) << "when the next may be made";
  using protocol::mqtt::Reason;
  EXPECT_EQ(std::count(answers.begin(), answers.end(), Reason::bad_user_name_or_password), 5);
  EXPECT_EQ(answers.back(), Reason::connection_rate_exceeded);
}

// What is decided when it has gone is nobody's any more.
TEST(Authenticator, EndsWhileItIsAsked) {
  TempFile f(kFile);
  Posted posted;
  int answered = 0;
  {
    Authenticator auth({.passwords = PasswordFile::load(f.path)}, posted.poster());
    for (int i = 0; i < 3; ++i)
      auth.check({.has_user_name = true, .user_name = "gate", .password = "x"},
                 [&](auto) { ++answered; });
    ASSERT_TRUE(posted.run_until([&] { return answered == 1; }));
  }
  bool last = false;
  posted.poster()([&] { last = true; });
  EXPECT_TRUE(posted.run_until([&] { return last; }));
  EXPECT_EQ(answered, 1);
}

TEST(Authenticator, ALongNameOrPasswordIsRefusedAtOnce) {
  TempFile f(kFile);
  using protocol::mqtt::Reason;
  Authenticator auth({.passwords = PasswordFile::load(f.path)}, [](auto) { FAIL() << "hashed"; });
  const auto ask = [&](std::size_t name, std::size_t password) {
    std::optional<Reason> got;
    auth.check({.has_user_name = true,
                .user_name = std::string(name, 'u'),
                .password = std::string(password, 'p')},
               [&](auto r) { got = r.reason; });
    return got;
  };
  EXPECT_EQ(ask(Authenticator::kNameMax + 1, 1), Reason::bad_user_name_or_password);
  EXPECT_EQ(ask(65'535, 1), Reason::bad_user_name_or_password);
  EXPECT_EQ(ask(1, Authenticator::kPasswordMax + 1), Reason::bad_user_name_or_password);
  Authenticator open({.anonymous = Anonymous::always}, [](auto f) { f(); });
  std::optional<Reason> got;
  open.check({.has_user_name = true, .user_name = std::string(300, 'u')},
             [&](auto r) { got = r.reason; });
  EXPECT_EQ(got, Reason::bad_user_name_or_password) << "nor is it kept for a connection";
}

// A name that nobody has is refused after a hash as dear as that of a wrong password.
TEST(Authenticator, AnUnknownNameTakesAsLongAsAWrongPassword) {
  const std::string hash = registry::PasswordHash::make("secret", 20'000);
  TempFile f("gate:" + hash + "\n");
  Posted posted;
  Authenticator auth(
      {.passwords = PasswordFile::load(f.path), .throttle = {.per_address = 0, .per_name = 0}},
      posted.poster());
  const auto cpu = [&](const std::string& name) {
    const std::clock_t begin = std::clock();
    for (int i = 0; i < 5; ++i) {
      bool done = false;
      auth.check({.has_user_name = true, .user_name = name, .password = "guess"}, [&](auto r) {
        done = r.reason == protocol::mqtt::Reason::bad_user_name_or_password;
      });
      EXPECT_TRUE(posted.run_until([&] { return done; }));
    }
    return static_cast<double>(std::clock() - begin);
  };
  const double known = cpu("gate");
  const double unknown = cpu("nobody");
  EXPECT_GT(unknown, known / 2);
  EXPECT_LT(unknown, known * 2);
}

TEST(Authenticator, APasswordOfTheFileIsHashedOnce) {
  TempFile f("gate:" + registry::PasswordHash::make("secret", 1000) + "\n");
  Posted posted;
  Authenticator auth({.passwords = PasswordFile::load(f.path)}, posted.poster());
  const auto ask = [&] {
    std::optional<protocol::mqtt::Reason> got;
    auth.check({.has_user_name = true, .user_name = "gate", .password = "secret"},
               [&](auto r) { got = r.reason; });
    const bool at_once = got.has_value();
    EXPECT_TRUE(posted.run_until([&] { return got.has_value(); }));
    EXPECT_EQ(got, protocol::mqtt::Reason::success);
    return at_once;
  };
  EXPECT_FALSE(ask());
  EXPECT_TRUE(ask());
  TempFile changed("gate:" + registry::PasswordHash::make("secret", 1000) + "\n");
  auth.use_passwords(PasswordFile::load(changed.path));
  EXPECT_FALSE(ask()) << "another salt";
}

// -- with a registry

class Registered : public ::testing::Test {
 protected:
  void load(const std::string& yaml) {
    registry::Changes c{.whole = true, .list = {}};
    const auto nothing = [](std::string_view) -> const std::string* { return nullptr; };
    for (const auto& w : registry::to_writes(registry::parse_yaml(yaml), nothing, 1000))
      c.list.push_back({w.key, w.value});
    registry_.apply(c);
  }
  session::AuthResult ask(session::AuthRequest r) {
    r.has_user_name = r.certificate.empty();
    std::optional<session::AuthResult> got;
    auth_.check(std::move(r), [&](session::AuthResult a) { got = std::move(a); });
    at_once_ = got.has_value();
    EXPECT_TRUE(posted_.run_until([&] { return got.has_value(); }));
    return *got;
  }
  registry::Registry registry_{"acme"};
  Posted posted_;
  bool at_once_ = false;  // the last answer needed no hash
  Authenticator auth_{{.unbound_proofs = true,
                       .throttle = {.per_address = 0, .per_name = 0},
                       .registry = &registry_},
                      posted_.poster()};
};

// What another tenant's queue does to a log-in; and connections that have ended.
TEST_F(Registered, ATenantDoesNotWaitForAnother) {
  load(
      "tenants: [{name: acme, sites: [{name: n}], devices: [{name: cam, site: n, credentials: "
      "[{auth_id: cam, password: secret}]}]},{name: mall, sites: [{name: n}]}]");
  constexpr int kFlood = 1'900;
  int answered = 0;
  int before = -1;
  for (int i = 0; i < kFlood; ++i) {
    const base::ConnId conn{static_cast<std::uint32_t>(i), 1};
    auth_.check(
        {.has_user_name = true,
         .user_name = "guess" + std::to_string(i) + (i % 2 == 0 ? "@mall" : "@none"),
         .password = "x"},
        [&](auto) { ++answered; }, conn);
    if (i % 3 == 0) auth_.closed(conn);
  }
  auth_.check({.has_user_name = true, .user_name = "cam@acme", .password = "secret"},
              [&](const session::AuthResult& r) {
                EXPECT_TRUE(r.scope);
                before = answered;
              });
  EXPECT_TRUE(posted_.run_until([&] { return before >= 0; }));
  EXPECT_LT(before, kFlood / 2) << "its turn is the next, whatever waits";
  EXPECT_TRUE(posted_.run_until([&] { return answered == kFlood; })) << "all are answered";
}

constexpr const char* kAcme =
    "tenants: [{name: acme, sites: [{name: n}], devices: ["
    "{name: cam, site: n, credentials: [{auth_id: cam, password: secret}, {certificate: cam.acme},"
    " {auth_id: old, password: x, not_after: '2020-01-01T00:00:00Z'}]},"
    "{name: box, site: n, credentials: [{auth_id: box, key: MDEyMzQ1Njc4OWFiY2RlZg==}]},"
    "{name: off, site: n, enabled: false, credentials: [{auth_id: off, password: secret}]}]}]";

TEST_F(Registered, APasswordIsHashedOnce) {
  load(kAcme);
  const auto first = ask({.user_name = "cam@acme", .password = "secret"});
  EXPECT_EQ(first.reason, protocol::mqtt::Reason::success);
  ASSERT_TRUE(first.scope);
  EXPECT_EQ(first.scope->who().name, "cam");
  EXPECT_FALSE(at_once_);
  EXPECT_TRUE(ask({.user_name = "cam@acme", .password = "secret"}).scope);
  EXPECT_TRUE(at_once_);
  EXPECT_EQ(ask({.user_name = "cam@acme", .password = "secreT"}).reason,
            protocol::mqtt::Reason::bad_user_name_or_password);
  EXPECT_FALSE(at_once_) << "only what was good is known";
  load(kAcme);  // hashed anew, with another salt
  EXPECT_TRUE(ask({.user_name = "cam", .password = "secret"}).scope);
  EXPECT_FALSE(at_once_);
}

// A storm of new devices does not keep out those that are known.
TEST_F(Registered, WhoNeedsNoHashComesInWhileManyWaitForTheirs) {
  load(kAcme);
  ASSERT_TRUE(ask({.user_name = "cam@acme", .password = "secret"}).scope);
  // The queue holds 20,000; its threads take from it meanwhile, a slow build's many.
  int busy = 0;
  for (int i = 0; i < 1'000'000 && busy == 0; ++i) {
    auth_.check({.has_user_name = true, .user_name = "cam@acme", .password = "wrong"},
                [&](const session::AuthResult& r) {
                  busy += r.reason == protocol::mqtt::Reason::server_busy;
                });
  }
  EXPECT_GT(busy, 0);
  bool in = false;
  auth_.check({.has_user_name = true, .user_name = "cam@acme", .password = "secret"},
              [&](const session::AuthResult& r) { in = r.scope != nullptr; });
  EXPECT_TRUE(in);
}

TEST_F(Registered, EachWayAndEachReasonNot) {
  using protocol::mqtt::Reason;
  EXPECT_EQ(ask({.user_name = "cam", .password = "secret"}).reason, Reason::server_unavailable)
      << "nobody knows yet";
  load(kAcme);
  EXPECT_EQ(ask({.user_name = "old", .password = "x"}).reason, Reason::bad_user_name_or_password);
  EXPECT_FALSE(at_once_) << "it took a hash, that it is out of time does not show";
  EXPECT_EQ(ask({.user_name = "none", .password = "x"}).reason, Reason::bad_user_name_or_password);
  EXPECT_FALSE(at_once_) << "it took a hash, that nobody has it does not show";
  EXPECT_EQ(ask({.user_name = "box", .password = "x"}).reason, Reason::bad_user_name_or_password);
  EXPECT_FALSE(at_once_) << "nor that it has a key";
  EXPECT_EQ(ask({.user_name = "off", .password = "secret"}).reason, Reason::banned);
  EXPECT_EQ(ask({.user_name = "off", .password = "x"}).reason, Reason::bad_user_name_or_password);
  EXPECT_TRUE(ask({.certificate = "cam.acme"}).scope);
  EXPECT_EQ(ask({.certificate = "cam"}).reason, Reason::not_authorized);
}

// What is asked while its password is hashed is answered by what holds then.
TEST_F(Registered, WhoIsDisabledMeanwhileStaysOut) {
  load(kAcme);
  std::optional<session::AuthResult> got;
  auth_.check({.has_user_name = true, .user_name = "cam", .password = "secret"},
              [&](session::AuthResult a) { got = std::move(a); });
  registry_.apply({.whole = false, .list = {{"d/acme/cam", std::nullopt}}});
  ASSERT_TRUE(posted_.run_until([&] { return got.has_value(); }));
  EXPECT_EQ(got->reason, protocol::mqtt::Reason::banned);
}

TEST_F(Registered, AKeyIsProvedByTheTime) {
  using protocol::mqtt::Reason;
  load(kAcme);
  const auto signature = [](const std::string& text) {
    unsigned char d[32];
    unsigned size = 0;
    HMAC(EVP_sha256(), "0123456789abcdef", 16, reinterpret_cast<const unsigned char*>(text.data()),
         text.size(), d, &size);
    return base::to_hex({reinterpret_cast<const char*>(d), size});
  };
  const auto proof = [&](std::int64_t seconds, const std::string& id) {
    return std::to_string(seconds) + ":" + signature(id + ":" + std::to_string(seconds));
  };
  const std::int64_t now = base::now().ms / 1000;
  EXPECT_TRUE(ask({.user_name = "box", .password = proof(now, "box")}).scope);
  EXPECT_TRUE(ask({.user_name = "box", .password = proof(now - 250, "box")}).scope);
  EXPECT_EQ(ask({.user_name = "box", .password = proof(now - 400, "box")}).reason,
            Reason::bad_user_name_or_password);
  EXPECT_EQ(ask({.user_name = "box", .password = proof(now, "cam")}).reason,
            Reason::bad_user_name_or_password);
  // Bound to the tenant and the client id.
  const auto bound = [&](const std::string& id) {
    const std::string at = std::to_string(now);
    return "v2:" + at + ":" + signature(id + ":" + at + ":c1");
  };
  EXPECT_TRUE(
      ask({.user_name = "box@acme", .password = bound("box@acme"), .client_id = "c1"}).scope);
  EXPECT_EQ(ask({.user_name = "box@acme", .password = bound("box@acme"), .client_id = "c2"}).reason,
            Reason::bad_user_name_or_password);
  EXPECT_EQ(ask({.user_name = "box@acme", .password = bound("box@mall"), .client_id = "c1"}).reason,
            Reason::bad_user_name_or_password);
  // Of the default tenant: by the name that is sent, or by the full one.
  for (const char* name : {"box", "box@acme"})
    EXPECT_TRUE(ask({.user_name = "box", .password = bound(name), .client_id = "c1"}).scope);
  EXPECT_EQ(ask({.user_name = "box@acme", .password = bound("box"), .client_id = "c1"}).reason,
            Reason::bad_user_name_or_password);
  for (const char* p : {"", ":", "1", "v2:", "v2::", "v2:1", "x:y", "99999999999999999999:00"})
    EXPECT_EQ(ask({.user_name = "box", .password = p}).reason, Reason::bad_user_name_or_password);
  Authenticator strict({.registry = &registry_}, posted_.poster());
  std::optional<Reason> got;
  strict.check({.has_user_name = true, .user_name = "box", .password = proof(now, "box")},
               [&](const session::AuthResult& r) { got = r.reason; });
  EXPECT_TRUE(posted_.run_until([&] { return got.has_value(); }));
  EXPECT_EQ(got, Reason::bad_user_name_or_password);
}

TEST_F(Registered, ARefusalSaysWhichOfTheseItIs) {
  load(kAcme);
  const auto why = [&](session::AuthRequest r) { return ask(std::move(r)).why; };
  const std::string now = std::to_string(base::now().ms / 1000);
  const std::string late = std::to_string(base::now().ms / 1000 - 4000);
  const std::string nonce(16, 'n');
  EXPECT_EQ(why({.user_name = "box", .password = now + ":00"}), "wrong proof of its key");
  EXPECT_EQ(why({.user_name = "box", .password = late + ":00"}).find("the device's clock is -400"),
            0u)
      << why({.user_name = "box", .password = late + ":00"});
  EXPECT_NE(why({.user_name = "box", .password = "secret"}).find("its credential is a key"),
            std::string::npos);
  EXPECT_EQ(why({.user_name = "box", .nonce = nonce}), "HELLO has no proof of its key");
  EXPECT_EQ(why({.user_name = "box", .nonce = nonce, .proof = "x"}), "wrong proof of its key");
  EXPECT_EQ(why({.user_name = "box", .password = "x", .nonce = nonce}),
            "a password was shown, its credential is a key");
  EXPECT_EQ(why({.user_name = "cam", .nonce = nonce, .proof = "x"}),
            "a proof was shown, its credential is a password");
  EXPECT_EQ(why({.user_name = "cam", .password = "x"}), "wrong password");
  EXPECT_EQ(why({.user_name = "old", .password = "x"}), "its credential has expired");
  EXPECT_EQ(why({.user_name = "off", .password = "secret"}), "the device is disabled");
  EXPECT_EQ(why({.certificate = "nobody"}), "its certificate is not registered");
}

// What a log-in by a password, a key or a certificate is looked at again by, while its connection
// is open: each is known by its own credential.
TEST_F(Registered, EachKindOfCredentialEndsByItself) {
  const auto yaml = [](const std::string& credentials) {
    return "tenants: [{name: acme, sites: [{name: n}], devices: [{name: cam, site: n, credentials: "
           "[" +
           credentials + "]}]}]";
  };
  const std::string by_password =
      "{auth_id: pw, password: secret, not_after: '2040-01-01T00:00:00Z'}";
  const std::string by_key = "{auth_id: box, key: MDEyMzQ1Njc4OWFiY2RlZg==}";
  const std::string by_certificate = "{certificate: cam.acme, not_after: '2041-01-01T00:00:00Z'}";
  load(yaml(by_password + ", " + by_key + ", " + by_certificate));
  const std::string at = std::to_string(base::now().ms / 1000);
  unsigned char d[32];
  unsigned size = 0;
  const std::string text = "box:" + at;
  HMAC(EVP_sha256(), "0123456789abcdef", 16, reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), d, &size);
  const auto proof = at + ":" + base::to_hex({reinterpret_cast<const char*>(d), size});
  const session::AuthResult results[] = {ask({.user_name = "pw", .password = "secret"}),
                                         ask({.user_name = "box", .password = proof}),
                                         ask({.certificate = "cam.acme"})};
  const base::Instant ends[] = {{2'208'988'800'000}, base::kNever, {2'240'611'200'000}};
  const std::string left[] = {by_key + ", " + by_certificate, by_password + ", " + by_certificate,
                              by_password + ", " + by_key};
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(results[i].scope) << i;
    const auto who = results[i].scope->who();
    EXPECT_EQ(registry_.credential_until(who, results[i].credential).ms, ends[i].ms) << i;
    load(yaml(left[i]));
    EXPECT_EQ(registry_.credential_until(who, results[i].credential).ms, 0) << i << " is removed";
    load(yaml(by_password + ", " + by_key + ", " + by_certificate));
  }
}

// With two authorities a name is not enough: the other one may have signed it.
TEST_F(Registered, ACertificateIsOfItsAuthority) {
  const std::string ours(32, '\xaa');
  const std::string theirs(32, '\xbb');
  const auto who = [&](const std::string& name, const std::string& authorities) {
    return ask({.certificate = name, .authorities = authorities}).scope != nullptr;
  };
  load("tenants: [{name: acme, authorities: [" + base::to_hex(ours) +
       "], sites: [{name: n}], devices: [{name: a, site: n, credentials: [{certificate: a}]}, "
       "{name: b, site: n, credentials: [{certificate: b, authority: " +
       base::to_hex(theirs) +
       "}]}]}, {name: mall, sites: [{name: n}], devices: [{name: c, site: n, credentials: "
       "[{certificate: c}]}]}]");
  EXPECT_TRUE(who("a", ours));
  EXPECT_TRUE(who("a", theirs + ours)) << "one of its chain";
  EXPECT_FALSE(who("a", theirs));
  EXPECT_FALSE(who("a", ""));
  EXPECT_TRUE(who("b", theirs)) << "a credential's own counts instead";
  EXPECT_FALSE(who("b", ours));
  EXPECT_TRUE(who("c", theirs)) << "bound to none";
  EXPECT_THROW(load("tenants: [{name: acme, authorities: [AA]}]"), registry::BadRecord);
}

// An open connection is looked at again with the authorities that it has come in by.
TEST_F(Registered, ACertificateEndsWithItsAuthority) {
  const std::string ours(32, '\0');  // any byte may be in a digest
  const std::string theirs(32, '\xbb');
  const auto use = [&](const std::string& tenant, const std::string& credential) {
    load("tenants: [{name: acme, authorities: [" + tenant +
         "], sites: [{name: n}], devices: [{name: a, site: n, credentials: [{certificate: a" +
         credential + "}]}]}]");
  };
  use(base::to_hex(ours) + ", " + base::to_hex(theirs), "");
  const session::AuthResult by_theirs = ask({.certificate = "a", .authorities = theirs});
  const session::AuthResult by_both = ask({.certificate = "a", .authorities = theirs + ours});
  ASSERT_TRUE(by_theirs.scope);
  const auto good = [&](const std::string& credential) {
    return registry_.credential_until(by_theirs.scope->who(), credential) == base::kNever;
  };
  EXPECT_TRUE(good(by_theirs.credential));
  use(base::to_hex(ours), "");
  EXPECT_FALSE(good(by_theirs.credential)) << "removed from the tenant's list";
  EXPECT_TRUE(good(by_both.credential)) << "one of its chain";
  EXPECT_TRUE(good("certificate a")) << "let in by an engine that did not keep them";
  use(base::to_hex(ours), ", authority: " + base::to_hex(theirs));
  EXPECT_TRUE(good(by_theirs.credential)) << "its own counts instead";
  use(base::to_hex(theirs), ", authority: " + base::to_hex(ours));
  EXPECT_FALSE(good(by_theirs.credential));
  use("", "");
  EXPECT_TRUE(good(by_theirs.credential)) << "bound to none";
}

}  // namespace
}  // namespace berth::gateway::engine
