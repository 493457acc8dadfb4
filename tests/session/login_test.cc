// Whose a session is: the user name that a password or certificate has shown is part of its key.
#include "session/login.h"

#include <gtest/gtest.h>

#include "session/records.pb.h"
#include "tests/support/core_box.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

using session::AuthRequest;
using session::AuthResult;

// Whoever names himself is believed: "proven" stands for the password.
struct Users {
  explicit Users(int crash_at = -1, session::BrokerOptions options = {})
      : w(proving(std::move(options)), crash_at) {
    w.on_login([](const AuthRequest& r) {
      return AuthResult{protocol::mqtt::Reason::success, {}, !r.user_name.empty()};
    });
  }
  static session::BrokerOptions proving(session::BrokerOptions o) {
    o.users_proven = true;
    return o;
  }
  int come(const std::string& user, const std::string& client_id) {
    return w.open_connected(
        {.client_id = client_id, .clean = false, .properties = expiry(600), .user = user});
  }
  bool present(int c) {
    for (const Packet& p : w.packets(c)) {
      if (p.type == 2) return p.body[0] == 1;
    }
    ADD_FAILURE() << "no CONNACK";
    return false;
  }
  World w;
};

TEST(Identity, AnotherUserWithTheSameClientIdHasAnotherSession) {
  for (int crash_at = -1; crash_at < 40; ++crash_at) {
    SCOPED_TRACE(crash_at);
    Users u(crash_at);
    const int ann = u.come("ann", "c");
    u.w.feed(ann, subscribe(1, "orders/#", 1));
    u.w.close(ann);
    const int bob = u.come("bob", "c");
    EXPECT_FALSE(u.present(bob));
    const int publisher = u.come("carl", "p");
    u.w.feed(publisher, publish("orders/1", "secret", 1, 1));
    EXPECT_TRUE(take_publishes(u.w, bob).empty());
    const int nobody = u.come("", "c");
    EXPECT_FALSE(u.present(nobody));
    EXPECT_FALSE(u.w.ended(bob));
    const int again = u.come("ann", "c");
    std::string types;  // CONNACK, with Session Present, and the PUBLISH
    for (const Packet& p : u.w.packets(again)) {
      types += std::to_string(p.type);
      if (p.type == 2) {
        EXPECT_EQ(p.body[0], 1);
      }
    }
    EXPECT_EQ(types, "23");
    EXPECT_FALSE(u.w.ended(bob));
  }
}

TEST(Identity, ClaimedNamesAreAnonymousAndShareOneKeySpace) {
  World w;
  const int a = w.open_connected({.client_id = "c", .user = "ann"});
  const int b = w.open_connected({.client_id = "c", .user = "bob"});
  EXPECT_TRUE(w.ended(a));
  EXPECT_FALSE(w.ended(b));
}

std::string record_of_the_last_release(const std::string& client_id) {
  session::pb::Session r;
  r.set_client_id(client_id);
  r.set_epoch(1);
  r.set_expiry_s(600);
  auto& sub = *r.add_subscriptions();
  sub.set_filter("orders/#");
  sub.set_options(1);
  return r.SerializeAsString();
}

TEST(Identity, ASessionStoredWithoutAUserIsForTheFirstProvenOne) {
  Users u;
  u.w.broker().restore_sink().session({100}, record_of_the_last_release("c"));
  const int nobody = u.come("", "c");
  EXPECT_FALSE(u.present(nobody));
  const int ann = u.come("ann", "c");
  EXPECT_TRUE(u.present(ann));
  const int bob = u.come("bob", "c");
  EXPECT_FALSE(u.present(bob));
  u.w.crash();
  EXPECT_FALSE(u.w.ended(ann));
  u.w.feed(bob, publish("orders/1", "x", 1, 1));
  EXPECT_EQ(take_publishes(u.w, ann).size(), 1u);
}

TEST(Identity, WithoutProofSessionsOfTheLastReleaseAreFoundAsBefore) {
  World w;
  w.broker().restore_sink().session({100}, record_of_the_last_release("c"));
  const int c = w.open_connected({.client_id = "c", .clean = false, .properties = expiry(600)});
  const auto packets = w.packets(c);
  ASSERT_FALSE(packets.empty());
  EXPECT_EQ(packets[0].body[0], 1);
}

// -- the room alone

