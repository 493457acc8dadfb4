// Rights that change while somebody is connected, away, or while no engine is there.
#include "session/rights.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "session/principal_key.h"
#include "tests/support/core_box.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using protocol::link::CloseReason;
using session::AuthRequest;
using session::AuthResult;
using session::Identity;

// Who may hear and say what: by user, topics or filters by their beginning.
class Rules : public session::AccessPolicy {
 public:
  bool may_publish(const Identity& who, std::string_view topic) const override {
    return covered(who, topic);
  }
  bool may_subscribe(const Identity& who, std::string_view filter) const override {
    return covered(who, filter);
  }
  std::map<std::string, std::set<std::string>> by_user;

 private:
  bool covered(const Identity& who, std::string_view t) const {
    const auto it = by_user.find(std::string(who.user_name));
    if (it == by_user.end()) return false;
    for (const std::string& begin : it->second) {
      if (t.starts_with(begin)) return true;
    }
    return false;
  }
};

struct Ruled {
  explicit Ruled(int crash_at = -1) : w({}, crash_at) {
    w.on_login([](const AuthRequest& r) {
      return AuthResult{protocol::mqtt::Reason::success, {}, !r.user_name.empty()};
    });
    w.use_access(rules);
    rules.by_user["ann"] = {"orders", "news"};
    rules.by_user["bob"] = {"orders", "news"};
  }
  int come(const std::string& user, const std::string& client_id) {
    return w.open_connected(
        {.client_id = client_id, .clean = false, .properties = expiry(600), .user = user});
  }
  void review(const std::set<std::string>& users = {"ann", "bob"}) {
    w.broker().review_access(w.broker().under_access(), [users](std::string_view u) {
      return users.contains(std::string(u));
    });
    w.run();
  }
  std::size_t hears(int c) { return take_publishes(w, c).size(); }
  World w;
  Rules rules;
};

TEST(Access, NarrowedRulesEndSubscriptionsAtOnce) {
  Ruled r;
  const int ann = r.come("ann", "a");
  r.w.feed(ann, subscribe(1, "orders/#", 1));
  r.w.feed(ann, subscribe(2, "news", 1));
  const int bob = r.come("bob", "b");
  r.w.feed(bob, publish("orders/1", "x", 1, 1));
  EXPECT_EQ(r.hears(ann), 1u);
  r.rules.by_user["ann"] = {"news"};
  r.review();
  r.w.feed(bob, publish("orders/2", "x", 1, 2));
  EXPECT_EQ(r.hears(ann), 0u);
  r.w.feed(bob, publish("news", "x", 1, 3));
  EXPECT_EQ(r.hears(ann), 1u);
  EXPECT_FALSE(r.w.ended(ann));
  r.w.crash();
  r.w.feed(bob, publish("orders/3", "x", 1, 4));
  EXPECT_EQ(r.hears(ann), 0u);
}

// Also of what was in the queue: it had come by rights that are gone.
TEST(Access, NarrowedRulesHoldWhenASessionIsResumed) {
  for (int crash_at = -1; crash_at < 40; ++crash_at) {
    SCOPED_TRACE(crash_at);
    Ruled r(crash_at);
    const int ann = r.come("ann", "a");
    r.w.feed(ann, subscribe(1, "orders/#", 1));
    r.w.feed(ann, subscribe(2, "news", 1));
    r.w.close(ann);
    const int bob = r.come("bob", "b");
    r.w.feed(bob, publish("orders/1", "x", 1, 1));
    r.w.feed(bob, publish("news", "x", 1, 2));
    r.rules.by_user["ann"] = {"news"};
    const int again = r.come("ann", "a");
    const auto heard = take_publishes(r.w, again);
    ASSERT_EQ(heard.size(), 1u);
    EXPECT_EQ(heard[0].topic(), "news");
    r.w.feed(bob, publish("orders/2", "x", 1, 3));
    EXPECT_EQ(r.hears(again), 0u);
  }
}

TEST(Access, NarrowedRulesHoldForANewEngine) {
  Ruled r;
  const int ann = r.w.open_connected({.client_id = "a", .user = "ann"});  // expiry 0
  r.w.feed(ann, subscribe(1, "orders/#", 1));
  r.rules.by_user["ann"] = {"news"};
  r.w.crash();
  const int bob = r.come("bob", "b");
  r.w.feed(bob, publish("orders/1", "x", 1, 1));
  EXPECT_EQ(r.hears(ann), 0u);
  EXPECT_FALSE(r.w.ended(ann));
}

TEST(Access, WhoIsNoUserAnyMoreIsDisconnected) {
  Ruled r;
  const int ann = r.come("ann", "a");
  const int bob = r.come("bob", "b");
  r.review({"bob"});
  EXPECT_TRUE(r.w.ended(ann));
  EXPECT_EQ(r.w.reason(ann), CloseReason::policy);
  EXPECT_EQ(answer(r.w, ann, 14, 0), 0x98u);
  EXPECT_FALSE(r.w.ended(bob));
  EXPECT_EQ(r.w.probe().rights_ended, 1u);
}

// -- credentials of the registry

class Credentials : public Book {
 public:
  base::Instant credential_until(const session::Principal&, std::string_view id) const override {
    const auto it = until.find(std::string(id));
    return it == until.end() ? base::Instant{} : it->second;
  }
  std::map<std::string, base::Instant> until{{"one", base::kNever}, {"two", base::kNever}};
};

struct WithCredentials {
  WithCredentials() {
    w.use_registry(book);
    w.on_login([this](const AuthRequest& r) {
      AuthResult result = book.login(r);
      result.credential = r.password;
      return result;
    });
  }
  int come(const std::string& user, const std::string& credential) {
    return w.open_connected({.client_id = user, .user = user, .password = credential});
  }
  void review() {
    std::vector<base::SessionId> none;
    const auto all = w.broker().concerned({.everybody = true}, none);
    w.broker().review_scopes(book, all, w.now());
    w.run();
  }
  Credentials book;
  World w;
};

