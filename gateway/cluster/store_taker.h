// Makes an engine take its store, on threads of its own while the main thread goes on with its
// heartbeats: reading everything ahead of a planned move (warming), then the lease and the rest; or
// all at once. Calls and answers on the io_context's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "gateway/node/engine_setup.h"

namespace berth::gateway::cluster {

class StoreTaker {
 public:
  struct Taken {
    std::unique_ptr<metrics::EngineProbe> probe;  // the engine's
    std::unique_ptr<engine::EngineShard> engine;  // null: not taken
    StoreClaim claim;
    std::string why;
    std::string held_by;  // not empty: another engine has the lease
    bool config_error = false;
  };
  explicit StoreTaker(EngineParts parts) : parts_(std::move(parts)) {}
  ~StoreTaker();

  // Reads everything for the warming of this name; forgets what was read for another. Empty: there
  // is none.
  void follow(const std::string& name, std::uint64_t owner);
  // One at a time; `done` follows.
  void take(StoreClaim claim, std::function<void(Taken)> done);

 private:
  void warm_up(const std::string& name, std::uint64_t owner);
  void take_now(Taken& t);

  const EngineParts parts_;
  std::string name_;
  std::thread taker_;
  std::mutex mutex_;
  std::optional<WarmEngine> warm_;
  bool warming_ = false;
  std::thread warmer_;
};

}  // namespace berth::gateway::cluster
