// Runs the sinks of an engine on a thread of their own: a library of a protocol may take its time,
// and the engine's loop waits for none. The thread begins with the first sink.
//
// Threads: the engine's loop, all of them. Ends: a sink whose library does not let go within
// kEndLimit is left behind with its thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "gateway/uplink/sink.h"

namespace berth::gateway::tracing {
class Tracer;
}

namespace berth::gateway::uplink {

class SinkThread {
 public:
  static constexpr std::chrono::milliseconds kEndLimit{300};

  // A message that the platform will never take.
  struct Refusal {
    std::uint32_t generation = 0;
    std::uint64_t seq = 0;
    std::string inside;     // its topic at Berth
    std::size_t bytes = 0;  // of its payload
    std::string why;
  };
  // As Sink::Events, on the engine's loop.
  struct Heard {
    std::function<void(bool)> ready;
    std::function<void(std::uint32_t generation, std::uint64_t seq)> done;
    std::function<void(const Refusal& r)> refused;
    std::function<void(Downward)> command;
    std::function<void()> rested;
  };

  // A sink on the thread.
  class Lane {
   public:
    ~Lane();  // the sink ends, a moment later; nothing is called any more
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;
    void take(Upward m);
    void rest();              // Sink::rest(); rested() follows
    SinkState state() const;  // as it was within the last quarter of a second

   private:
    friend class SinkThread;
    struct Shared;
    explicit Lane(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
    std::shared_ptr<Shared> shared_;
  };
  // Called on the thread of sinks, where `io` is, with events of that thread.
  using Make =
      std::function<std::unique_ptr<Sink>(boost::asio::io_context& io, const Sink::Events& events)>;

  explicit SinkThread(boost::asio::io_context& engine) : engine_(engine) {}
  // REQUIRES: no Lane is left.
  ~SinkThread();
  SinkThread(const SinkThread&) = delete;
  SinkThread& operator=(const SinkThread&) = delete;

  // With `tracer`: spans of what goes to `uplink`, whose protocol is `kind`. It outlives the lane.
  struct Traced {
    tracing::Tracer* tracer = nullptr;  // null: none
    std::string uplink;
    std::string kind;
  };
  std::unique_ptr<Lane> start(Make make, Heard heard, const Traced& traced);

 private:
  struct Running;
  boost::asio::io_context& engine_;
  std::shared_ptr<Running> running_;  // null: no sink has begun yet
};

}  // namespace berth::gateway::uplink
