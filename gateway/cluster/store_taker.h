// Makes an engine with its store, on threads of its own; the main thread goes on with its
// heartbeats. In a planned move it reads the store ahead (warming), then takes the lease and reads
// what has changed; else it takes the lease and reads all. Calls and answers on the io_context's
// thread.
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
    std::string held_by;  // the engine that holds the lease; empty: none
    bool config_error = false;
  };
  explicit StoreTaker(EngineParts parts) : parts_(std::move(parts)) {}
  ~StoreTaker();

  // Reads the store for the warming of this name; forgets what was read for another. Empty: there
  // is no warming.
  void follow(const std::string& name, std::uint64_t owner);
  // `done` runs on the io_context's thread. REQUIRES: no other take() waits for its `done`.
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
