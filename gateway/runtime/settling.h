// When files that change are read: once they have stayed as they are for a while, or, of files that
// never do, after the longest wait. A file that is missing is waited for as long: whoever replaces
// files one by one has a moment without one. Time is an argument; one thread.
#pragma once

#include <cstdint>
#include <utility>

#include "gateway/runtime/file_set.h"

namespace berth::gateway::runtime {

class Settling {
 public:
  struct Options {
    std::int64_t quiet_ns = 1'000'000'000;
    std::int64_t longest_ns = 10'000'000'000;
  };
  Settling() = default;
  explicit Settling(Options o) : options_(o) {}

  // As they were when they were read last.
  void read(SetStamp stamp) {
    read_ = std::move(stamp);
    waits_ = false;
  }
  // As they are at `now_ns`, looked at again and again. True: it is time to read them; read() comes
  // next.
  bool due(const SetStamp& seen, std::int64_t now_ns) {
    if (seen == read_) {
      waits_ = false;
      return false;
    }
    if (!waits_) first_ns_ = now_ns;
    if (!waits_ || seen != last_) since_ns_ = now_ns;
    waits_ = true;
    last_ = seen;
    if (now_ns - first_ns_ >= options_.longest_ns) return true;
    return !seen.missing && now_ns - since_ns_ >= options_.quiet_ns;
  }
  bool waits() const { return waits_; }  // for files that are changing

 private:
  Options options_;
  SetStamp read_;
  SetStamp last_;
  bool waits_ = false;
  std::int64_t first_ns_ = 0;  // the first change that was not read
  std::int64_t since_ns_ = 0;  // they are as they are
};

}  // namespace berth::gateway::runtime
