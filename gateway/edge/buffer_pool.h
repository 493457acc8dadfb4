// Memory of output and input buffers that are empty, for connections that are about to fill one: an
// idle connection owns none. Held by value by the EdgeShard, on its thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/give_back.h"

namespace berth::gateway::edge {

class BufferPool {
 public:
  static constexpr std::size_t kBuffersMax = 1024;
  static constexpr std::size_t kBufferMax = 64 * 1024;  // bytes; greater ones are freed

  // Gives an empty buffer without memory the memory of another one, if there is any.
  void borrow(std::string& buffer) {
    if (!buffer.empty() || buffer.capacity() >= kWorthIt || buffers_.empty()) return;
    buffer = std::move(buffers_.back());
    buffers_.pop_back();
  }
  // Empties `buffer`, which owns no memory afterwards.
  void recycle(std::string& buffer) {
    buffer.clear();
    if (buffer.capacity() >= kWorthIt && buffer.capacity() <= kBufferMax &&
        buffers_.size() < kBuffersMax) {
      buffers_.push_back(std::move(buffer));
    }
    base::give_back(buffer);
  }

 private:
  static constexpr std::size_t kWorthIt = 64;  // bytes
  std::vector<std::string> buffers_;
};

}  // namespace berth::gateway::edge
