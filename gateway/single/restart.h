// A planned replacement of the engine: the caller that waits for it, why the last one was refused,
// and the settings of engines to come, which are those of the engine that served last when a
// replacement fails. Held by value by the Supervisor, on its thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

namespace berth::gateway {

class Restart {
 public:
  using Settings = std::map<std::string, std::string>;  // variables of the environment
  explicit Restart(Settings settings) : settings_(std::move(settings)), proven_(settings_) {}

  const Settings& settings() const { return settings_; }
  void try_with(Settings settings) { settings_ = std::move(settings); }
  void take_back() { settings_ = proven_; }
  void begin(std::function<void(bool ok)> done) { done_ = std::move(done); }
  bool under_way() const { return static_cast<bool>(done_); }
  // `ok`: an engine with these settings serves. Calls the `done` of begin(), if a replacement is
  // under way.
  void end(bool ok) {
    ok ? void(proven_ = settings_) : take_back();
    if (done_) std::exchange(done_, nullptr)(ok);
  }
  void lacks(std::string why) { why_not_ = std::move(why); }
  const std::string& why_not() const { return why_not_; }

 private:
  Settings settings_;
  Settings proven_;
  std::function<void(bool)> done_;
  std::string why_not_;
};

}  // namespace berth::gateway
