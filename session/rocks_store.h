// The embedded store: RocksDB. One process holds it (a lock in the directory).
//
// Threads: one writer (commits, grouped: one Write with one sync for each batch) and one reader;
// completions run through the Poster. A failed commit (or less
// than 32 MiB of free disk) is tried again every 500 ms until
// it succeeds or close() is called; on_health tells of the change, on the writer's thread.
// Damage: a database that can't be opened or restored is moved aside to `<dir>.damaged-<time>` and
// an empty one is made (I10).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "session/store.h"

namespace berth::session {

struct RocksOptions {
  std::string directory;
  bool sync = true;  // durability: disk; false: process (survives kill -9, not power loss)
  std::function<void(bool healthy)> on_health;
};

class RocksStore : public Store {
 public:
  RocksStore(RocksOptions options, Poster post);  // opens; throws std::runtime_error
  ~RocksStore() override;
  void restore(RestoreSink& sink) override;
  void commit(std::shared_ptr<const Batch> batch, CommitDone done) override;
  void read_queue(base::SessionId session, std::uint64_t from, std::size_t count, std::size_t bytes,
                  ReadDone done) override;
  void close() override;
  // Where a damaged database was moved to at open; empty: it was sound.
  const std::string& quarantined() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth::session
