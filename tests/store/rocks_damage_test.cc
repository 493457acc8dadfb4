// What the embedded store does about damage (I10): it is moved aside and kept, an empty one serves,
// and what is lost of what was acknowledged is counted.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "store/rocks_store.h"
#include "store/store_mark.h"
#include "tests/support/store_loop.h"

namespace berth::session {
namespace {

namespace fs = std::filesystem;

class RocksDamage : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / "berth-damage-XXXXXX";
    ASSERT_NE(mkdtemp(root_.data()), nullptr);
    options_.directory = root_ + "/store";
    options_.on_condition = [this](const StoreCondition& c) {
      last_ = c;
      if (c.writes_lost != 0 || !c.moved_to.empty()) told_.push_back(c);
    };
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(root_);
  }
  // What is restored.
  std::string open() {
    store_.reset();
    told_.clear();
    store_ = std::make_unique<RocksStore>(options_, loop_.poster());
    return restored();
  }
  std::string restored() {
    Contents c;
    store_->restore(c);
    return c.sorted();
  }
  void put(std::uint64_t id, const std::string& record) {
    auto batch = std::make_shared<Batch>();
    batch->add({.kind = WriteKind::put_session, .session = {id}, .epoch = 1, .value = record});
    store_->commit(batch, [](CommitResult) {});
    loop_.run_one();
  }
  // Sessions 1 to 3, in the log.
  void fill() {
    open();
    for (std::uint64_t id = 1; id <= 3; ++id) put(id, "record");
    store_.reset();
  }
  std::string only(const std::string& beginning, const std::string& end) const {
    std::string found;
    for (const auto& f : fs::directory_iterator(options_.directory)) {
      const std::string name = f.path().filename();
      const bool more = found.empty() || f.file_size() > fs::file_size(found);
      if (name.starts_with(beginning) && name.ends_with(end) && more) found = f.path();
    }
    return found;
  }
  void expect_moved_aside(const std::string& what) {
    EXPECT_EQ(open(), "") << what;
    EXPECT_FALSE(store_->quarantined().empty()) << what;
    EXPECT_TRUE(fs::exists(fs::symlink_status(store_->quarantined()))) << what;
    ASSERT_EQ(told_.size(), 1U) << what;
    EXPECT_EQ(told_[0].moved_to, store_->quarantined());
    put(9, "new");
    EXPECT_EQ(open(), "s9=new;") << what;
    EXPECT_TRUE(told_.empty()) << "told once: " << what;
  }
  std::string root_;
  RocksOptions options_;
  Loop loop_;
  std::vector<StoreCondition> told_;  // of damage
  StoreCondition last_;
  std::unique_ptr<RocksStore> store_;
};

TEST_F(RocksDamage, I10_WithoutAManifest) {
  fill();
  fs::remove(only("MANIFEST-", ""));
  expect_moved_aside("no MANIFEST");
}

TEST_F(RocksDamage, I10_WithCurrentElsewhere) {
  fill();
  std::ofstream(options_.directory + "/CURRENT") << "MANIFEST-004711\n";
  expect_moved_aside("CURRENT elsewhere");
}

// RocksDB would take the directory for a new database and delete what lies in it.
TEST_F(RocksDamage, I10_WithoutCurrent) {
  fill();
  fs::remove(options_.directory + "/CURRENT");
  expect_moved_aside("no CURRENT");
}

TEST_F(RocksDamage, I10_WhereAFileIsInItsPlace) {
  std::ofstream(options_.directory) << "what is this?";
  expect_moved_aside("a file");
}

TEST_F(RocksDamage, I10_SeveralInOneSecondAreAllKept) {
  for (int n = 0; n < 3; ++n) {
    store_.reset();
    fs::remove_all(options_.directory);
    std::ofstream(options_.directory) << "what is this?";
    open();
  }
  store_.reset();
  int kept = 0;
  for (const auto& f : fs::directory_iterator(root_))
    kept += f.path().filename().string().starts_with("store.damaged-") ? 1 : 0;
  EXPECT_EQ(kept, 3);
}

TEST_F(RocksDamage, NothingIsToldOfASoundOne) {
  fill();
  EXPECT_EQ(open(), "s1=record;s2=record;s3=record;");
  EXPECT_TRUE(told_.empty());
  put(4, "more");
  EXPECT_EQ(open(), "s1=record;s2=record;s3=record;s4=more;");
  EXPECT_TRUE(told_.empty());
}

TEST_F(RocksDamage, I1_ALogThatIsCutOffIsCounted) {
  fill();
  const std::string log = only("", ".log");
  ASSERT_FALSE(log.empty());
  fs::resize_file(log, fs::file_size(log) - 1);
  EXPECT_EQ(open(), "s1=record;s2=record;");
  EXPECT_TRUE(store_->quarantined().empty());
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_EQ(told_[0].writes_lost, 1U);
  EXPECT_EQ(open(), "s1=record;s2=record;");
  EXPECT_TRUE(told_.empty()) << "told once";
  EXPECT_EQ(last_.writes_lost_total, 1U) << "and remembered";
}

// A process killed while it made its first files has lost nothing.
TEST_F(RocksDamage, WhatWasNeverFinishedIsNotDamage) {
  fs::create_directories(options_.directory);
  std::ofstream(options_.directory + "/MANIFEST-000001") << "";
  EXPECT_EQ(open(), "");
  EXPECT_TRUE(told_.empty());
}

TEST_F(RocksDamage, I1_ALogThatIsGoneIsCounted) {
  fill();
  for (const auto& f : fs::directory_iterator(options_.directory)) {
    if (f.path().extension() == ".log") fs::resize_file(f.path(), 0);
  }
  EXPECT_EQ(open(), "");
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_GE(told_[0].writes_lost, 3U);
}

// What is in front of a damaged record of the log is not lost for it.
TEST_F(RocksDamage, I1_DamageInTheMiddleOfTheLogCostsWhatIsBehindIt) {
  open();
  put(1, "first");
  put(2, std::string(1000, 'x'));
  put(3, "third");
  store_.reset();
  const std::string log = only("", ".log");
  std::string bytes;
  {
    std::ifstream in(log, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  const std::size_t at = bytes.find(std::string(100, 'x'));
  ASSERT_NE(at, std::string::npos);
  bytes[at + 50] = 'y';
  std::ofstream(log, std::ios::binary | std::ios::trunc) << bytes;
  EXPECT_EQ(open(), "s1=first;");
  EXPECT_TRUE(store_->quarantined().empty());
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_EQ(told_[0].writes_lost, 2U);
}

TEST_F(RocksDamage, AStoreThatIsGoneIsCounted) {
  fill();
  fs::remove_all(options_.directory);
  EXPECT_EQ(open(), "");
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_GE(told_[0].writes_lost, 3U);
  EXPECT_TRUE(told_[0].moved_to.empty());
}

TEST_F(RocksDamage, WithoutAMarkNothingCanBeTold) {
  fill();
  store_.reset();
  fs::remove(options_.directory + ".mark");
  EXPECT_EQ(open(), "s1=record;s2=record;s3=record;");
  EXPECT_TRUE(told_.empty());
  std::ofstream(options_.directory + ".mark", std::ios::trunc) << "no mark";
  EXPECT_EQ(open(), "s1=record;s2=record;s3=record;");
  EXPECT_TRUE(told_.empty());
}

}  // namespace
}  // namespace berth::session
