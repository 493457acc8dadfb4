// Where an uplink's messages go: a platform, by one protocol. A sink keeps what take() has given it
// until the platform has it, over lost connections too; in its order for each key.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace berth::gateway::uplink {

// A message on its way.
struct Upward {
  static constexpr auto kNever = std::chrono::steady_clock::time_point::max();
  std::uint32_t generation = 0;  // with seq: by which it is told to be done
  std::uint64_t seq = 0;
  std::string inside;  // its topic at Berth; order_key() of it is what stays in order
  std::string topic;   // as the platform sees it
  std::string payload;
  std::string properties;  // of MQTT 5 that its publisher gave and that are passed on, encoded
  std::string id;          // the same whenever it is sent again
  bool retain = false;
  bool replay = false;  // it was sent before, and is sent again because somebody asked for it
  std::chrono::steady_clock::time_point expires = kNever;
};

// A command that the platform asks for, on its way down (docs/uplinks.md, "Commands").
struct Downward {
  std::string topic;  // as the platform sees it
  std::string payload;
  std::string correlation;         // Correlation Data; empty: none
  std::uint32_t expires_in_s = 0;  // 0: it says nothing
  std::function<void()> stored;    // once; any thread
};

struct SinkState {
  std::uint64_t connected = 0;    // connections
  std::uint64_t connections = 0;  // that there should be
  std::uint64_t failures = 0;     // connections that were lost or refused
  std::uint64_t refused = 0;      // messages that the platform will never take
  std::uint64_t expired = 0;      // messages that waited here for too long
  std::uint64_t unrouted = 0;     // messages that the platform took and has no place for
  std::string error;              // the last one, while something is wrong
};

class Sink {
 public:
  // Called on the sink's thread. For each message that was taken done() or refused() is called
  // once.
  struct Events {
    std::function<void(bool)> ready;  // take() may be called; at first it may not
    std::function<void(std::uint32_t generation, std::uint64_t seq)> done;
    // The platform will never take it.
    std::function<void(const Upward& m, const std::string& why)> refused;
    // Any thread: Paho holds its lock while it tells of one, for which the sink's may wait.
    std::function<void(Downward)> command;
    // After rest(), once: what has been sent is acknowledged, or its connection is gone.
    std::function<void()> rested;
  };
  // Its own thread only, all of them (sink_thread.h).
  virtual ~Sink() = default;
  virtual void take(Upward m) = 0;
  virtual SinkState state() const = 0;
  // The engine ends: what has not been sent is left to its successor.
  virtual void rest() = 0;
};

}  // namespace berth::gateway::uplink
