// Keys of sessions, for all sources of identity.
#include "session/principal_key.h"

#include <gtest/gtest.h>

#include "session/session.h"

namespace berth::test {
namespace {

TEST(Identity, PrincipalKeysOfAllSourcesDiffer) {
  session::Channel ch;
  const std::string unknown = session::principal_key(ch);
  ch.address.bytes[15] = 1;
  const std::string address = session::principal_key(ch);
  ch.user_name = std::make_unique<std::string>("acme");
  EXPECT_EQ(session::principal_key(ch), address);  // nobody has checked the name
  ch.user_proven = true;
  const std::string user = session::principal_key(ch);
  EXPECT_EQ(session::session_key(ch, "c"), user + "c");
  EXPECT_EQ(session::principal_of(user + "c"), user);
  ch.scope = std::make_shared<const session::Scope>(
      session::Principal{"acme", session::Role::device, "cam"}, "north",
      std::vector<std::string>{});
  const std::string device = session::principal_key(ch);
  EXPECT_EQ(std::set<std::string>({unknown, address, user, device}).size(), 4u);
  EXPECT_TRUE(session::is_registered(device));
  for (const std::string& k : {unknown, address, user}) EXPECT_FALSE(session::is_registered(k));
}

}  // namespace
}  // namespace berth::test
