// Ends connections at a pace: all of them when an edge ends, or those with TLS, which no other
// process can take over. Held by value by the EdgeShard, on its thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "gateway/edge/connection_slab.h"
#include "gateway/edge/follower_types.h"
#include "protocol/link/records.h"

namespace berth::gateway::edge {

class Drain {
 public:
  enum class Which : std::uint8_t { all, tls };
  struct Calls {
    std::function<void(Connection&)> end;  // of one that is open
    std::function<void()> turn_ends;       // some have been ended
  };
  Drain(boost::asio::io_context& io, ConnectionSlab& slab, Calls calls)
      : slab_(slab), calls_(std::move(calls)), timer_(io) {}

  // Begins anew. `per_second` connections, or fewer where other edges let in fewer.
  void begin(Which which, std::uint32_t per_second, Elsewhere elsewhere);
  void cancel() { timer_.cancel(); }
  const Elsewhere& elsewhere() const { return elsewhere_; }
  // What all other edges could let in now (Setting::others_admit_per_s).
  void use_others(std::uint64_t admit_per_s) { others_admit_per_s_ = admit_per_s; }

 private:
  void step(std::uint32_t per_second);

  ConnectionSlab& slab_;
  Calls calls_;
  boost::asio::steady_timer timer_;
  Elsewhere elsewhere_;
  std::uint64_t others_admit_per_s_ = protocol::link::kUnbounded;
  std::size_t at_ = 0;  // the next slot
  Which which_ = Which::all;
};

}  // namespace berth::gateway::edge
