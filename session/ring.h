// A growing ring: push at the back, pop at either end, index from the front. It allocates with the
// first push; its capacity doubles; release() frees the memory. One thread.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "base/assert.h"

namespace berth::session {

template <class T>
class Ring {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // REQUIRES: i < size().
  T& operator[](std::size_t i) {
    BERTH_ASSERT(i < size_);
    return slots_[(head_ + i) & (capacity_ - 1)];
  }
  // REQUIRES: not empty; also back(), pop_front() and pop_back().
  T& front() { return (*this)[0]; }
  T& back() { return (*this)[size_ - 1]; }
  void push_back(T v) {
    if (size_ == capacity_) grow();
    slots_[(head_ + size_) & (capacity_ - 1)] = std::move(v);
    ++size_;
  }
  void pop_front() {
    front() = T{};
    head_ = (head_ + 1) & (capacity_ - 1);
    --size_;
  }
  void pop_back() {
    back() = T{};
    --size_;
  }
  // REQUIRES: empty().
  void release() {
    BERTH_ASSERT(size_ == 0);
    slots_.reset();
    capacity_ = head_ = 0;
  }
  void clear() {
    size_ = 0;
    release();
  }
  std::size_t capacity() const { return capacity_; }

 private:
  void grow() {
    const std::size_t n = capacity_ == 0 ? 4 : capacity_ * 2;
    auto bigger = std::make_unique<T[]>(n);
    for (std::size_t i = 0; i < size_; ++i) bigger[i] = std::move((*this)[i]);
    slots_ = std::move(bigger);
    capacity_ = n;
    head_ = 0;
  }
  std::unique_ptr<T[]> slots_;
  std::size_t capacity_ = 0;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace berth::session
