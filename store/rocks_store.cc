// Keys, all with a prefix byte; numbers big-endian so that they sort:
//   v                         -> format version (decimal text)
//   s session:8               -> epoch:varint record
//   q session:8 seq:8         -> queue entry (entry_codec.h)
//   r session:8 packet id:8   -> connection and offset of a QoS 2 PUBLISH
//   t topic                   -> retained message
//   a edge:8 conn:8 offset:8  -> outcome of an applied input
//   e key                     -> a record
#include "store/rocks_store.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <boost/system/errc.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdarg>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <optional>
#include <shared_mutex>
#include <stdexcept>

#include "base/bytes.h"
#include "base/log.h"
#include "store/rocks_copies.h"
#include "store/store_access.h"
#include "store/store_mark.h"
#include "store/store_threads.h"

namespace berth::session {
namespace {

constexpr std::size_t kEpochsKept = 16'384;  // about 400 KB
constexpr auto kRetryDelay = std::chrono::milliseconds(500);

std::string key_of(char prefix, base::SessionId id) {
  std::string k(1, prefix);
  base::put_key64(k, id.value);
  return k;
}
std::string key_of(char prefix, base::SessionId id, std::uint64_t n) {
  std::string k = key_of(prefix, id);
  base::put_key64(k, n);
  return k;
}
std::string key_of(char prefix, std::string_view rest) {
  return std::string(1, prefix).append(rest);
}
std::string_view view(const rocksdb::Slice& s) {
  return {s.data(), s.size()};
}

// RocksDB's own log goes into ours. In a file of its own (LOG) it would be written on the disk of
// the database, and once that disk was full, RocksDB's next line, which may be one of its last,
// fails an assertion.
class RocksLog final : public rocksdb::Logger {
 public:
  RocksLog() : rocksdb::Logger(rocksdb::WARN_LEVEL) {}
  void Logv(const char* format, va_list ap) override { Logv(rocksdb::WARN_LEVEL, format, ap); }
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list ap) override {
    if (level < GetInfoLogLevel() || level == rocksdb::HEADER_LEVEL) return;
    char line[512];
    const int n = std::vsnprintf(line, sizeof line, format, ap);
    if (n <= 0) return;
    const std::string_view text(line, std::min<std::size_t>(static_cast<std::size_t>(n), 511));
    BERTH_LOG(debug, "rocksdb says text=\"{}\"", text);
  }
};

constexpr std::size_t kSessionPart = 9;  // of a key: prefix and session
constexpr std::size_t kEntryKey = 17;    // with a number in the session's queue

// The queue that an entry stands in. RocksDB remembers in its memtable where the last entry of each
// queue went, and puts the next one beside it. Only keys of entries are in the domain: of a
// DeleteRange in the domain RocksDB 7.8 would take the place in another table for one in this, and
// damage its memory. So a DeleteRange of a queue begins with the session's part alone.
class QueueOfEntry final : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "berth.QueueOfEntry"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), kSessionPart};
  }
  bool InDomain(const rocksdb::Slice& key) const override {
    return key.size() == kEntryKey && key[0] == 'q';
  }
};

rocksdb::Options database_options() {
  rocksdb::Options o;
  o.create_if_missing = true;
  o.write_buffer_size = 16u << 20;
  o.max_write_buffer_number = 3;
  o.max_background_jobs = 2;
  o.info_log = std::make_shared<RocksLog>();
  o.max_total_wal_size = 64u << 20;
  o.recycle_log_file_num = 2;  // a recycled log needs no new blocks: fdatasync is quicker
  // Up to the first record that is not whole, wherever it is. What is behind it is lost, and the
  // mark shows how much that was; to refuse the database for it would lose everything.
  o.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  o.avoid_flush_during_recovery = true;  // opening needs little room
  o.compression = rocksdb::kNoCompression;
  o.memtable_insert_with_hint_prefix_extractor = std::make_shared<QueueOfEntry>();
  o.allow_concurrent_memtable_write = false;  // there is one writer
  rocksdb::BlockBasedTableOptions t;
  t.block_cache = rocksdb::NewLRUCache(16u << 20);
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(t));
  return o;
}

