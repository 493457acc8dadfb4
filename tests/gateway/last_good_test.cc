// Copies beside the store: whole, private, and not believed when damaged.
#include "gateway/runtime/last_good.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace berth::gateway::runtime {
namespace {

class LastGoodTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / "berth-last-good-XXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  static unsigned mode(const std::string& path) {
    struct stat s {};
    return stat(path.c_str(), &s) == 0 ? s.st_mode & 0777U : 0U;
  }
  std::string directory_;
};

TEST_F(LastGoodTest, IsThereForWhoStartsLaterAndOnlyForItsOwner) {
  const mode_t before = umask(0);
  const LastGood copies(directory_ + "/data");
  EXPECT_EQ(copies.read("passwords"), std::nullopt);
  EXPECT_TRUE(copies.keep("passwords", "one\n"));
  EXPECT_TRUE(copies.keep("passwords", std::string("two\0\n", 5)));
  umask(before);
  EXPECT_EQ(LastGood(directory_ + "/data").read("passwords"), std::string("two\0\n", 5));
  EXPECT_EQ(mode(copies.path("passwords")), 0600U);
  EXPECT_EQ(mode(directory_ + "/data/last-good"), 0700U);
}

TEST_F(LastGoodTest, WhatIsTheSameIsNotWrittenAgain) {
  const LastGood copies(directory_);
  ASSERT_TRUE(copies.keep("acl", "same"));
  struct stat first {};
  ASSERT_EQ(stat(copies.path("acl").c_str(), &first), 0);
  ASSERT_TRUE(copies.keep("acl", "same"));
  struct stat second {};
  ASSERT_EQ(stat(copies.path("acl").c_str(), &second), 0);
  EXPECT_EQ(first.st_ino, second.st_ino);
}

TEST_F(LastGoodTest, ADamagedCopyIsNotBelieved) {
  const LastGood copies(directory_);
  ASSERT_TRUE(copies.keep("acl", "user a\ntopic #\n"));
  std::filesystem::resize_file(copies.path("acl"),
                               std::filesystem::file_size(copies.path("acl")) - 1);
  EXPECT_EQ(copies.read("acl"), std::nullopt);
  std::ofstream(copies.path("acl")) << "";
  EXPECT_EQ(copies.read("acl"), std::nullopt);
}

TEST_F(LastGoodTest, WhereNothingCanBeWrittenItSaysSo) {
  std::ofstream(directory_ + "/data") << "a file where the directory should be";
  EXPECT_FALSE(LastGood(directory_ + "/data").keep("acl", "x"));
  EXPECT_FALSE(LastGood("").keep("acl", "x"));
  EXPECT_EQ(LastGood("").read("acl"), std::nullopt);
}

}  // namespace
}  // namespace berth::gateway::runtime