TEST(Credentials, ThatIsRemovedEndsItsConnections) {
  WithCredentials c;
  const int a = c.come("acme/d/cam", "one");
  const int b = c.come("acme/d/door", "two");
  c.w.crash();  // the next engine knows which it was
  c.book.until.erase("one");
  c.review();
  EXPECT_EQ(c.w.reason(a), CloseReason::policy);
  EXPECT_FALSE(c.w.ended(b));
}

TEST(Credentials, ThatExpiresEndsItsConnections) {
  WithCredentials c;
  c.book.until["one"] = c.w.now().plus_s(10);
  const int a = c.come("acme/d/cam", "one");
  const int b = c.come("acme/d/door", "two");
  c.w.advance_s(9);
  EXPECT_FALSE(c.w.ended(a));
  c.w.advance_s(1);
  EXPECT_TRUE(c.w.ended(a));
  EXPECT_FALSE(c.w.ended(b));
  c.book.until["two"] = c.w.now().plus_s(10);
  c.review();
  c.book.until["two"] = c.w.now().plus_s(20);
  c.review();  // it has got longer
  c.w.advance_s(11);
  EXPECT_FALSE(c.w.ended(b));
  c.w.advance_s(10);
  EXPECT_TRUE(c.w.ended(b));
}

// -- the room alone

using session::Principal;
using session::Role;

struct Registered {
  CoreBox box;
  Credentials book;
  session::Rights& rights = box.core.rights;
  Registered() { box.core.usage.use_registry(book); }

  // A device of acme's, connected.
  session::Channel& device(const std::string& name) {
    const Principal who{"acme", Role::device, name};
    session::Channel& ch = box.client(who.key() + "c", 600);
    box.core.sessions.hold(*ch.session, who.key());
    ch.scope = book.scope_of(who);
    return ch;
  }
};

TEST(Rights, AChangeConcernsThosePrincipalsAndTenantsOnly) {
  Registered r;
  const base::SessionId cam = r.device("cam").session->id;
  const base::SessionId door = r.device("door").session->id;
  const base::SessionId stranger = r.box.session("stranger", 600).id;
  r.box.core.sessions.hold(*r.box.core.sessions.by_id(stranger), session::user_key("x"));
  session::Rights::Ids removed;
  const std::string key = Principal{"acme", Role::device, "cam"}.key();
  EXPECT_EQ(r.rights.concerned({.principals = {key}}, removed), session::Rights::Ids{cam});
  EXPECT_EQ(r.rights.concerned({.tenants = {"acme"}}, removed).size(), 2u);
  EXPECT_TRUE(r.rights.concerned({.tenants = {"other"}}, removed).empty());
  EXPECT_EQ(r.rights.concerned({.everybody = true}, removed).size(), 2u);
  EXPECT_TRUE(removed.empty());
  EXPECT_TRUE(
      r.rights.concerned({.principals = {key}, .removed_principals = {key}}, removed).empty());
  EXPECT_EQ(removed, session::Rights::Ids{cam});
  EXPECT_NE(door, cam);
}

TEST(Rights, ACredentialThatIsGoneOrHasExpiredIsNotGood) {
  Registered r;
  session::Channel& ch = r.device("cam");
  EXPECT_TRUE(r.rights.credential_good(ch, r.box.now)) << "it has logged in with none";
  ch.credential = std::make_unique<session::CredentialUse>(session::CredentialUse{"one"});
  EXPECT_TRUE(r.rights.credential_good(ch, r.box.now));
  r.book.until["one"] = r.box.now.plus_s(10);
  EXPECT_TRUE(r.rights.credential_good(ch, r.box.now));
  EXPECT_FALSE(r.rights.credential_good(ch, r.box.now.plus_s(10)));
  r.book.until.erase("one");
  EXPECT_FALSE(r.rights.credential_good(ch, r.box.now));
}

TEST(Rights, AConnectionEndsWithItsCredential) {
  Registered r;
  session::Channel& ch = r.device("cam");
  ch.credential = std::make_unique<session::CredentialUse>(session::CredentialUse{"one"});
  r.book.until["one"] = r.box.now.plus_s(10);
  r.rights.credential_good(ch, r.box.now);
  r.rights.end_credentials(r.box.now.plus_s(9));
  EXPECT_TRUE(ch.live());
  r.book.until["one"] = r.box.now.plus_s(20);
  r.rights.end_credentials(r.box.now.plus_s(10));
  EXPECT_TRUE(ch.live()) << "it has got longer meanwhile";
  r.rights.end_credentials(r.box.now.plus_s(20));
  EXPECT_FALSE(ch.live());
  EXPECT_EQ(r.box.probe.rights_ended, 1u);
}

TEST(Rights, AUserThatMayNotLogInAnyMoreIsDisconnected) {
  CoreBox box;
  session::Channel& ann = box.client(session::user_key("ann") + "c", 600);
  session::Channel& bob = box.client(session::user_key("bob") + "c", 600);
  session::Channel& anonymous = box.client("c", 600);
  const session::Rights::Ids all{ann.session->id, bob.session->id, anonymous.session->id, {4711}};
  box.core.rights.review_access(all, [](std::string_view user) { return user == "bob"; });
  EXPECT_FALSE(ann.live());
  EXPECT_TRUE(bob.live());
  EXPECT_TRUE(anonymous.live());
  box.core.rights.review_access(all, {});
  EXPECT_TRUE(bob.live()) << "everybody may";
}

}  // namespace
}  // namespace berth::test
