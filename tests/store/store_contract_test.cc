// What every Store promises (session/store.h), for each of them; then what only RocksDB can show.
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include "store/memory_store.h"
#include "store/redis_store.h"
#include "store/rocks_store.h"
#include "tests/support/random.h"
#include "tests/support/redis_server.h"
#include "tests/support/store_loop.h"

namespace berth::session {
namespace {

struct TempDir {
  TempDir() {
    std::string name = std::filesystem::temp_directory_path() / "berth-test-XXXXXX";
    path = mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::string path;
};

class StoreContract : public ::testing::TestWithParam<const char*> {
 protected:
  void open() {
    const std::string kind = GetParam();
    if (kind == "memory") {
      if (!store_) store_ = std::make_unique<MemoryStore>(loop_.poster());
    } else if (kind == "rocksdb") {
      store_.reset();
      store_ = std::make_unique<RocksStore>(RocksOptions{.directory = dir_.path + "/db"},
                                            loop_.poster());
    } else {
      store_.reset();
      if (!redis_) redis_ = std::make_unique<test::RedisServer>();
      RedisStoreOptions o;
      o.redis.address = parse_redis_url(redis_->url());
      o.owner = "contract";
      store_ = std::make_unique<RedisStore>(o, loop_.poster());
    }
    restore();
  }
  std::string restore() {
    Contents c;
    store_->restore(c);
    return c.sorted();
  }
  CommitResult commit(const std::vector<Write>& writes) {
    auto batch = std::make_shared<Batch>();
    for (const Write& w : writes) batch->add(w);
    CommitResult result;
    store_->commit(batch, [&](CommitResult r) { result = r; });
    loop_.run_one();
    return result;
  }
  std::vector<StoredEntry> read(std::uint64_t id, std::uint64_t from, std::size_t count = 100,
                                std::size_t bytes = 1 << 20) {
    std::vector<StoredEntry> out;
    store_->read_queue({id}, from, count, bytes,
                       [&](auto r) { out = r ? *r : std::vector<StoredEntry>{}; });
    loop_.run_one();
    return out;
  }
  // Keys and values, one behind the other.
  std::string records(RecordRange range) {
    std::string out = "no answer";
    store_->read_records(std::move(range), [&](base::result<std::vector<StoredRecord>> r) {
      out = r ? "" : "failed";
      if (r) {
        for (const StoredRecord& one : *r) out += one.key + "=" + one.value + ";";
      }
    });
    loop_.run_one();
    return out;
  }
  void SetUp() override { open(); }
  TempDir dir_;
  Loop loop_;
  std::unique_ptr<test::RedisServer> redis_;
  std::unique_ptr<Store> store_;
};

TEST_P(StoreContract, KeepsWhatWasCommittedAcrossAnOpen) {
  commit({{.kind = WriteKind::put_session, .session = {1}, .epoch = 5, .value = "one"},
          {.kind = WriteKind::append, .session = {1}, .seq = 10, .value = "a"},
          {.kind = WriteKind::append, .session = {1}, .seq = 11, .value = "b"},
          {.kind = WriteKind::append, .session = {1}, .seq = 300, .value = "c"},
          {.kind = WriteKind::put_received, .session = {1}, .seq = 7, .value = "x"},
          {.kind = WriteKind::put_retained, .key = "k", .value = "v"},
          {.kind = WriteKind::put_applied, .key = "p", .value = ""}});
  open();
  EXPECT_EQ(restore(), "s1=one;q1=10a..300c;r1/7;tk=v;ap;");
  commit({{.kind = WriteKind::remove, .session = {1}, .seq = 10},
          {.kind = WriteKind::remove_received, .session = {1}, .seq = 7},
          {.kind = WriteKind::remove_retained, .key = "k"},
          {.kind = WriteKind::remove_applied, .key = "p"}});
  open();
  EXPECT_EQ(restore(), "s1=one;q1=11b..300c;");
}

TEST_P(StoreContract, ReadsAQueueInOrderWithinBounds) {
  std::vector<Write> w;
  for (std::uint64_t i = 1; i <= 50; ++i)
    w.push_back({.kind = WriteKind::append, .session = {2}, .seq = i * 2, .value = "0123456789"});
  w.push_back({.kind = WriteKind::append, .session = {3}, .seq = 1, .value = "other"});
  commit(w);
  const auto some = read(2, 5, 3);
  ASSERT_EQ(some.size(), 3u);
  EXPECT_EQ(some[0].seq, 6u);
  EXPECT_EQ(some[2].seq, 10u);
  EXPECT_EQ(read(2, 1, 100, 25).size(), 2u);
  EXPECT_EQ(read(2, 1, 100, 1).size(), 1u) << "at least one, however large";
  EXPECT_EQ(read(2, 101).size(), 0u);
}

TEST_P(StoreContract, ABatchTakesEffectInItsOrder) {
  commit({{.kind = WriteKind::append, .session = {2}, .seq = 1, .value = "a"},
          {.kind = WriteKind::append, .session = {1}, .seq = 1, .value = "b"},
          {.kind = WriteKind::append, .session = {2}, .seq = 2, .value = "c"},
          {.kind = WriteKind::append, .session = {3}, .seq = 1, .value = "d"},
          {.kind = WriteKind::append, .session = {1}, .seq = 2, .value = "e"},
          {.kind = WriteKind::remove, .session = {2}, .seq = 1},
          {.kind = WriteKind::append, .session = {2}, .seq = 2, .value = "again"},
          {.kind = WriteKind::remove_through, .session = {1}, .seq = 1},
          {.kind = WriteKind::append, .session = {1}, .seq = 3, .value = "f"},
          {.kind = WriteKind::delete_session, .session = {3}},
          {.kind = WriteKind::put_session, .session = {3}, .epoch = 1, .value = "new"},
          {.kind = WriteKind::append, .session = {3}, .seq = 4, .value = "g"}});
  const auto queue = [this](std::uint64_t id) {
    std::string all;
    for (const StoredEntry& e : read(id, 0)) all += std::to_string(e.seq) + e.value + ";";
    return all;
  };
  for (int opened = 0; opened < 2; ++opened) {
    EXPECT_EQ(queue(1), "2e;3f;");
    EXPECT_EQ(queue(2), "2again;");
    EXPECT_EQ(queue(3), "4g;");
    open();
  }
}

TEST_P(StoreContract, I5_RefusesAStaleOwnersWrites) {
  commit({{.kind = WriteKind::put_session, .session = {1}, .epoch = 5, .value = "new"},
          {.kind = WriteKind::append, .session = {1}, .seq = 1, .value = "a"}});
  const CommitResult r =
      commit({{.kind = WriteKind::put_session, .session = {1}, .epoch = 4, .value = "old"},
              {.kind = WriteKind::remove, .session = {1}, .seq = 1, .epoch = 4},
              {.kind = WriteKind::append, .session = {1}, .seq = 2, .value = "b"}});
  EXPECT_EQ(r.refused.size(), 2u);
  EXPECT_EQ(restore(), "s1=new;q1=1a..2b;") << "appends of others are not fenced";
}

TEST_P(StoreContract, DeletingASessionTakesAllOfIt) {
  commit({{.kind = WriteKind::put_session, .session = {1}, .epoch = 1, .value = "x"},
          {.kind = WriteKind::append, .session = {1}, .seq = 1, .value = "a"},
          {.kind = WriteKind::put_received, .session = {1}, .seq = 1, .value = "r"},
          {.kind = WriteKind::put_session, .session = {2}, .epoch = 1, .value = "y"}});
  commit({{.kind = WriteKind::delete_session, .session = {1}}});
  EXPECT_EQ(restore(), "s2=y;");
  commit({{.kind = WriteKind::put_session, .session = {1}, .epoch = 1, .value = "again"}});
  EXPECT_EQ(restore(), "s1=again;s2=y;");
}

TEST_P(StoreContract, RemoveThroughKeepsTheRest) {
  commit({{.kind = WriteKind::append, .session = {1}, .seq = 1, .value = "a"},
          {.kind = WriteKind::append, .session = {1}, .seq = 2, .value = "b"},
          {.kind = WriteKind::append, .session = {1}, .seq = 3, .value = "c"}});
  commit({{.kind = WriteKind::remove_through, .session = {1}, .seq = 2}});
  EXPECT_EQ(restore(), "q1=3c..3c;");
}

// Appends, single removals and removals of ranges of many queues, in batches in any order. RocksDB
// has more than one memtable of them.
TEST_P(StoreContract, QueuesHoldWhatAModelHolds) {
  test::Random random(7);
  std::map<std::uint64_t, std::map<std::uint64_t, std::string>> model;
  std::map<std::uint64_t, std::uint64_t> last;
  const auto expect_same = [&](std::uint64_t id) {
    const std::vector<StoredEntry> found = read(id, 0, 100'000, 100 << 20);
    std::map<std::uint64_t, std::string> there;
    for (const StoredEntry& e : found) there[e.seq] = e.value;
    ASSERT_EQ(there, model[id]) << "queue " << id;
  };
  const int batches = std::string(GetParam()) == "rocksdb" ? 2000 : 200;
  for (int i = 0; i < batches; ++i) {
    std::deque<std::string> values;  // the writes point at them
    std::vector<Write> writes;
    for (std::uint64_t n = 1 + random.below(60); n != 0; --n) {
      const std::uint64_t id = 1 + random.below(40);
      std::map<std::uint64_t, std::string>& queue = model[id];
      const std::uint64_t through =
          last[id] - random.below(1 + std::min<std::uint64_t>(last[id], 9));
      if (random.one_in(300)) {
        writes.push_back({.kind = WriteKind::delete_session, .session = {id}});
        queue.clear();
      } else if (random.one_in(10)) {
        writes.push_back({.kind = WriteKind::remove_through, .session = {id}, .seq = through});
        queue.erase(queue.begin(), queue.upper_bound(through));
      } else if (random.one_in(5)) {
        writes.push_back({.kind = WriteKind::remove, .session = {id}, .seq = through});
        queue.erase(through);
      } else {
        values.push_back(random.bytes(800));
        writes.push_back({.kind = WriteKind::append,
                          .session = {id},
                          .seq = ++last[id],
                          .value = values.back()});
        queue[last[id]] = values.back();
      }
    }
    commit(writes);
    if (random.one_in(10)) {
      ASSERT_NO_FATAL_FAILURE(expect_same(1 + random.below(40)));
    }
    if (random.one_in(500)) open();
  }
  open();
  for (std::uint64_t id = 1; id <= 40; ++id) ASSERT_NO_FATAL_FAILURE(expect_same(id));
}

TEST_P(StoreContract, RecordsAreReadByRangesOfTheirKeysFromBothEnds) {
  std::vector<std::string> keys;
  for (const char* k : {"a", "b1", "b2", "b3", "b4", "c"}) keys.emplace_back(k);
  std::vector<Write> writes;
  for (const std::string& k : keys)
    writes.push_back({.kind = WriteKind::put_record, .key = k, .value = "v"});
  commit(writes);
  commit({{.kind = WriteKind::put_record, .key = "b2", .value = "w"},
          {.kind = WriteKind::remove_record, .key = "b3"},
          {.kind = WriteKind::remove_record, .key = "not there"}});
  open();
  EXPECT_EQ(records({.from = "b", .to = "c"}), "b1=v;b2=w;b4=v;");
  EXPECT_EQ(records({.from = "b", .to = "c", .newest_first = true}), "b4=v;b2=w;b1=v;");
  EXPECT_EQ(records({.from = "b", .to = "c", .count = 2}), "b1=v;b2=w;");
  EXPECT_EQ(records({.from = "b", .to = "c", .count = 2, .newest_first = true}), "b4=v;b2=w;");
  EXPECT_EQ(records({.from = "b2", .to = "b4"}), "b2=w;") << "the end is not in the range";
  EXPECT_EQ(records({.from = "b", .to = "c", .bytes = 7}), "b1=v;b2=w;");
  EXPECT_EQ(records({.from = "b", .to = "c", .bytes = 1}), "b1=v;") << "at least one";
  EXPECT_EQ(records({.from = "d", .to = "e"}), "");
  EXPECT_EQ(records({.from = "c", .to = "b"}), "") << "nothing is between them";
}

TEST_P(StoreContract, RecordsOfAnyBytesInAnyNumberStandInTheOrderOfTheirKeys) {
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) {
    std::string k{"k\0", 2};
    k.push_back(static_cast<char>(i * 2 + 1));
    keys.push_back(k);
  }
  std::vector<Write> writes;
  for (const std::string& k : keys)
    writes.push_back(
        {.kind = WriteKind::put_record, .key = k, .value = std::string_view("\0x", 2)});
  commit(writes);
  std::string expected;
  for (const std::string& k : keys) expected += k + "=" + std::string("\0x", 2) + ";";
  EXPECT_EQ(records({.from = std::string("k\0", 2), .to = std::string("k\1", 2), .count = 1000}),
            expected);
}

TEST_P(StoreContract, OnlyLiveRecordsAreRestored) {
  commit({{.kind = WriteKind::put_record, .key = "!open", .value = "1"},
          {.kind = WriteKind::put_record, .key = "closed", .value = "2"}});
  open();
  EXPECT_EQ(restore(), "e!open=1;");
  commit({{.kind = WriteKind::remove_record, .key = "!open"}});
  EXPECT_EQ(restore(), "");
  EXPECT_EQ(records({.from = "a", .to = "z"}), "closed=2;");
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract, ::testing::Values("memory", "rocksdb", "redis"));

TEST(RocksStoreTest, I10_ADamagedDatabaseIsMovedAsideAndAnEmptyOneServes) {
  TempDir dir;
  Loop loop;
  const RocksOptions options{.directory = dir.path + "/db"};
  { RocksStore s(options, loop.poster()); }
  std::ofstream(dir.path + "/db/CURRENT") << "nonsense\n";
  RocksStore s(options, loop.poster());
  EXPECT_FALSE(s.quarantined().empty());
  EXPECT_TRUE(std::filesystem::exists(s.quarantined()));
  Contents c;
  s.restore(c);
  EXPECT_EQ(c.log, "");
}

TEST(RocksStoreTest, I10_DamageFoundWhileReadingIsMovedAsideToo) {
  TempDir dir;
  Loop loop;
  const RocksOptions options{.directory = dir.path + "/db"};
  {
    RocksStore s(options, loop.poster());
    Contents c;
    s.restore(c);
    for (std::uint64_t i = 1; i <= 40; ++i) {  // past the write buffer: into table files
      auto batch = std::make_shared<Batch>();
      const std::string record(1 << 20, static_cast<char>(i));
      batch->add({.kind = WriteKind::put_session, .session = {i}, .epoch = 1, .value = record});
      s.commit(batch, [](CommitResult) {});
      loop.run_one();
    }
  }
  int damaged = 0;
  for (const auto& e : std::filesystem::directory_iterator(options.directory)) {
    if (e.path().extension() != ".sst") continue;
    std::fstream f(e.path(), std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(static_cast<std::streamoff>(e.file_size() / 2));
    f << "damage damage damage";
    ++damaged;
  }
  ASSERT_GT(damaged, 0);
  RocksStore s(options, loop.poster());
  Contents c;
  EXPECT_THROW(s.restore(c), StoreDamaged);
  EXPECT_TRUE(std::filesystem::exists(s.quarantined()));
  Contents empty;
  s.restore(empty);
  EXPECT_EQ(empty.log, "");
}

TEST(RocksStoreTest, ALockedDatabaseIsNotDamage) {
  TempDir dir;
  Loop loop;
  const RocksOptions options{.directory = dir.path + "/db"};
  RocksStore first(options, loop.poster());
  EXPECT_THROW(RocksStore(options, loop.poster()), std::runtime_error);
  EXPECT_TRUE(std::filesystem::exists(options.directory));
}

}  // namespace
}  // namespace berth::session
