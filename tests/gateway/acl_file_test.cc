#include "gateway/engine/acl_file.h"

#include <gtest/gtest.h>

#include "tests/support/temp_file.h"

namespace berth::gateway::engine {
namespace {

using test::TempFile;

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

std::string acl_error(const std::string& text) {
  TempFile f(text);
  try {
    AclFile::load(f.path);
    return {};
  } catch (const std::runtime_error& e) {
    return std::string(e.what()).substr(f.path.size());
  }
}

// Each is a denial to Mosquitto, but for the tab, which it passes over: it must not be passed over
// here.
TEST(Acl, ADenialIsOneHoweverItIsWritten) {
  for (const std::string line :
       {"topic deny secret/cam\n", "topic deny secret/cam\r\n", "topic deny secret/cam \n",
        "topic deny secret/cam \t \r\n", "topic deny  secret/cam\n", "topic  deny secret/cam\n",
        "topic deny\tsecret/cam\n", "topic\tdeny\tsecret/cam", "  topic deny secret/cam\n",
        "\ttopic deny secret/cam\n"}) {
    for (const std::string end : {"\n", "\r\n", " \n"}) {
      TempFile f("\xef\xbb\xbfuser alice" + end + "topic readwrite #" + end + line);
      const AclFile acl = AclFile::load(f.path);
      EXPECT_TRUE(acl.may_publish({"alice", "x"}, "open")) << line;
      EXPECT_FALSE(acl.may_publish({"alice", "x"}, "secret/cam")) << line;
      EXPECT_FALSE(acl.may_subscribe({"alice", "x"}, "#")) << line;
    }
  }
  TempFile f("pattern\tdeny \tdev/%c/secret\r\npattern dev/%c/#\r\n");
  EXPECT_FALSE(AclFile::load(f.path).may_publish({"", "x"}, "dev/x/secret"));
  EXPECT_TRUE(AclFile::load(f.path).may_publish({"", "x"}, "dev/x/open"));
}

TEST(Acl, AUserNameAndAFilterMayHaveSpaces) {
  TempFile f("user  two words \r\ntopic read a b/#\n  # comment\n#topic nonsense x\n");
  const AclFile acl = AclFile::load(f.path);
  EXPECT_TRUE(acl.may_subscribe({"two words", "x"}, "a b/c"));
  EXPECT_FALSE(acl.may_publish({"two words", "x"}, "a b/c"));
}

TEST(Acl, WhatIsNotUnderstoodIsRefused) {
  EXPECT_EQ(acl_error("user a\ntopic Deny secret\n"),
            ":2: 'Deny' is none of read, write, readwrite, deny");
  EXPECT_EQ(acl_error("topic secret deny\n"),
            ":1: 'secret' is none of read, write, readwrite, deny");
  EXPECT_EQ(acl_error("topic deny\n"), ":1: 'deny' without a topic filter");
  EXPECT_EQ(acl_error("topic deny \r\n"), ":1: 'deny' without a topic filter");
  EXPECT_EQ(acl_error("topic\n"), ":1: bad topic filter ''");
  EXPECT_EQ(acl_error("topic deny secret # why\n"), ":1: bad topic filter 'secret # why'");
  EXPECT_EQ(acl_error("topic deny a\tb\n"), ":1: bad topic filter 'a\tb'");
  EXPECT_EQ(acl_error("topic deny secret\rtopic a\r"), ":1: control character");
  EXPECT_EQ(acl_error("\ntopics deny secret\n"), ":2: unknown keyword 'topics'");
  EXPECT_EQ(acl_error("user \n"), ":1: user without a name");
  EXPECT_EQ(acl_error("topic deny caf\xe9\n"), ":1: not UTF-8");
  EXPECT_EQ(acl_error(std::string("topic deny secret\0\n", 19)), ":1: control character");
}

}  // namespace
}  // namespace berth::gateway::engine
