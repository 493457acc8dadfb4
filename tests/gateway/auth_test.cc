#include <gtest/gtest.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "gateway/engine/acl_file.h"
#include "gateway/engine/authenticator.h"
#include "gateway/registry/import.h"

namespace berth::gateway::engine {
namespace {

struct TempFile {
  explicit TempFile(const std::string& text) {
    path = std::filesystem::temp_directory_path() / "berth-file-XXXXXX";
    ::close(mkstemp(path.data()));
    std::ofstream(path) << text;
  }
  ~TempFile() { std::filesystem::remove(path); }
  std::string path;
};

// mosquitto_passwd -b -c FILE gate secret, version 2.0.11
constexpr const char* kFile =
    "gate:$7$101$AAAAAAAAAAAAAAAA$qPZJrd0pZ7nyw7sQXnZ0Jr3jmLRXcBGqKHk2xRNoeS0YJnEkpmPVOUVmrm1ZkJU+"
    "A7AYxYmrt6oqC2lCGyD3Mw==\n";

std::string load_error(const std::string& text) {
  TempFile f(text);
  try {
    PasswordFile::load(f.path);
    return {};
  } catch (const std::runtime_error& e) {
    return std::string(e.what()).substr(f.path.size());
  }
}

TEST(PasswordFile, TellsWhereItIsBad) {
  EXPECT_EQ(load_error("# comment\n\nnocolon\n"), ":3: expected user:hash");
  EXPECT_EQ(load_error("u:plaintext\n"), ":1: unknown hash format, use mosquitto_passwd");
  EXPECT_EQ(load_error("u:$7$0$AAAA$AAAA\n"), ":1: bad iteration count");
  EXPECT_EQ(load_error("u:$7$101$AAAA$AAAA\n"), ":1: bad base64");
  EXPECT_EQ(load_error(kFile), "");
}

TEST(PasswordFile, UnknownUserAndWrongPasswordFail) {
  TempFile f(kFile);
  const PasswordFile p = PasswordFile::load(f.path);
  EXPECT_FALSE(p.verify("nobody", "secret"));
  EXPECT_FALSE(p.verify("gate", "wrong"));
}

TEST(Acl, PatternsRightsAndDenials) {
  TempFile f(
      "topic read public/#\nuser gate\ntopic write up/+\ntopic deny up/secret\npattern readwrite "
      "dev/%u/%c/#\n");
  const AclFile acl = AclFile::load(f.path);
  const session::Identity gate{"gate", "g1"};
  const session::Identity nobody{"", "g1"};
  EXPECT_TRUE(acl.may_publish(gate, "up/1"));
  EXPECT_FALSE(acl.may_publish(gate, "up/secret"));
  EXPECT_FALSE(acl.may_publish(gate, "public/x"));
  EXPECT_TRUE(acl.may_subscribe(nobody, "public/#"));
  EXPECT_TRUE(acl.may_subscribe(nobody, "public/a/b"));
  EXPECT_FALSE(acl.may_subscribe(nobody, "#")) << "wider than what is allowed";
  EXPECT_FALSE(acl.may_subscribe(nobody, "+/a"));
  EXPECT_TRUE(acl.may_publish(gate, "dev/gate/g1/state"));
  EXPECT_FALSE(acl.may_publish(gate, "dev/gate/g2/state"));
  EXPECT_FALSE(acl.may_publish(nobody, "dev//g1/state"));
}

TEST(Acl, AClientIdWithWildcardsWidensNothing) {
  TempFile f("pattern readwrite dev/%c/#\n");
  const AclFile acl = AclFile::load(f.path);
  EXPECT_FALSE(acl.may_subscribe({"", "+"}, "dev/+/#"));
  EXPECT_FALSE(acl.may_subscribe({"", "#"}, "dev/#"));
  EXPECT_FALSE(acl.may_publish({"", "a/b"}, "dev/a/b"));
}

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

// Field lesson 16: a storm against a slow password hash is answered, bounded.
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
  Authenticator auth({.passwords = PasswordFile::load(f.path)}, posted.poster());
  for (std::size_t i = 1; i <= 7; ++i) {
    auth.check({.has_user_name = true, .user_name = "gate", .password = "guess"},
               [&](auto r) { answers.push_back(r.reason); });
    ASSERT_TRUE(posted.run_until([&] { return answers.size() == i; }));
  }
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
  Authenticator auth_{{.throttle = {.per_address = 0, .per_name = 0}, .registry = &registry_},
                      posted_.poster()};
};

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
  EXPECT_EQ(ask({.user_name = "none", .password = "x"}).reason, Reason::bad_user_name_or_password);
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
  const auto proof = [](std::int64_t seconds, const std::string& id) {
    const std::string text = id + ":" + std::to_string(seconds);
    unsigned char d[32];
    unsigned size = 0;
    HMAC(EVP_sha256(), "0123456789abcdef", 16, reinterpret_cast<const unsigned char*>(text.data()),
         text.size(), d, &size);
    std::string out = std::to_string(seconds) + ":";
    char hex[3];
    for (const unsigned char b : d) {
      std::snprintf(hex, sizeof hex, "%02x", b);
      out += hex;
    }
    return out;
  };
  const std::int64_t now = base::now().ms / 1000;
  EXPECT_TRUE(ask({.user_name = "box", .password = proof(now, "box")}).scope);
  EXPECT_TRUE(ask({.user_name = "box", .password = proof(now - 250, "box")}).scope);
  EXPECT_EQ(ask({.user_name = "box", .password = proof(now - 400, "box")}).reason,
            Reason::bad_user_name_or_password);
  EXPECT_EQ(ask({.user_name = "box", .password = proof(now, "cam")}).reason,
            Reason::bad_user_name_or_password);
  for (const char* p : {"", ":", "1", "x:y", "99999999999999999999:00"})
    EXPECT_EQ(ask({.user_name = "box", .password = p}).reason, Reason::bad_user_name_or_password);
}

}  // namespace
}  // namespace berth::gateway::engine
