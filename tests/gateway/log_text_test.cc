// What a peer chose can't pass for a line, a field or a colour of the log.
#include <gtest/gtest.h>

#include "base/log.h"

namespace berth::base {
namespace {

std::string text(std::string_view s) {
  return fmt::format("{}", LogText{s});
}
std::string name(std::string_view s) {
  return fmt::format("{}", LogName{s});
}

TEST(LogText, EndsNoLineAndLeavesNoQuotes) {
  EXPECT_EQ(text("plain text"), "plain text");
  EXPECT_EQ(text("a\nb\r\t\x1b[31m\x7f"), "a\\nb\\r\\t\\x1b[31m\\x7f");
  EXPECT_EQ(text("say \"x\" \\"), "say \\\"x\\\" \\\\");
  EXPECT_EQ(text(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(LogText, KeepsUtf8AndShowsWhatIsNone) {
  EXPECT_EQ(text("停车场 é 🚗"), "停车场 é 🚗");
  EXPECT_EQ(text("\xff\xc0\xaf\xed\xa0\x80"), "\\xff\\xc0\\xaf\\xed\\xa0\\x80");
  EXPECT_EQ(text("\xe5\x81"), "\\xe5\\x81") << "cut short";
  EXPECT_EQ(text("\xf0\x80\x80\x80"), "\\xf0\\x80\\x80\\x80") << "overlong";
  EXPECT_EQ(text("a\u202eb\u2028c\u0085d"), "a\\u202eb\\u2028c\\u0085d");
}

TEST(LogText, IsBounded) {
  EXPECT_EQ(text(std::string(5000, 'x')), std::string(kLogTextMax, 'x') + "…");
  const std::string wide = text(std::string(kLogTextMax - 1, 'x') + "停");
  EXPECT_EQ(wide, std::string(kLogTextMax - 1, 'x') + "…");
}

TEST(LogName, IsBareOnlyWhereItIsOneWord) {
  EXPECT_EQ(name("edge-7/0.a_b@host:1"), "edge-7/0.a_b@host:1");
  EXPECT_EQ(name("东门/0"), "东门/0");
  EXPECT_EQ(name(""), "\"\"");
  EXPECT_EQ(name("a b=c"), "\"a b=c\"");
  EXPECT_EQ(name("x\" level=err"), "\"x\\\" level=err\"");
  EXPECT_EQ(name("x\ny"), "\"x\\ny\"");
  EXPECT_EQ(name(std::string(500, 'x')), std::string(kLogNameMax, 'x') + "…");
}

// Every string that BERTH_LOG is given is one of the two.
TEST(LogText, StandsForEveryStringOfALine) {
  static_assert(std::is_same_v<Loggable<std::string>, LogText>);
  static_assert(std::is_same_v<Loggable<const char*>, LogText>);
  static_assert(std::is_same_v<Loggable<char[5]>, LogText>);
  static_assert(std::is_same_v<Loggable<std::string_view>, LogText>);
  static_assert(std::is_same_v<Loggable<LogName>, const LogName&>);
  static_assert(std::is_same_v<Loggable<int>, const int&>);
}

}  // namespace
}  // namespace berth::base
