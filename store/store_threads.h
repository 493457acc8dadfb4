// The two threads of a store that blocks: one writes what is committed, in order, one reads queues
// and records. Made and closed on the shard; enqueue() on the shard; the handlers run on the
// threads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>

#include "session/store.h"

namespace berth::session {

class StoreThreads {
 public:
  struct Commit {
    std::shared_ptr<const Batch> batch;
    Store::CommitDone done;
  };
  struct Read {
    base::SessionId session;
    std::uint64_t from;
    std::size_t count;
    std::size_t bytes;
    Store::ReadDone done;
  };
  struct ReadRecords {
    RecordRange range;
    Store::RecordsDone done;
  };
  struct Handlers {
    std::function<void(Commit&)> write;
    std::function<void(Read&)> read;
    std::function<void(ReadRecords&)> read_records;
    std::function<void()> idle;               // on the writer, when nothing came for idle_after
    std::chrono::milliseconds idle_after{0};  // 0: never
  };

  void start(Handlers handlers);
  void enqueue(Commit c);
  void enqueue(Read r);
  void enqueue(ReadRecords r);
  // For a handler that tries again. False: close() was called, give up.
  bool pause(std::chrono::milliseconds time);
  bool closing();
  // Handles what is queued, then joins the threads. `wake`: called after closing() has become true.
  void close(const std::function<void()>& wake = {});

 private:
  void write_loop();
  void read_loop();

  Handlers handlers_;
  std::mutex mutex_;
  std::condition_variable write_ready_;
  std::condition_variable read_ready_;
  std::condition_variable closing_now_;
  std::deque<Commit> commits_;
  std::deque<std::variant<Read, ReadRecords>> reads_;
  bool closing_ = false;
  std::thread writer_;
  std::thread reader_;
};

}  // namespace berth::session
