// Files of a configuration as one generation, through the swap of a mounted ConfigMap; and when
// changed files are read.
#include "gateway/runtime/file_set.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "gateway/runtime/settling.h"
#include "tests/support/mount.h"

namespace berth::gateway::runtime {
namespace {

namespace fs = std::filesystem;
using test::Mount;

std::string text_of(const FileSet& set, const std::string& path) {
  return set.texts.at(path).bytes;
}

TEST(FileSet, ReadsEachFileOnceAndKnowsWhatItLacks) {
  Mount m;
  m.swap({{"a", "1"}, {"b", "2"}});
  const FileSet set = read_set({m.file("a"), "", m.file("b"), m.file("a"), m.file("none")});
  EXPECT_EQ(text_of(set, m.file("a")), "1");
  EXPECT_EQ(text_of(set, m.file("b")), "2");
  EXPECT_EQ(set.texts.size(), 3u);
  EXPECT_EQ(set.texts.at(m.file("none")).why_not, "No such file or directory");
  EXPECT_TRUE(set.lacks_any());
  EXPECT_TRUE(set.settled);
  EXPECT_FALSE(read_set({m.file("a")}).lacks_any());
}

TEST(FileSet, ItsHashIsOfPathsAndBytes) {
  Mount m;
  m.swap({{"a", "1"}, {"b", "2"}});
  const std::string hash = read_set({m.file("a"), m.file("b")}).hash;
  EXPECT_EQ(hash.size(), 64u);
  EXPECT_EQ(read_set({m.file("b"), m.file("a")}).hash, hash);
  m.swap({{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(read_set({m.file("a"), m.file("b")}).hash, hash)
      << "the same bytes in a new generation";
  m.swap({{"a", "2"}, {"b", "1"}});
  EXPECT_NE(read_set({m.file("a"), m.file("b")}).hash, hash);
}

TEST(FileSet, DirectoriesFifosAndPlainFiles) {
  Mount m;
  fs::create_directory(m.file("directory"));
  ASSERT_EQ(mkfifo(m.file("fifo").c_str(), 0600), 0);
  std::ofstream(m.file("plain")) << "text";
  const FileSet set = read_set({m.file("directory"), m.file("fifo"), m.file("plain")});
  EXPECT_EQ(set.texts.at(m.file("directory")).why_not, "is a directory");
  EXPECT_EQ(text_of(set, m.file("fifo")), "") << "and nobody waited for its other end";
  EXPECT_EQ(text_of(set, m.file("plain")), "text");
}

// A key that the new generation has: the kubelet makes its link only after the swap.
TEST(FileSet, FindsAKeyOfTheGenerationThatHasNoLinkYet) {
  Mount m;
  m.swap({{"a", "1"}, {"new", "2"}});
  fs::remove(m.file("new"));
  EXPECT_EQ(text_of(read_set({m.file("a"), m.file("new")}), m.file("new")), "2");
}

// The proof of the descriptor: while generations are swapped as fast as can be, the files of a
// directory that are read together match each other, always.
TEST(FileSet, IsNeverTornWhileItsDirectoryIsSwapped) {
  Mount m;
  m.swap({{"a", "0"}, {"b", "0"}, {"c", "0"}});
  std::atomic<bool> end{false};
  std::thread kubelet([&] {
    for (int i = 1; !end; ++i) {
      const std::string text = std::to_string(i);
      m.swap({{"a", text}, {"b", text}, {"c", text}});
    }
  });
  std::size_t whole = 0;
  for (int i = 0; i < 3000; ++i) {
    const FileSet set = read_set({m.file("a"), m.file("b"), m.file("c")});
    if (set.lacks_any()) continue;  // the generation was removed while it was read
    ++whole;
    EXPECT_EQ(text_of(set, m.file("a")), text_of(set, m.file("b")));
    EXPECT_EQ(text_of(set, m.file("a")), text_of(set, m.file("c")));
  }
  end = true;
  kubelet.join();
  EXPECT_GT(whole, 100u);
}

TEST(FileSet, ReadFileAnswersFromTheSetWithTheNameThatTheOperatorKnows) {
  Mount m;
  m.swap({{"a", "old"}});
  const FileSet set = read_set({m.file("a"), m.file("none")});
  m.swap({{"a", "new"}, {"none", "now there"}});
  {
    const base::ReadFrom from(set.texts);
    EXPECT_EQ(base::read_file(m.file("a")), "old");
    EXPECT_EQ(base::why_unreadable(m.file("none")), "No such file or directory");
    try {
      base::read_file(m.file("none"));
      ADD_FAILURE();
    } catch (const std::runtime_error& e) {
      EXPECT_EQ(e.what(), m.file("none") + ": cannot be read: No such file or directory");
    }
    std::string elsewhere;
    std::thread([&] { elsewhere = base::read_file(m.file("a")); }).join();
    EXPECT_EQ(elsewhere, "new") << "of this thread only";
  }
  EXPECT_EQ(base::read_file(m.file("a")), "new");
}

TEST(FileSet, ItsStampChangesWithASwapAndSaysWhatIsMissing) {
  Mount m;
  m.swap({{"a", "1"}});
  const SetStamp first = stamp_of({m.file("a"), ""});
  EXPECT_FALSE(first.missing);
  EXPECT_EQ(stamp_of({m.file("a")}), first);
  m.swap({{"a", "1"}});
  EXPECT_NE(stamp_of({m.file("a")}), first);
  fs::remove(m.file("a"));
  EXPECT_TRUE(stamp_of({m.file("a")}).missing);
}

// -- Settling, by a clock of the test

constexpr std::int64_t kSecond = 1'000'000'000;

SetStamp seen(std::int64_t value, bool missing = false) {
  return {{value}, missing};
}

TEST(Settling, WaitsUntilFilesHaveStayedAsTheyAre) {
  Settling s({.quiet_ns = kSecond, .longest_ns = 10 * kSecond});
  s.read(seen(1));
  EXPECT_FALSE(s.due(seen(1), 0));
  EXPECT_FALSE(s.waits());
  EXPECT_FALSE(s.due(seen(2), 1 * kSecond)) << "it has just changed";
  EXPECT_TRUE(s.waits());
  EXPECT_FALSE(s.due(seen(3), 2 * kSecond - 1)) << "and again";
  EXPECT_FALSE(s.due(seen(3), 3 * kSecond - 2));
  EXPECT_TRUE(s.due(seen(3), 3 * kSecond - 1));
  s.read(seen(3));
  EXPECT_FALSE(s.due(seen(3), 20 * kSecond));
}

TEST(Settling, FilesThatNeverRestAreReadAfterTheLongestWait) {
  Settling s({.quiet_ns = kSecond, .longest_ns = 10 * kSecond});
  s.read(seen(0));
  std::int64_t now = 0;
  int asked = 0;
  for (std::int64_t value = 1; !s.due(seen(value), now); ++value, now += kSecond / 2) ++asked;
  EXPECT_EQ(asked, 20);
  s.read(seen(100));
  EXPECT_FALSE(s.due(seen(101), now)) << "the next wait is a whole one";
}

TEST(Settling, AFileThatIsMissingForAMomentIsNotReadAsMissing) {
  Settling s({.quiet_ns = kSecond, .longest_ns = 10 * kSecond});
  s.read(seen(1));
  EXPECT_FALSE(s.due(seen(0, true), 0));
  EXPECT_FALSE(s.due(seen(0, true), 5 * kSecond)) << "it does not change, and is waited for";
  EXPECT_FALSE(s.due(seen(2), 6 * kSecond));
  EXPECT_TRUE(s.due(seen(2), 7 * kSecond));
  s.read(seen(2));
  EXPECT_FALSE(s.due(seen(0, true), 8 * kSecond));
  EXPECT_TRUE(s.due(seen(0, true), 18 * kSecond)) << "it is not coming back: that is said";
}

TEST(Settling, AChangeThatIsTakenBackIsNone) {
  Settling s;
  s.read(seen(1));
  EXPECT_FALSE(s.due(seen(2), 0));
  EXPECT_FALSE(s.due(seen(1), 2 * kSecond));
  EXPECT_FALSE(s.waits());
}

}  // namespace
}  // namespace berth::gateway::runtime