std::uint64_t room_at(const std::string& path) {
  struct statvfs disk {};
  return statvfs(path.c_str(), &disk) == 0 ? disk.f_bavail * disk.f_frsize : UINT64_MAX;
}

// Why what is at `path` can't be a database that was left in order; empty: it can. RocksDB would
// begin an empty database over files without CURRENT, and delete them.
std::string why_damaged(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ec;
  const auto is = fs::symlink_status(path, ec).type();
  if (is == fs::file_type::not_found) return {};
  if (!fs::is_directory(path, ec)) return "not a directory";
  if (fs::exists(fs::path(path) / "CURRENT", ec)) return {};
  // Killed when it made its first files a database has nothing in them.
  for (const auto& f : fs::directory_iterator(path, ec)) {
    const std::string end = f.path().extension();
    if (end == ".sst" || (end == ".log" && fs::file_size(f.path(), ec) != 0))
      return "CURRENT is missing";
  }
  return {};
}

void make_directory(const std::string& path) {
  std::error_code ec;
  std::filesystem::create_directories(path, ec);
  if (!ec) return;
  const std::string why = "store.directory " + path + ": " + ec.message();
  if (is_forbidden(ec.message())) throw StoreForbidden(why);
  throw std::runtime_error(why);
}

constexpr const char* kMovedAside = ".damaged-";

bool of_the_system(const rocksdb::Status& s) {
  const std::string text = s.ToString();
  return is_forbidden(text) || lacks_resources(text);
}

bool is_damage(const rocksdb::Status& s) {
  if (of_the_system(s)) return false;
  return s.IsCorruption() || s.IsInvalidArgument() || s.IsNotFound() || s.IsPathNotFound();
}

// Restoring reads everything once: nothing of it belongs into the cache.
rocksdb::ReadOptions scan_options() {
  rocksdb::ReadOptions o;
  o.fill_cache = false;
  return o;
}

}  // namespace

class RocksStore::Impl {
 public:
  Impl(RocksOptions options, Poster post) : options_(std::move(options)), post_(std::move(post)) {
    open();
    threads_.start({.write = [this](StoreThreads::Commit& c) { write_until_done(c); },
                    .read = [this](StoreThreads::Read& r) { do_read(r); },
                    .read_records = [this](StoreThreads::ReadRecords& r) { do_read(r); },
                    .idle = {},
                    .idle_after = {}});
  }
  ~Impl() { close(); }

  void restore(RestoreSink& sink);
  void close();
  void copy_to(const std::string& directory);
  StoreThreads& threads() { return threads_; }
  std::string quarantined_;

 private:
  void open();
  rocksdb::Status try_open();
  void quarantine(const std::string& why);
  void check_format();
  void check_mark(const std::optional<StoreMark::Said>& before);
  std::uint64_t& epoch_of(base::SessionId id);
  bool fenced(const Write& w, CommitResult& result);
  void add(rocksdb::WriteBatch& out, const Write& w);
  void add_all(rocksdb::WriteBatch& out, const Batch& in, CommitResult& result);
  rocksdb::Status try_write(rocksdb::WriteBatch& batch);
  void write_until_done(StoreThreads::Commit& c);
  void do_read(StoreThreads::Read& r);
  void do_read(StoreThreads::ReadRecords& r);
  template <class F>
  bool scan(std::string_view prefix, F&& each);
  bool sound(const rocksdb::Status& s) const;

  RocksOptions options_;
  Poster post_;
  std::unique_ptr<StoreMark> mark_;
  std::unique_ptr<rocksdb::DB> db_;  // null while the writer opens it anew
  bool failing_ = false;             // the writer's: its last write has not succeeded yet
  // Held by those who read or copy, and exclusively by who replaces or closes db_.
  std::shared_mutex db_mutex_;
  boost::unordered_flat_map<std::uint64_t, std::uint64_t>
      epochs_;            // writer's: those last asked for
  StoreThreads threads_;  // last: they use the rest
};

rocksdb::Status RocksStore::Impl::try_open() {
  rocksdb::DB* db = nullptr;
  rocksdb::Status s = rocksdb::DB::Open(database_options(), options_.directory, &db);
  db_.reset(db);
  return s;
}

