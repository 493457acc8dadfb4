// Backups of a data directory (gateway/node/backup.h): whole ones or none, and a restore that
// proves what it puts into the place of what is there.
#include "gateway/node/backup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "gateway/registry/sqlite_registry.h"
#include "store/rocks_store.h"
#include "tests/support/store_loop.h"

namespace berth::gateway {
namespace {

namespace fs = std::filesystem;
using session::RocksStore;

class BackupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / "berth-backup-XXXXXX";
    ASSERT_NE(mkdtemp(root_.data()), nullptr);
    data_ = root_ + "/data";
    open();
    registry::SqliteRegistry registry(data_ + "/registry.db");
    registry.write({{.key = "tenant/acme", .value = "record"}});
    std::ofstream(data_ + "/quarantine.key") << "key";
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(root_);
  }
  void open() {
    session::RocksOptions o;
    o.directory = data_ + "/store";
    o.on_condition = [this](const session::StoreCondition& c) { lost_ = c.writes_lost; };
    store_ = std::make_unique<RocksStore>(o, loop_.poster());
  }
  void put(std::uint64_t id) {
    auto batch = std::make_shared<session::Batch>();
    batch->add(
        {.kind = session::WriteKind::put_session, .session = {id}, .epoch = 1, .value = "record"});
    store_->commit(batch, [](session::CommitResult) {});
    loop_.run_one();
  }
  BackupNote backup(const std::string& name, std::size_t kept = 3) {
    return make_backup(data_, name, kept, store_->copier());
  }
  std::string path_of(const std::string& name) const { return data_ + "/backups/" + name; }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const BackupNote& n : backups_in(data_)) out.push_back(n.name);
    return out;
  }
  std::size_t sessions() {
    session::Contents c;
    store_->restore(c);
    const std::string all = c.sorted();
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), ';'));
  }
  // Changes a byte in the middle of the largest file of the copied database.
  void damage(const std::string& backup) {
    fs::path largest;
    for (const auto& f : fs::directory_iterator(backup + "/store")) {
      if (f.is_regular_file() && f.path().extension() == ".sst" &&
          (largest.empty() || f.file_size() > fs::file_size(largest)))
        largest = f.path();
    }
    ASSERT_FALSE(largest.empty());
    fs::copy_file(largest, largest.string() + ".new");  // it is a hard link of the store's own
    fs::rename(largest.string() + ".new", largest);
    std::fstream file(largest, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(20);
    file.put('\xff');
    file.put('\xff');
  }

  std::string root_, data_;
  session::Loop loop_;
  std::unique_ptr<RocksStore> store_;
  std::uint64_t lost_ = 0;
};

TEST_F(BackupTest, IsWhatWasThereAndTheStoreGoesOn) {
  put(1);
  put(2);
  const BackupNote n = backup("20260101T000000Z");
  EXPECT_GT(n.bytes, 0u);
  put(3);
  for (const char* name : {"store/CURRENT", "store.mark", "registry.db", "quarantine.key"})
    EXPECT_TRUE(fs::exists(path_of(n.name) + "/" + name)) << name;
  EXPECT_EQ(names(), std::vector<std::string>{n.name});

  store_.reset();
  const std::string replaced = restore_backup(path_of(n.name), data_);
  EXPECT_TRUE(fs::exists(replaced + "/store/CURRENT"));
  EXPECT_TRUE(fs::exists(replaced + "/registry.db"));
  open();
  EXPECT_EQ(sessions(), 2u);
  EXPECT_EQ(lost_, 1u) << "by the mark, which is the newest";
  registry::SqliteRegistry registry(data_ + "/registry.db");
  EXPECT_EQ(registry.read().list.size(), 1u);
  EXPECT_NO_THROW(prove_backup(path_of(n.name))) << "it can be used again";
}

TEST_F(BackupTest, TheOldestGoWhenTheNewOneIsThere) {
  for (const char* name : {"20260101T000000Z", "20260102T000000Z", "20260103T000000Z"}) {
    put(1);
    backup(name, 2);
  }
  EXPECT_EQ(names(), (std::vector<std::string>{"20260102T000000Z", "20260103T000000Z"}));
}

TEST_F(BackupTest, OneThatFailsLeavesNothingAndTheOthers) {
  backup("20260101T000000Z", 1);
  EXPECT_THROW(make_backup(data_, "20260102T000000Z", 1,
                           [](const std::string&) { throw std::runtime_error("no"); }),
               std::runtime_error);
  EXPECT_THROW(make_backup(data_, "20260102T000000Z", 1, store_->copier(), [] { return true; }),
               std::runtime_error)
      << "given up";
  EXPECT_EQ(names(), std::vector<std::string>{"20260101T000000Z"});
}

TEST_F(BackupTest, WhatWasBegunByADeadProcessGoes) {
  fs::create_directories(path_of(".begun-20260101T000000Z") + "/store");
  EXPECT_TRUE(names().empty());
  backup("20260102T000000Z");
  EXPECT_FALSE(fs::exists(path_of(".begun-20260101T000000Z")));
}

TEST_F(BackupTest, NoRestoreWhereAGatewayRunsOrOfWhatIsNotSound) {
  put(1);
  const BackupNote n = backup("20260101T000000Z");
  const std::string to = root_ + "/other";
  EXPECT_THROW(restore_backup(root_, to), std::runtime_error) << "no backup";
  damage(path_of(n.name));
  EXPECT_THROW(restore_backup(path_of(n.name), to), std::runtime_error) << "damaged";
  EXPECT_FALSE(fs::exists(to + "/store"));
  EXPECT_THROW(prove_backup(path_of(n.name)), std::runtime_error);
}

TEST_F(BackupTest, ACopierOutlivesItsStore) {
  const RocksStore::Copier copier = store_->copier();
  store_.reset();
  EXPECT_THROW(copier(root_ + "/late"), std::runtime_error);
}

}  // namespace
}  // namespace berth::gateway
