// Whose a session is: the user name that a password or certificate has shown is part of its key.
#include <gtest/gtest.h>

#include "session/records.pb.h"
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

}  // namespace
}  // namespace berth::test