void RocksStore::Impl::quarantine(const std::string& why) {
  db_.reset();
  const std::string base = options_.directory + kMovedAside + std::to_string(std::time(nullptr));
  quarantined_ = base;
  for (int n = 1; std::filesystem::exists(std::filesystem::symlink_status(quarantined_)); ++n)
    quarantined_ = base + "-" + std::to_string(n);
  BERTH_LOG(err, "store damaged, an empty one serves moved=\"{}\" reason=\"{}\"", quarantined_,
            why);
  std::filesystem::rename(options_.directory, quarantined_);
  const rocksdb::Status s = try_open();
  if (!s.ok()) throw std::runtime_error("store: " + s.ToString());
}

void RocksStore::Impl::open() {
  check_access(options_.directory);
  const std::string parent = std::filesystem::path(options_.directory).parent_path();
  make_directory(parent);
  if (const std::uint64_t room = room_at(parent); room < kStoreSpaceToOpen)
    throw StoreFull("store " + options_.directory + ": the disk is full, " + std::to_string(room) +
                    " bytes are free, " + std::to_string(kStoreSpaceToOpen) +
                    " are needed to start");
  mark_ = std::make_unique<StoreMark>(options_.directory + ".mark");
  const auto before = mark_->said();
  if (const std::string why = why_damaged(options_.directory); !why.empty()) {
    quarantine(why);
  } else if (const rocksdb::Status s = try_open(); is_damage(s)) {
    quarantine(s.ToString());
  } else if (s.IsNoSpace()) {
    throw StoreFull("store " + options_.directory + ": the disk is full: " + s.ToString());
  } else if (!s.ok() && is_forbidden(s.ToString())) {
    throw StoreForbidden("store " + options_.directory + ": " + s.ToString());
  } else if (!s.ok()) {  // locked by another process, no permission, a failing disk: not damage
    const std::string text = s.ToString();
    const bool locked = text.find("LOCK") != std::string::npos ||
                        text.find("lock hold by current process") != std::string::npos;
    throw std::runtime_error("store " + options_.directory + ": " +
                             (locked ? "another gateway has this data (" + text +
                                           "): each has a store.directory of its own; to upgrade "
                                           "the one that runs: berth ctl restart-engine"
                                     : text));
  }
  check_format();
  check_mark(before);
}

// What the process before us has acknowledged and the database does not hold.
void RocksStore::Impl::check_mark(const std::optional<StoreMark::Said>& before) {
  std::string identity;
  db_->GetDbIdentity(identity).PermitUncheckedError();
  const std::uint64_t database = StoreMark::hash(identity);
  const std::uint64_t there = db_->GetLatestSequenceNumber();
  StoreCondition now{.moved_to = quarantined_};
  if (before && before->database != database) {
    now.writes_lost = before->sequence;
    if (quarantined_.empty())
      BERTH_LOG(err, "store is another one than before, what it held is gone writes_lost={}",
                now.writes_lost);
  } else if (before && before->sequence > there) {
    now.writes_lost = before->sequence - there;
    BERTH_LOG(err, "store's log is cut off, acknowledged writes are lost writes_lost={} of={}",
              now.writes_lost, before->sequence);
  }
  mark_->begin(database, there);
  mark_->add_lost(now.writes_lost);
  now.writes_lost_total = mark_->lost();
  if (options_.on_condition) options_.on_condition(now);
}

// Migrations from older formats go here, one step a version. A newer one is refused, not damaged.
void RocksStore::Impl::check_format() {
  std::string version;
  const rocksdb::Status s = db_->Get(rocksdb::ReadOptions(), kFormatKey, &version);
  if (s.IsNotFound()) {
    rocksdb::WriteOptions w;
    w.sync = true;
    db_->Put(w, kFormatKey, std::to_string(kFormatVersion));
    return;
  }
  if (!s.ok()) return quarantine(s.ToString());
  if (std::atoi(version.c_str()) > kFormatVersion) {
    throw std::runtime_error("store: format " + version + " is newer than this version knows");
  }
}

