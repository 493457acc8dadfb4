// Whoever has the live records of the store in memory (store.h, kLiveRecord): what is restored goes
// there. Called before the first input.
#pragma once

#include <string_view>

namespace berth::session {

class LiveRecords {
 public:
  virtual void record(std::string_view key, std::string_view value) = 0;
  // In a planned move: the record has changed since, and comes again if it is still there.
  virtual void forget_record(std::string_view key) = 0;

 protected:
  ~LiveRecords() = default;
};

}  // namespace berth::session
