// A Store in memory: what the contract suite compares the others with, and the stub of Broker
// tests. Completions run through the Poster. Not thread-safe.
#pragma once

#include <map>
#include <string>

#include "session/store.h"

namespace berth::session {

class MemoryStore : public Store {
 public:
  explicit MemoryStore(Poster post) : post_(std::move(post)) {}
  void restore(RestoreSink& sink) override;
  void commit(std::shared_ptr<const Batch> batch, CommitDone done) override;
  void read_queue(base::SessionId session, std::uint64_t from, std::size_t count, std::size_t bytes,
                  ReadDone done) override;
  void read_records(RecordRange range, RecordsDone done) override;
  void close() override {}

  // The next `n` commits fail as a full disk would.
  void fail_commits(int n) { failing_ = n; }

 private:
  void apply(const Write& w, CommitResult& result);
  struct Record {
    std::uint64_t epoch = 0;
    std::string value;
  };
  Poster post_;
  int failing_ = 0;
  std::map<std::uint64_t, Record> sessions_;
  std::map<std::uint64_t, std::map<std::uint64_t, std::string>> queues_;
  std::map<std::uint64_t, std::map<std::uint64_t, std::string>> received_;
  std::map<std::string, std::string, std::less<>> retained_;
  std::map<std::string, std::string, std::less<>> applied_;
  std::map<std::string, std::string, std::less<>> records_;
};

}  // namespace berth::session
