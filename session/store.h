// Where session state is durable. One Store per engine process, used by the engine's shard.
//
// Writes are collected in a Batch and committed together. Several commits may be under way: batches
// commit in the order given and each is atomic. `commit` and the reads return at once; their
// completions run on the shard (through the Poster given at construction), in order of completion.
// After an error of commit nothing of the batch is stored and the same batch may be given again.
//
// Fence (docs/design.md, "Two fences"): an owner's write carries its session's epoch. One with an
// older epoch than the stored one is skipped, see CommitResult::refused. Epoch 0 is not fenced.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "metrics/histogram.h"

namespace berth::session {

enum class WriteKind : std::uint8_t {
  put_session,      // session, epoch, value = record
  delete_session,   // session: record, queue, received ids
  append,           // session, seq, value = queue entry (also replaces one)
  remove,           // session, seq
  remove_through,   // session, all seq <= seq
  put_received,     // session, seq = packet id of a QoS 2 PUBLISH, value = where it came from
  remove_received,  // session, seq = packet id
  put_retained,     // key = topic, value = message
  remove_retained,  // key
  put_applied,      // key = edge, connection, offset; value = outcome
  remove_applied,   // key
  put_record,       // key, value
  remove_record,    // key
};

struct Write {
  WriteKind kind{};
  base::SessionId session;
  std::uint64_t seq = 0;
  std::uint64_t epoch = 0;
  std::string_view key;
  std::string_view value;
};

// An ordered list of writes with their bytes in one arena.
class Batch {
 public:
  void add(const Write& w) {
    const auto at = static_cast<std::uint32_t>(arena_.size());
    arena_.append(w.key).append(w.value);
    items_.push_back({w.kind, w.session, w.seq, w.epoch, at,
                      static_cast<std::uint32_t>(w.key.size()),
                      static_cast<std::uint32_t>(w.value.size())});
  }
  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  std::size_t bytes() const { return arena_.size(); }
  Write operator[](std::size_t i) const {
    const Item& it = items_[i];
    const std::string_view all = arena_;
    return {it.kind,
            it.session,
            it.seq,
            it.epoch,
            all.substr(it.at, it.key),
            all.substr(it.at + it.key, it.value)};
  }
  void clear() {
    items_.clear();
    arena_.clear();
  }

 private:
  struct Item {
    WriteKind kind;
    base::SessionId session;
    std::uint64_t seq;
    std::uint64_t epoch;
    std::uint32_t at;
    std::uint32_t key;
    std::uint32_t value;
  };
  std::vector<Item> items_;
  std::string arena_;
};

struct CommitResult {
  base::error_code error;
  std::vector<base::SessionId> refused;  // stale epochs
};

struct StoredEntry {
  std::uint64_t seq = 0;
  std::string value;
};

// One of the table of records (put_record), which is ordered by its keys, as bytes. A key that
// begins with kLiveRecord belongs to what the engine has in memory: restore() gives it. All others
// stay where they are until somebody reads them.
inline constexpr char kLiveRecord = '!';
struct StoredRecord {
  std::string key;
  std::string value;
};

// Keys from `from` to before `to`, in order or the other way round; at most `count` records and
// about `bytes` bytes of keys and values (at least one record).
struct RecordRange {
  std::string from;
  std::string to;
  std::size_t count = 100;
  std::size_t bytes = 256 * 1024;
  bool newest_first = false;  // from the end
};

// Receives what was stored, before the first commit. Sessions come before their queues. Each item
// comes once; in a planned move forget() takes an item back before it comes again.
class RestoreSink {
 public:
  virtual ~RestoreSink() = default;
  virtual void expect_sessions(std::size_t count) { (void)count; }  // about so many will come
  virtual void session(base::SessionId id, std::string_view record) = 0;
  // First and last entry of a queue that is not empty.
  virtual void queue(base::SessionId id, const StoredEntry& first, const StoredEntry& last) = 0;
  virtual void received(base::SessionId id, std::uint16_t packet_id, std::string_view value) = 0;
  virtual void retained(std::string_view key, std::string_view value) = 0;
  virtual void applied(std::string_view key, std::string_view value) = 0;
  virtual void record(std::string_view key, std::string_view value) { (void)key, (void)value; }
  // The item was given before and has changed since. If it is still stored it comes again.
  virtual void forget(base::SessionId id) { (void)id; }
  virtual void forget_retained(std::string_view key) { (void)key; }
  virtual void forget_applied(std::string_view key) { (void)key; }
  virtual void forget_record(std::string_view key) { (void)key; }
};

// Thrown by restore(): the content is damaged and has been moved aside; a new Store finds none.
struct StoreDamaged : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// REQUIRES: an engine restores before its first commit(); it calls no commit() and no read_queue()
// after close().
class Store {
 public:
  using Poster = std::function<void(std::function<void()>)>;  // runs the function on the shard
  using CommitDone = std::function<void(CommitResult)>;
  using ReadDone = std::function<void(base::result<std::vector<StoredEntry>>)>;
  using RecordsDone = std::function<void(base::result<std::vector<StoredRecord>>)>;

  virtual ~Store() = default;
  virtual void restore(RestoreSink& sink) = 0;  // blocking, any thread; throws StoreDamaged
  // REQUIRES: `batch` stays unchanged until `done` has run.
  virtual void commit(std::shared_ptr<const Batch> batch, CommitDone done) = 0;
  // Entries with seq >= from, in order, at most `count` and about `bytes` bytes (at least one).
  virtual void read_queue(base::SessionId session, std::uint64_t from, std::size_t count,
                          std::size_t bytes, ReadDone done) = 0;
  virtual void read_records(RecordRange range, RecordsDone done) = 0;
  // How long commits took to the host of the store and back; empty for a store in this process.
  // Any thread.
  virtual metrics::Histogram round_trips() const { return {}; }
  virtual void close() = 0;  // waits for what is under way, flushes
};

}  // namespace berth::session
