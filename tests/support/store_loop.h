// What a store's test needs of a shard: where completions arrive, and a sink that writes down what
// is restored.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "session/store.h"

namespace berth::session {

// Completions wait here until the test takes them, whatever thread they come from.
class Loop {
 public:
  Store::Poster poster() {
    return [this](std::function<void()> f) {
      const std::lock_guard lock(mutex_);
      posted_.push_back(std::move(f));
      ready_.notify_one();
    };
  }
  // True: a completion came.
  bool run_one_within(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    if (!ready_.wait_for(lock, limit, [this] { return !posted_.empty(); })) return false;
    auto f = std::move(posted_.front());
    posted_.pop_front();
    lock.unlock();
    f();
    return true;
  }
  void run_one() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        ready_.wait_for(lock, std::chrono::seconds(20), [this] { return !posted_.empty(); }));
    auto f = std::move(posted_.front());
    posted_.pop_front();
    lock.unlock();
    f();
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> posted_;
};

struct Contents : RestoreSink {
  std::string log;
  // The same with what is of one kind and follows one another in order: a store need not keep it.
  std::string sorted() const {
    std::vector<std::string> items;
    std::size_t at = 0;
    for (std::size_t end; (end = log.find(';', at)) != std::string::npos; at = end + 1) {
      items.push_back(log.substr(at, end + 1 - at));
    }
    auto run = items.begin();
    while (run != items.end()) {
      const auto end =
          std::find_if(run, items.end(), [&](const auto& i) { return i[0] != (*run)[0]; });
      std::sort(run, end);
      run = end;
    }
    std::string out;
    for (const std::string& i : items) out += i;
    return out;
  }
  void session(base::SessionId id, std::string_view r) override {
    log += "s" + std::to_string(id.value) + "=" + std::string(r) + ";";
  }
  void queue(base::SessionId id, const StoredEntry& a, const StoredEntry& b) override {
    log += "q" + std::to_string(id.value) + "=" + std::to_string(a.seq) + a.value + ".." +
           std::to_string(b.seq) + b.value + ";";
  }
  void received(base::SessionId id, std::uint16_t p, std::string_view) override {
    log += "r" + std::to_string(id.value) + "/" + std::to_string(p) + ";";
  }
  void retained(std::string_view k, std::string_view v) override {
    log += "t" + std::string(k) + "=" + std::string(v) + ";";
  }
  void applied(std::string_view k, std::string_view) override { log += "a" + std::string(k) + ";"; }
  void record(std::string_view k, std::string_view v) override {
    log += "e" + std::string(k) + "=" + std::string(v) + ";";
  }
  void forget_record(std::string_view k) override { log += "-e" + std::string(k) + ";"; }
  void forget(base::SessionId id) override { log += "-s" + std::to_string(id.value) + ";"; }
  void forget_retained(std::string_view k) override { log += "-t" + std::string(k) + ";"; }
  void forget_applied(std::string_view k) override { log += "-a" + std::string(k) + ";"; }
};

}  // namespace berth::session
