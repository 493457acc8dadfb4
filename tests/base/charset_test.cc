// Text in other charsets than UTF-8.
#include "base/charset.h"

#include <gtest/gtest.h>

namespace berth::base {
namespace {

TEST(Charset, Utf8IsStrict) {
  for (const char* good : {"", "a", "车道", "\xf0\x9f\x9a\x97", "\xef\xbb\xbf"})
    EXPECT_TRUE(is_utf8(good)) << good;
  EXPECT_TRUE(is_utf8(std::string_view("\0", 1)));
  for (const char* bad : {"\x80", "\xc0\xaf", "\xc1\x81", "\xe0\x80\xaf", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\xf5", "\xe8\xbd", "\xb3\xb5", "a\xff"})
    EXPECT_FALSE(is_utf8(bad)) << bad;
}

TEST(Charset, GoesThereAndBack) {
  EXPECT_EQ(from_utf8(Charset::gbk, "车道1"), "\xb3\xb5\xb5\xc0\x31");
  EXPECT_EQ(to_utf8(Charset::gbk, "\xb3\xb5\xb5\xc0\x31"), "车道1");
  EXPECT_EQ(from_utf8(Charset::gb18030, "\xf0\x9f\x9a\x97"), "\x95\x30\x8d\x37");
  EXPECT_EQ(to_utf8(Charset::gb18030, "\x95\x30\x8d\x37"), "\xf0\x9f\x9a\x97");
  std::string all;
  for (int i = 0; i < 5000; ++i) all += "乗";  // its second byte in GBK is that of a backslash
  EXPECT_EQ(to_utf8(Charset::gb18030, *from_utf8(Charset::gb18030, all)), all);
}

TEST(Charset, NothingIsReplacedOrLeftOut) {
  EXPECT_EQ(from_utf8(Charset::gbk, "\xf0\x9f\x9a\x97"), std::nullopt) << "not in GBK";
  EXPECT_EQ(from_utf8(Charset::gbk, "\xff"), std::nullopt);
  EXPECT_EQ(to_utf8(Charset::gb18030, "\xb3"), std::nullopt) << "half a character";
  EXPECT_EQ(to_utf8(Charset::gb18030, "\xff\xff"), std::nullopt);
  EXPECT_EQ(to_utf8(Charset::utf8, "\xb3\xb5"), std::nullopt);
  EXPECT_EQ(charset_named("gbk"), Charset::gbk);
  EXPECT_EQ(charset_named("latin1"), std::nullopt);
}

}  // namespace
}  // namespace berth::base
