// Keeps a Registry like its store: a thread reads what has changed, once in a while, and writes
// what is asked for; the Registry is changed on the io_context's thread. While the store is away
// the Registry stays as it was.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gateway/registry/registry.h"
#include "gateway/registry/registry_store.h"

namespace berth::gateway::registry {

class RegistryFeed {
 public:
  // `changed`: something that had been there before has changed or gone, and whom that concerns; on
  // io's thread.
  using Changed = std::function<void(const session::Concerned&)>;
  RegistryFeed(boost::asio::io_context& io, std::unique_ptr<RegistryStore> store,
               Registry& registry, std::uint32_t refresh_ms, Changed changed);
  ~RegistryFeed();

  // Reads it in this thread, before anything else. Why not (logged too), empty: it has been read.
  std::string load();
  void start();

  // `f`, on io's thread, when what the store holds from now on has been read and the Registry has
  // it. While the store is away it waits.
  void when_fresh(std::function<void()> f);

  struct Outcome {
    enum What { done, unexpected, unavailable } what = done;
    std::string why;
    std::size_t written = 0;  // of the writes, the first so many
  };
  // When it is done the Registry has it too, and those that on_written() tells.
  boost::asio::awaitable<Outcome> write(std::vector<Write> writes);
  // `tell`, on io's thread, when records have been written: other processes of this gateway are to
  // read them. It calls `done` once, with a limit of its own; the outcome of the write waits for
  // it.
  using Tell = std::function<void(std::function<void()> done)>;
  void on_written(Tell tell) { tell_ = std::move(tell); }
  // What partitions of this process use, to be told to others; `heard` is called with what all say,
  // once in a while.
  void tell_usage(RegistryStore::Reports ours);
  void on_usage(std::function<void(RegistryStore::Reports)> heard) { heard_ = std::move(heard); }
  bool read_only() const { return store_->read_only(); }
  bool reachable() const { return reachable_; }
  std::string trouble() const;  // why the last reading failed; empty: it did not. Any thread

 private:
  struct Job {
    std::vector<Write> writes;
    std::function<void(Outcome)> done;
  };
  void work();
  bool read_once();  // all that there is
  void set_trouble(const std::string& why);
  void read_for_those_who_wait();
  void hand_over(Changes changes);
  void apply_later(Changes changes);
  void run(Job& job);
  void exchange_usage();
  boost::asio::awaitable<void> tell_others();
  void post(std::function<void()> f);

  boost::asio::io_context& io_;
  std::unique_ptr<RegistryStore> store_;  // the thread's, once it runs
  Registry& registry_;
  std::uint32_t refresh_ms_;
  Changed changed_;
  std::function<void(RegistryStore::Reports)> heard_;
  Tell tell_;  // empty: there are no others
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::atomic<bool> reachable_{false};
  bool told_away_ = false;
  std::string trouble_;  // under mutex_
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::optional<RegistryStore::Reports> usage_;
  std::vector<std::function<void()>> waiting_;  // as many as there are engines in this process
  bool asked_ = false;                          // by one of them, since the last try
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace berth::gateway::registry