struct LogIn {
  CoreBox box;
  explicit LogIn(session::BrokerOptions o = {}) : box(std::move(o)) {}
  session::Channel& asks(const std::string& client_id, std::uint32_t expiry_s = 600) {
    session::Channel& ch = box.connection(100 + next_++);
    ch.state = session::Channel::State::authenticating;
    ch.connect = std::make_unique<session::PendingConnect>();
    ch.connect->client_id = client_id;
    ch.connect->expiry_s = expiry_s;
    return ch;
  }
  void answer(const session::Channel& ch, AuthResult result = {}) {
    box.core.login.authenticated(ch.conn, std::move(result), box.now);
  }

 private:
  std::uint32_t next_ = 0;
};

TEST(Login, OneThatIsStoredIsAcceptedWhenItsRecordIsDurable) {
  LogIn l;
  session::Channel& stored = l.asks("stored");
  l.answer(stored);
  EXPECT_TRUE(l.box.clients.take().empty());
  EXPECT_EQ(l.box.commit(), Strings{"put_session 1"});
  EXPECT_EQ(l.box.clients.take(), Strings{"accept"});
  EXPECT_TRUE(stored.live());
  l.answer(l.asks("volatile", 0));
  EXPECT_EQ(l.box.clients.take(), Strings{"accept"}) << "there is nothing to store";
  EXPECT_EQ(l.box.probe.connect_ok, 2u);
}

TEST(Login, ARefusalIsCountedByItsKind) {
  LogIn l;
  using protocol::mqtt::Reason;
  for (const Reason r :
       {Reason::bad_user_name_or_password, Reason::connection_rate_exceeded, Reason::banned}) {
    session::Channel& ch = l.asks("c");
    l.answer(ch, {.reason = r});
    EXPECT_EQ(ch.session, nullptr);
  }
  EXPECT_EQ(l.box.clients.take(), (Strings{"refuse 86", "refuse 9f", "refuse 8a"}));
  EXPECT_EQ(l.box.probe.connect_unauthorized, 1u);
  EXPECT_EQ(l.box.probe.connect_throttled, 1u);
  EXPECT_EQ(l.box.probe.connect_banned, 1u);
}

TEST(Login, AnAnswerForNobodyWhoWaitsIsNothing) {
  LogIn l;
  l.box.core.login.authenticated({9, 9}, {}, l.box.now);
  session::Channel& live = l.box.client("c");
  l.answer(live);
  session::Channel& new_one = l.box.connection(50);
  l.answer(new_one);
  EXPECT_TRUE(l.box.clients.take().empty());
}

TEST(Login, WhileTheEngineDrainsNobodyComesIn) {
  LogIn l;
  l.box.core.wills.begin_drain();
  l.answer(l.asks("c"));
  EXPECT_EQ(l.box.clients.take(), Strings{"refuse 88"});
  EXPECT_EQ(l.box.probe.connect_unavailable, 1u);
}

TEST(Login, NoMoreSessionsThanThereMayBe) {
  session::BrokerOptions o;
  o.sessions_max = 1;
  LogIn l(o);
  l.answer(l.asks("a", 0));
  l.answer(l.asks("b", 0));
  l.answer(l.asks("a", 0));  // it has one
  const Strings said = l.box.clients.take();
  ASSERT_EQ(said.size(), 4u);
  EXPECT_EQ(said[0], "accept");
  EXPECT_EQ(said[1], "refuse 97");
  EXPECT_EQ(said[2], "farewell 8e") << "taken over";
  EXPECT_EQ(said[3], "accept");
  EXPECT_EQ(l.box.probe.refused_sessions, 1u);
}

TEST(Login, WhoseRecordHasNoRoomWaitsInALineThatIsFairToTenants) {
  LogIn l;
  const std::string full(session::Fanout::kBatchBytes, 'x');
  l.box.core.commits.write(
      {.kind = session::WriteKind::append, .session = {99}, .seq = 1, .value = full});
  session::Channel& a = l.asks("a");
  l.answer(a);
  EXPECT_TRUE(l.box.core.login.any_waits());
  EXPECT_EQ(a.session, nullptr);
  l.box.core.login.call_some(l.box.now);
  EXPECT_EQ(a.session, nullptr) << "no room yet";
  session::Channel& other = l.asks("volatile", 0);
  l.answer(other);
  EXPECT_TRUE(other.live()) << "who writes nothing does not wait";
  l.box.commit();
  l.box.core.login.call_some(l.box.now);
  l.box.commit();
  EXPECT_TRUE(a.live());
  EXPECT_FALSE(l.box.core.login.any_waits());
}

}  // namespace
}  // namespace berth::test