template <class F>
bool RocksStore::Impl::scan(std::string_view prefix, F&& each) {
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(scan_options()));
  for (it->Seek(std::string(prefix)); it->Valid() && view(it->key()).starts_with(prefix);
       it->Next()) {
    each(view(it->key()).substr(1), view(it->value()));
  }
  return sound(it->status());
}

// While it is restored. What the system refuses to read is not damaged: it throws.
bool RocksStore::Impl::sound(const rocksdb::Status& s) const {
  if (s.ok()) return true;
  const std::string why = "store " + options_.directory + ": " + s.ToString();
  if (is_forbidden(why)) throw StoreForbidden(why);
  if (lacks_resources(why)) throw std::runtime_error(why);
  return false;
}

void RocksStore::Impl::restore(RestoreSink& sink) {
  bool whole = scan("s", [&](std::string_view key, std::string_view value) {
    base::RecordReader r(value);
    r.varint();  // epoch
    if (key.size() != 8 || !r.ok()) return;
    sink.session({base::get_key64(key)}, r.rest());
  });
  {  // first and last entry of each queue, without reading what lies between
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(scan_options()));
    it->Seek("q");
    while (it->Valid() && it->key()[0] == 'q' && it->key().size() == 17) {
      const base::SessionId id{base::get_key64(view(it->key()).substr(1))};
      StoredEntry first{base::get_key64(view(it->key()).substr(9)), it->value().ToString()};
      it->SeekForPrev(key_of('q', id, UINT64_MAX));
      StoredEntry last{base::get_key64(view(it->key()).substr(9)), it->value().ToString()};
      sink.queue(id, first, last);
      it->Next();
    }
    whole = whole && sound(it->status());
  }
  whole = whole && scan("r", [&](std::string_view key, std::string_view value) {
            if (key.size() != 16) return;
            sink.received({base::get_key64(key)},
                          static_cast<std::uint16_t>(base::get_key64(key.substr(8))), value);
          });
  whole = whole && scan("t", [&](std::string_view k, std::string_view v) { sink.retained(k, v); });
  whole = whole && scan("a", [&](std::string_view k, std::string_view v) { sink.applied(k, v); });
  whole = whole && scan(key_of('e', std::string(1, kLiveRecord)),
                        [&](std::string_view k, std::string_view v) { sink.record(k, v); });
  if (!whole) {
    quarantine("could not be read to its end");
    check_mark(mark_->said());
    throw StoreDamaged("store: damaged, moved to " + quarantined_);
  }
}

// -- writing

// 0: no such session.
std::uint64_t& RocksStore::Impl::epoch_of(base::SessionId id) {
  if (const auto it = epochs_.find(id.value); it != epochs_.end()) return it->second;
  std::string value;
  std::uint64_t epoch = 0;
  if (db_ && db_->Get(rocksdb::ReadOptions(), key_of('s', id), &value).ok()) {
    epoch = base::RecordReader(value).varint();
  }
  return epochs_.emplace(id.value, epoch).first->second;
}

bool RocksStore::Impl::fenced(const Write& w, CommitResult& result) {
  if (w.kind == WriteKind::delete_session) epoch_of(w.session) = 0;
  if (w.epoch == 0) return false;
  std::uint64_t& known = epoch_of(w.session);
  if (known > w.epoch) {
    result.refused.push_back(w.session);
    return true;
  }
  if (w.kind == WriteKind::put_session) known = w.epoch;
  return false;
}

