// A planned replacement of the engine: the caller that waits for it, and why the last one was
// refused. Held by value by the Supervisor, on its thread.
#pragma once

#include <functional>
#include <string>
#include <utility>

namespace berth::gateway {

class Restart {
 public:
  void begin(std::function<void(bool ok)> done) { done_ = std::move(done); }
  bool under_way() const { return static_cast<bool>(done_); }
  // Calls the `done` of begin(). Does nothing if no replacement is under way.
  void end(bool ok) {
    if (done_) std::exchange(done_, nullptr)(ok);
  }
  void lacks(std::string why) { why_not_ = std::move(why); }
  const std::string& why_not() const { return why_not_; }

 private:
  std::function<void(bool)> done_;
  std::string why_not_;
};

}  // namespace berth::gateway
