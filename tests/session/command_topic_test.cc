// The names in topics of commands and reports.
#include "session/command_topic.h"

#include <gtest/gtest.h>

#include <string>

namespace berth::session {
namespace {

TEST(CommandTopic, HasAnIdANameAndPerhapsAChild) {
  CommandTopic c;
  ASSERT_TRUE(parse_command_topic("cmd/7/req/open", c));
  EXPECT_EQ(c.id, "7");
  EXPECT_EQ(c.name, "open");
  EXPECT_EQ(c.child, "");
  EXPECT_FALSE(c.desired);
  ASSERT_TRUE(parse_command_topic("sub/door/cmd/7/req/open", c));
  EXPECT_EQ(c.child, "door");
  EXPECT_EQ(c.id, "7");
  EXPECT_EQ(c.name, "open");
}

TEST(CommandTopic, OrIsDesiredState) {
  CommandTopic c;
  ASSERT_TRUE(parse_command_topic("desired", c));
  EXPECT_TRUE(c.desired);
  CommandTopic of_child;
  ASSERT_TRUE(parse_command_topic("sub/door/desired", of_child));
  EXPECT_TRUE(of_child.desired);
  EXPECT_EQ(of_child.child, "door");
}

TEST(CommandTopic, NothingElseIsOne) {
  for (const char* topic : {"", "cmd", "cmd/7", "cmd/7/res", "cmd/7/req/a/b", "desired/x", "sub",
                            "sub/door", "event/x", "sub/door/event/x", "x/cmd/7/req/open"}) {
    CommandTopic c;
    EXPECT_FALSE(parse_command_topic(topic, c)) << topic;
  }
}

TEST(CommandTopic, ThatItsDeviceCouldNotAnswerSaysWhy) {
  const auto why = [](const std::string& topic, bool retained = false) {
    const char* text = unanswerable(topic, retained).why;
    return std::string(text == nullptr ? "" : text);
  };
  const std::string long_name(200, 'x');
  EXPECT_EQ(why("v1/s/d/cmd/7/req/open"), "");
  EXPECT_EQ(why("v1/s/d/sub/door/cmd/7/req/open"), "");
  EXPECT_NE(why("v1/s/d/cmd//req/open").find("id of a command"), std::string::npos);
  EXPECT_NE(why("v1/s/d/cmd/a b/req/open").find("id of a command"), std::string::npos);
  EXPECT_NE(why("v1/s/d/cmd/" + long_name + "/req/open").find("id of a command"),
            std::string::npos);
  EXPECT_NE(why("v1/s/d/sub/a b/cmd/7/req/open").find("a child is"), std::string::npos);
  EXPECT_NE(why("v1/s/d/cmd/7/req/open", true).find("not retained"), std::string::npos);
  EXPECT_NE(why("v1/s/d/command/7/request/open", true).find("not retained"), std::string::npos);
  EXPECT_EQ(why("v1/s/d/command/7/request/open"), "");
  EXPECT_EQ(unanswerable("v1/s/cam/cmd//req/open").device, "cam");
}

TEST(CommandTopic, WhatIsNoCommandIsNobodysFault) {
  for (const char* topic : {"", "v1/", "v2/s/d/cmd//req/open", "v1/s/d/desired", "v1/s/d/event/x",
                            "v1/s/d/sub/a b/desired", "x/v1/s/d/cmd//req/x"}) {
    EXPECT_EQ(unanswerable(topic).why, nullptr) << topic;
    EXPECT_EQ(unanswerable(topic, true).why, nullptr) << topic << ", retained";
  }
}

// A device may look at the first levels only.
TEST(CommandTopic, WhatLooksLikeACommandIsNotRetained) {
  for (const char* topic :
       {"v1/s/d/cmd/7/req/open/", "v1/s/d/cmd/7/req//open", "v1/s/d/sub/c/cmd/7/req/open/",
        "v1/s/d/cmd/7/open", "v1/s/d/cmd//res", "v1/_/d/cmd/7/req/open/"}) {
    EXPECT_NE(unanswerable(topic, true).why, nullptr) << topic;
    EXPECT_TRUE(is_devices_command(topic)) << topic;
  }
  for (const char* topic : {"v1/s/d/desired", "v1/s/d/sub/c/desired", "v1/s/d/event/cmd", "cmd"})
    EXPECT_FALSE(is_devices_command(topic)) << topic;
}

TEST(CommandTopic, OfADeviceItself) {
  for (const char* topic : {"v1/cmd/7/req/open", "v1/sub/c/cmd/7/req/open", "v1/cmd/7/req/open/"})
    EXPECT_TRUE(is_own_command(topic)) << topic;
  for (const char* topic : {"v1/cmd/7/res", "v1/sub/c/cmd/7/res", "v1/event/x", "v1/desired"})
    EXPECT_FALSE(is_own_command(topic)) << topic;
  for (const char* topic : {"v1/desired", "v1/sub/c/desired"})
    EXPECT_TRUE(is_own_desired(topic)) << topic;
  EXPECT_FALSE(is_own_desired("v1/event/desired"));
}

// The cheap look may say yes too often, never no where there is something to say.
TEST(CommandTopic, TheCheapLookMissesNone) {
  for (const char* topic : {"v1/_/d/cmd//req/x", "v1/_/d/sub//cmd/7/req/x", "v1/_/d/cmd/a b/req/x",
                            "v1/_//cmd//req/x"}) {
    EXPECT_TRUE(may_be_command(topic)) << topic;
    EXPECT_NE(unanswerable(topic).why, nullptr) << topic;
  }
  for (const char* topic : {"", "v1/_/", "v1/_/d", "v1/_/d/", "v1/_/d/c", "v1/s/d/cmd//req/x",
                            "v1/_/d/event/x", "a/b/c/d"})
    EXPECT_FALSE(may_be_command(topic)) << topic;
}

TEST(ReportTopic, IsAnEventTelemetryStateOrAResult) {
  for (const char* topic :
       {"v1/event/plate", "v1/telemetry/t", "v1/state", "v1/cmd/7/res", "v1/sub/door/event/plate",
        "v1/sub/door/telemetry/t", "v1/sub/door/state", "v1/sub/door/cmd/7/res"})
    EXPECT_TRUE(is_report_topic(topic)) << topic;
  for (const char* topic :
       {"", "v1", "v1/", "v1/event/", "v1/event", "v1/event/a/b", "v1/telemetry/", "v1/state/x",
        "v1/cmd//res", "v1/cmd/7/res/x", "v1/cmd/7/req/open", "v1/sub/door",
        "v1/sub/door/sub/x/state", "v2/state", "state"})
    EXPECT_FALSE(is_report_topic(topic)) << topic;
}

}  // namespace
}  // namespace berth::session
