// Items that wait for their turn, first in first out for each key, the keys in turn: who has a
// thousand items waiting delays the one item of another by one of its own. Not thread-safe.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

namespace berth::session {

template <class T>
class FairQueue {
 public:
  void push(std::uint64_t key, T item) {
    auto& list = lists_[key];
    if (!list) {
      list = std::make_unique<std::deque<T>>();
      turns_.push_back(key);
    }
    list->push_back(std::move(item));
    ++size_;
  }
  // REQUIRES: !empty()
  T pop() {
    const std::uint64_t key = turns_.front();
    turns_.pop_front();
    const auto at = lists_.find(key);
    T item = std::move(at->second->front());
    at->second->pop_front();
    --size_;
    if (at->second->empty()) {
      lists_.erase(at);
    } else {
      turns_.push_back(key);
    }
    return item;
  }
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

 private:
  boost::unordered_flat_map<std::uint64_t, std::unique_ptr<std::deque<T>>> lists_;
  std::deque<std::uint64_t> turns_;  // keys with items, each once
  std::size_t size_ = 0;
};

}  // namespace berth::session