void RocksStore::Impl::add(rocksdb::WriteBatch& out, const Write& w) {
  switch (w.kind) {
    case WriteKind::put_session: {
      std::string value;
      base::put_varint(value, w.epoch);
      out.Put(key_of('s', w.session), value.append(w.value));
      return;
    }
    case WriteKind::delete_session:
      out.Delete(key_of('s', w.session));
      out.DeleteRange(key_of('q', w.session), key_of('q', w.session, UINT64_MAX));
      out.DeleteRange(key_of('r', w.session, 0), key_of('r', w.session, UINT64_MAX));
      return;
    case WriteKind::append:
      out.Put(key_of('q', w.session, w.seq), rocksdb::Slice(w.value.data(), w.value.size()));
      return;
    case WriteKind::remove:
      out.Delete(key_of('q', w.session, w.seq));
      return;
    case WriteKind::remove_through:
      out.DeleteRange(key_of('q', w.session), key_of('q', w.session, w.seq + 1));
      return;
    case WriteKind::put_received:
      out.Put(key_of('r', w.session, w.seq), rocksdb::Slice(w.value.data(), w.value.size()));
      return;
    case WriteKind::remove_received:
      out.Delete(key_of('r', w.session, w.seq));
      return;
    case WriteKind::put_retained:
      out.Put(key_of('t', w.key), rocksdb::Slice(w.value.data(), w.value.size()));
      return;
    case WriteKind::remove_retained:
      out.Delete(key_of('t', w.key));
      return;
    case WriteKind::put_applied:
      out.Put(key_of('a', w.key), rocksdb::Slice(w.value.data(), w.value.size()));
      return;
    case WriteKind::remove_applied:
      out.Delete(key_of('a', w.key));
      return;
    case WriteKind::put_record:
      out.Put(key_of('e', w.key), rocksdb::Slice(w.value.data(), w.value.size()));
      return;
    case WriteKind::remove_record:
      out.Delete(key_of('e', w.key));
      return;
  }
}

// Entries of queues stand together by queue: RocksDB puts a key quickly beside the one that came
// before. What is removed from a queue stays behind what was appended before.
void RocksStore::Impl::add_all(rocksdb::WriteBatch& out, const Batch& in, CommitResult& result) {
  std::vector<std::pair<std::uint64_t, std::size_t>> appended;  // by session
  const auto flush = [&] {
    std::sort(appended.begin(), appended.end());
    for (const auto& one : appended) add(out, in[one.second]);
    appended.clear();
  };
  for (std::size_t i = 0; i < in.size(); ++i) {
    const Write w = in[i];
    if (fenced(w, result)) continue;
    if (w.kind == WriteKind::append) {
      appended.emplace_back(w.session.value, i);
      continue;
    }
    if (w.kind == WriteKind::remove || w.kind == WriteKind::remove_through ||
        w.kind == WriteKind::delete_session)
      flush();
    add(out, w);
  }
  flush();
}

// RocksDB must not meet a full disk: its log writer takes no write after a failed one. So space is
// looked at first, and after a write that failed all the same the database is opened anew.
rocksdb::Status RocksStore::Impl::try_write(rocksdb::WriteBatch& batch) {
  if (room_at(options_.directory) < kStoreSpaceKept + 2 * batch.GetDataSize()) {
    return rocksdb::Status::NoSpace("less than the reserve is free");
  }
  if (!db_) {
    const std::unique_lock exclusive(db_mutex_);
    rocksdb::Status s = try_open();
    if (!s.ok()) return s;
  }
  rocksdb::WriteOptions o;
  o.sync = options_.sync;
  rocksdb::Status s = db_->Write(o, &batch);
  if (s.ok()) {
    mark_->reached(db_->GetLatestSequenceNumber());
  } else {
    const std::unique_lock exclusive(db_mutex_);
    db_.reset();
  }
  return s;
}

void RocksStore::Impl::write_until_done(StoreThreads::Commit& c) {
  CommitResult result;
  rocksdb::WriteBatch batch;
  if (epochs_.size() > kEpochsKept) epochs_.clear();
  add_all(batch, *c.batch, result);
  bool failing = false;
  for (;;) {
    const rocksdb::Status s = try_write(batch);
    if (s.ok()) break;
    if (!failing) {
      BERTH_LOG(err, "store failing error=\"{}\"", s.ToString());
      if (options_.on_health)
        options_.on_health(false, "the store does not take writes: " + s.ToString());
    }
    failing = failing_ = true;
    if (!threads_.pause(kRetryDelay)) return;
  }
  failing_ = false;
  if (failing) BERTH_LOG(info, "store recovered");
  if (options_.on_health) options_.on_health(true, {});
  post_([done = std::move(c.done), result] { done(result); });
}

// -- reading

