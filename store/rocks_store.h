// The embedded store: RocksDB. One process holds it (a lock in the directory).
//
// Threads: one writer (commits, grouped: one Write with one sync for each batch) and one reader;
// completions run through the Poster. A failed commit (or less
// than 32 MiB of free disk) is tried again every 500 ms until
// it succeeds or close() is called; on_health tells of the change, on the writer's thread.
// Damage: a database that can't be opened or restored, or whose place holds something else, is
// moved aside to `<dir>.damaged-<time>` and an empty one is made (I10). A log that was cut off ends
// where it is cut; what is missing by the mark beside the database (store_mark.h) is told to
// on_damage.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "session/store.h"
#include "store/health.h"

namespace berth::session {

inline constexpr int kFormatVersion = 1;  // of keys and values
inline constexpr const char* kFormatKey = "v";

// What the store has found out about itself at its start.
struct StoreCondition {
  std::string moved_to;                 // the database, which was damaged; empty: it is in use
  std::uint64_t writes_lost = 0;        // acknowledged by a process before, and not there any more
  std::uint64_t writes_lost_total = 0;  // of all starts since the mark beside the store was made
};

// There is no room on the disk to begin with. It is worth to try again.
struct StoreFull : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct RocksOptions {
  std::string directory;
  bool sync = true;  // durability: disk; false: process (survives kill -9, not power loss)
  HealthTold on_health;
  // By the constructor, and by restore() if it finds damage.
  std::function<void(const StoreCondition&)> on_condition;
};

class RocksStore : public Store {
 public:
  // Opens; throws StoreFull, or std::runtime_error.
  RocksStore(RocksOptions options, Poster post);
  ~RocksStore() override;
  void restore(RestoreSink& sink) override;
  void commit(std::shared_ptr<const Batch> batch, CommitDone done) override;
  void read_queue(base::SessionId session, std::uint64_t from, std::size_t count, std::size_t bytes,
                  ReadDone done) override;
  void read_records(RecordRange range, RecordsDone done) override;
  void close() override;
  // Where a damaged database was moved to at open; empty: it was sound.
  const std::string& quarantined() const;
  // Makes copies of the database (rocks_copies.h). Blocking, any thread; throws std::runtime_error,
  // also when this store is closed or has ended.
  using Copier = std::function<void(const std::string& directory)>;
  Copier copier() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // copiers share it
};

}  // namespace berth::session
