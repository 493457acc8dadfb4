#include "store/rocks_copies.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/utilities/checkpoint.h>

#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>

#include "store/rocks_store.h"

namespace berth::session {
namespace {

constexpr std::uint64_t kLookEvery = 1000;  // entries: a few milliseconds

// Without one RocksDB makes a file LOG beside what it only reads.
class NoLog final : public rocksdb::Logger {
 public:
  void Logv(const char*, va_list) override {}
};

void expect_ok(const rocksdb::Status& s, const std::string& directory) {
  if (!s.ok()) throw std::runtime_error("store " + directory + ": " + s.ToString());
}

}  // namespace

void copy_database(rocksdb::DB& db, const std::string& database, const std::string& directory) {
  rocksdb::Checkpoint* made = nullptr;
  expect_ok(rocksdb::Checkpoint::Create(&db, &made), directory);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  expect_ok(checkpoint->CreateCheckpoint(directory), directory);
  // It stays the same database: the mark beside the store tells then how far a copy is behind.
  std::filesystem::copy_file(database + "/IDENTITY", directory + "/IDENTITY",
                             std::filesystem::copy_options::overwrite_existing);
}

void verify_database(const std::string& directory, const std::function<bool()>& give_up) {
  rocksdb::Options o;
  o.info_log = std::make_shared<NoLog>();
  o.create_if_missing = false;
  rocksdb::DB* opened = nullptr;
  expect_ok(rocksdb::DB::OpenForReadOnly(o, directory, &opened), directory);
  const std::unique_ptr<rocksdb::DB> db(opened);
  std::string version;
  const rocksdb::Status found = db->Get(rocksdb::ReadOptions(), kFormatKey, &version);
  if (found.IsNotFound())
    throw std::runtime_error("store " + directory + ": it is no store of a gateway");
  if (!found.ok())
    throw std::runtime_error("store " + directory + ": it is damaged: " + found.ToString());
  if (std::atoi(version.c_str()) > kFormatVersion)
    throw std::runtime_error("store " + directory + ": format " + version +
                             " is newer than this version knows");
  rocksdb::ReadOptions all;  // with checksums
  all.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(all));
  std::uint64_t read = 0;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    if (read++ % kLookEvery == 0 && give_up && give_up())
      throw std::runtime_error("given up: the process ends");
  }
  expect_ok(it->status(), directory);
}

}  // namespace berth::session
