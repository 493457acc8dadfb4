// A store whose files belong to another user is not damaged: it is refused by name, nothing is
// moved, and it is as it was once the owner is right. Needs root to become another user; skipped
// without.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <set>
#include <string>

#include "store/rocks_store.h"
#include "store/store_access.h"
#include "tests/support/store_loop.h"

namespace berth::session {
namespace {

namespace fs = std::filesystem;
constexpr uid_t kOther = 65'534;

class AsOther {
 public:
  AsOther() { EXPECT_EQ(::seteuid(kOther), 0); }
  ~AsOther() { EXPECT_EQ(::seteuid(0), 0); }
  AsOther(const AsOther&) = delete;
  AsOther& operator=(const AsOther&) = delete;
};

class StoreAccess : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "not root";
    std::string name = fs::temp_directory_path() / "berth-access-XXXXXX";
    directory_ = mkdtemp(name.data());
    give_to(kOther);
    const AsOther other;
    RocksStore s({.directory = store()}, loop_.poster());
    s.close();
  }
  void TearDown() override {
    if (!directory_.empty()) fs::remove_all(directory_);
  }
  std::string store() const { return directory_ + "/store"; }
  void give_to(uid_t user) const {
    ASSERT_EQ(::chown(directory_.c_str(), user, user), 0);
    for (const auto& e : fs::recursive_directory_iterator(directory_))
      ASSERT_EQ(::chown(e.path().c_str(), user, user), 0);
  }
  std::set<std::string> files() const {
    std::set<std::string> all;
    for (const auto& e : fs::recursive_directory_iterator(directory_)) all.insert(e.path());
    return all;
  }
  // Not taken, with the path and the user in the error; nothing there has changed.
  void expect_refused(const std::string& path) {
    const auto before = files();
    {
      const AsOther other;
      try {
        RocksStore s({.directory = store()}, loop_.poster());
        ADD_FAILURE() << path << " was no obstacle";
      } catch (const StoreForbidden& e) {
        const std::string why = e.what();
        EXPECT_NE(why.find(path + ": Permission denied, owner 0"), std::string::npos) << why;
        EXPECT_NE(why.find("this process is user 65534"), std::string::npos) << why;
      }
    }
    EXPECT_EQ(files(), before);
    give_to(kOther);
    const AsOther other;
    RocksStore s({.directory = store()}, loop_.poster());
    EXPECT_EQ(s.quarantined(), "");
    s.close();
  }
  std::string directory_;
  Loop loop_;
};

void take(const std::string& path, mode_t mode) {
  ASSERT_EQ(::chown(path.c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod(path.c_str(), mode), 0);
}

TEST_F(StoreAccess, AFileOfAnotherUserIsNoDamage) {
  take(store() + "/CURRENT", 0600);
  expect_refused(store() + "/CURRENT");
}

TEST_F(StoreAccess, NorIsALockOrADirectoryOfAnother) {
  take(store() + "/LOCK", 0644);
  expect_refused(store() + "/LOCK");
  take(store(), 0755);
  expect_refused(store());
  take(directory_, 0755);
  expect_refused(directory_);
  take(store() + ".mark", 0600);
  expect_refused(store() + ".mark");
}

TEST_F(StoreAccess, ADirectoryThatCanNotBeMadeIsNamed) {
  const AsOther other;
  try {
    RocksStore s({.directory = "/proc/none/data/store"}, loop_.poster());
    ADD_FAILURE();
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string(e.what()).find("/proc/none/data"), std::string::npos) << e.what();
  }
}

TEST(StoreErrors, AreOfTheSystemOrOfTheData) {
  EXPECT_TRUE(is_forbidden("IO error: While opening x: Permission denied"));
  EXPECT_TRUE(is_forbidden("IO error: Read-only file system"));
  EXPECT_TRUE(lacks_resources("IO error: While open: Too many open files"));
  EXPECT_FALSE(is_forbidden("Corruption: bad block"));
  EXPECT_FALSE(lacks_resources("Corruption: bad block"));
}

}  // namespace
}  // namespace berth::session