void RocksStore::Impl::do_read(StoreThreads::Read& r) {
  std::vector<StoredEntry> out;
  std::size_t used = 0;
  rocksdb::ReadOptions options;
  const std::string end = key_of('q', r.session, UINT64_MAX);
  const rocksdb::Slice upper(end);
  options.iterate_upper_bound = &upper;
  const std::shared_lock shared(db_mutex_);
  if (!db_) {
    post_([done = std::move(r.done)] { done(make_error_code(boost::system::errc::io_error)); });
    return;
  }
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  for (it->Seek(key_of('q', r.session, r.from)); it->Valid() && out.size() < r.count; it->Next()) {
    if (!out.empty() && used + it->value().size() > r.bytes) break;
    used += it->value().size();
    out.push_back({base::get_key64(view(it->key()).substr(9)), it->value().ToString()});
  }
  base::result<std::vector<StoredEntry>> result = std::move(out);
  if (!it->status().ok()) result = make_error_code(boost::system::errc::io_error);
  post_([done = std::move(r.done), result = std::move(result)]() mutable {
    done(std::move(result));
  });
}

void RocksStore::Impl::do_read(StoreThreads::ReadRecords& r) {
  std::vector<StoredRecord> out;
  std::size_t used = 0;
  const std::string begin = key_of('e', r.range.from);
  const std::string end = key_of('e', r.range.to);
  const rocksdb::Slice lower(begin);
  const rocksdb::Slice upper(end);
  rocksdb::ReadOptions options;
  options.iterate_lower_bound = &lower;
  options.iterate_upper_bound = &upper;
  base::result<std::vector<StoredRecord>> result = make_error_code(boost::system::errc::io_error);
  const std::shared_lock shared(db_mutex_);
  if (db_ && begin < end) {
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
    r.range.newest_first ? it->SeekToLast() : it->SeekToFirst();
    while (it->Valid() && out.size() < r.range.count) {
      used += it->key().size() - 1 + it->value().size();
      if (!out.empty() && used > r.range.bytes) break;
      out.push_back({it->key().ToString().substr(1), it->value().ToString()});
      r.range.newest_first ? it->Prev() : it->Next();
    }
    if (it->status().ok()) result = std::move(out);
  } else if (db_) {
    result = std::move(out);
  }
  post_([done = std::move(r.done), result = std::move(result)]() mutable {
    done(std::move(result));
  });
}

void RocksStore::Impl::copy_to(const std::string& directory) {
  const std::shared_lock shared(db_mutex_);
  if (!db_) throw std::runtime_error("the store is closed, or does not take writes");
  copy_database(*db_, options_.directory, directory);
}

// Waits for a copy that is being made.
void RocksStore::Impl::close() {
  threads_.close();
  const std::unique_lock exclusive(db_mutex_);
  // Closing writes, and RocksDB asserts where a full disk has refused a write before. What was
  // acknowledged is in its log; the process ends, and the next one reads it.
  if (failing_) return static_cast<void>(db_.release());
  if (db_) {
    db_->SyncWAL();
    db_->Close();
    db_.reset();
  }
}

RocksStore::RocksStore(RocksOptions options, Poster post)
    : impl_(std::make_shared<Impl>(std::move(options), std::move(post))) {}
RocksStore::~RocksStore() {
  impl_->close();
}
RocksStore::Copier RocksStore::copier() const {
  return [impl = impl_](const std::string& directory) { impl->copy_to(directory); };
}
void RocksStore::restore(RestoreSink& sink) {
  impl_->restore(sink);
}
void RocksStore::commit(std::shared_ptr<const Batch> batch, CommitDone done) {
  impl_->threads().enqueue(StoreThreads::Commit{std::move(batch), std::move(done)});
}
void RocksStore::read_queue(base::SessionId session, std::uint64_t from, std::size_t count,
                            std::size_t bytes, ReadDone done) {
  impl_->threads().enqueue(StoreThreads::Read{session, from, count, bytes, std::move(done)});
}
void RocksStore::read_records(RecordRange range, RecordsDone done) {
  impl_->threads().enqueue(StoreThreads::ReadRecords{std::move(range), std::move(done)});
}
void RocksStore::close() {
  impl_->close();
}
const std::string& RocksStore::quarantined() const {
  return impl_->quarantined_;
}

}  // namespace berth::session
