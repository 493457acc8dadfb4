// The level of the log of one module, for a limited time.
#include "base/log_levels.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "base/log_event.h"
#include "tests/support/log_lines.h"

namespace berth::base {
namespace {

const LogKind kOfSession{"client looked at", LogLevel::debug, LogKind::Outcome::none, "session"};
const LogKind kOfEdge{"socket looked at", LogLevel::debug, LogKind::Outcome::none, "edge"};

// Which of the two debug lines are written.
std::string written(test::LogLines& lines) {
  for (const LogKind* k : {&kOfSession, &kOfEdge}) {
    if (k->admits(0)) LogEvent(*k).add("n", 1);
  }
  const std::string text = lines.take();
  return std::string(text.find("client looked at") != std::string::npos ? "session " : "") +
         (text.find("socket looked at") != std::string::npos ? "edge" : "");
}

class LogLevels : public ::testing::Test {
 protected:
  LogLevels() { set_log_level("info"); }
  ~LogLevels() override {
    end_module_levels(INT64_MAX);
    set_log_level("info");
  }
  test::LogLines lines;
};

TEST_F(LogLevels, AreOfAModuleUntilTheirTimeIsOver) {
  EXPECT_EQ(written(lines), "");
  EXPECT_TRUE(set_module_level({"session", "debug", 1000}, 50'000));
  EXPECT_EQ(written(lines), "session ");
  end_module_levels(50'999);
  EXPECT_EQ(module_levels(50'999).at(0).left_ms, 1);
  EXPECT_EQ(written(lines), "session ");
  end_module_levels(51'000);
  EXPECT_TRUE(module_levels(51'000).empty());
  EXPECT_EQ(written(lines), "");
}

TEST_F(LogLevels, OfAllAreOfThoseWithoutOneOfTheirOwn) {
  set_module_level({"all", "debug", 1000}, 0);
  set_module_level({"edge", "warn", 1000}, 0);
  EXPECT_EQ(written(lines), "session ");
  set_module_level({"edge", "trace", 1000}, 0);  // in its place
  EXPECT_EQ(written(lines), "session edge");
  set_module_level({"edge", "", 0}, 0);
  set_module_level({"all", "", 0}, 0);
  EXPECT_EQ(written(lines), "");
}

TEST_F(LogLevels, StayWhenTheConfigurationChanges) {
  set_module_level({"session", "error", 1000}, 0);
  set_log_level("debug");
  EXPECT_EQ(log_level(), "debug");
  EXPECT_EQ(written(lines), "edge");
}

TEST_F(LogLevels, AreOfModulesAndLevelsThatThereAre) {
  EXPECT_FALSE(set_module_level({"sesion", "debug", 1000}, 0));
  EXPECT_FALSE(set_module_level({"session", "loud", 1000}, 0));
  EXPECT_TRUE(module_levels(0).empty());
}

TEST_F(LogLevels, OfAFileAreThoseOfItsFolder) {
  EXPECT_EQ(log_module_of("gateway/edge/acceptor.cc"), "edge");
  EXPECT_EQ(log_module_of("/src/session/core.cc"), "session");
  EXPECT_EQ(log_module_of("session"), "session");
  set_module_level({"edge", "debug", 1000}, 0);
  EXPECT_TRUE(log_wanted_of("/src/gateway/edge/acceptor.cc", LogLevel::debug));
  EXPECT_FALSE(log_wanted_of("/src/session/core.cc", LogLevel::debug));
  EXPECT_TRUE(log_wanted_of("/src/session/core.cc", LogLevel::info));
}

}  // namespace
}  // namespace berth::base
