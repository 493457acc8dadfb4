// What every room of an edge shard may use (docs/ARCHITECTURE.md, "Rooms of the edge"): options,
// counters, the epoll set, connections and engines. One shard, one thread.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "gateway/edge/address_limits.h"
#include "gateway/edge/before_login.h"
#include "gateway/edge/buffer_pool.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/connection_slab.h"
#include "gateway/edge/edge_options.h"
#include "gateway/edge/engines.h"
#include "gateway/edge/listener.h"
#include "gateway/edge/quarantine.h"
#include "gateway/io/poller.h"
#include "metrics/probe.h"
#include "protocol/link/types.h"
#include "protocol/mqtt/types.h"

namespace berth::gateway::edge {

// How many connections there are.
struct ConnectionCounts {
  std::size_t open = 0;                                        // sockets
  std::array<std::size_t, kTransports.size()> by_transport{};  // of these
  std::size_t connected = 0;                                   // logged in
  std::size_t waiting = 0;  // whose CONNECT, come whole, no engine has answered
  std::size_t tls = 0;

  void set_waiting(Connection& c, bool is_waiting) {
    if (std::exchange(c.waiting, is_waiting) == is_waiting) return;
    waiting += is_waiting ? 1u : std::size_t(-1);
  }
};

// What a room asks of rooms that come after it; the EdgeShard passes it on. Never on a packet's
// way.
class EdgeCalls {
 public:
  // Closes the socket and tells the engine. `c` may be gone afterwards.
  virtual void end(Connection& c, protocol::link::CloseReason reason) = 0;
  // Ends it when its output has been written.
  virtual void begin_close(Connection& c, protocol::link::CloseReason reason) = 0;
  // Says why where the protocol has words for it, and ends it.
  virtual void dismiss(Connection& c, protocol::mqtt::Reason why,
                       protocol::link::CloseReason reason) = 0;
  // Reads in a later turn what epoll does not know of: bytes that TLS or a WebSocket holds.
  virtual void read_later(Connection& c) = 0;

 protected:
  ~EdgeCalls() = default;
};

// Owned by the EdgeShard; outlives all rooms.
struct EdgeContext {
  EdgeContext(boost::asio::io_context& io_context, EdgeOptions o, metrics::EdgeProbe& p,
              io::Poller::Handler& handler, EdgeCalls& c, AddressLimits* l)
      : options(std::move(o)),
        probe(p),
        io(io_context),
        poller(io_context, handler),
        calls(c),
        limits(l),
        before_login(options.before_login),
        engines(options.partitions) {}
  EdgeContext(const EdgeContext&) = delete;
  EdgeContext& operator=(const EdgeContext&) = delete;

  EdgeOptions options;
  metrics::EdgeProbe& probe;
  boost::asio::io_context& io;
  io::Poller poller;
  EdgeCalls& calls;
  AddressLimits* limits;             // of all shards; null: none
  BeforeLogin before_login;          // memory of connections that have not logged in
  Quarantine* quarantine = nullptr;  // of the process; null: none
  Engines engines;
  ConnectionSlab slab;
  BufferPool buffers;
  ConnectionCounts counts;
  std::vector<std::uint32_t> dirty;  // slots of connections to flush at the turn's end
  std::uint32_t now_s = 0;           // at the last tick, monotonic
};

// The EdgeContext by the names that the rooms' functions use.
class EdgeRoom {
 protected:
  explicit EdgeRoom(EdgeContext& cx)
      : options_(cx.options),
        probe_(cx.probe),
        io_(cx.io),
        poller_(cx.poller),
        calls_(cx.calls),
        limits_(cx.limits),
        before_login_(cx.before_login),
        quarantine_(cx.quarantine),
        engines_(cx.engines),
        slab_(cx.slab),
        buffers_(cx.buffers),
        counts_(cx.counts),
        dirty_(cx.dirty),
        now_s_(cx.now_s) {}
  ~EdgeRoom() = default;
  EdgeRoom(const EdgeRoom&) = delete;
  EdgeRoom& operator=(const EdgeRoom&) = delete;

  // Its output is written at the end of the turn.
  void mark_dirty(Connection& c) {
    if (c.dirty) return;
    c.dirty = true;
    dirty_.push_back(c.slot);
  }
  // Tells epoll what `c` waits for, after a change of reading, want_write or state.
  void set_interest(Connection& c) {
    if (c.fd < 0) return;
    const bool read = c.reading && c.state == Connection::State::open;
    poller_.modify(c.fd, c.id().packed(), (read ? EPOLLIN : 0u) | (c.want_write ? EPOLLOUT : 0u));
  }

  void end(Connection& c, protocol::link::CloseReason reason) { calls_.end(c, reason); }
  void begin_close(Connection& c, protocol::link::CloseReason reason) {
    calls_.begin_close(c, reason);
  }

  EdgeOptions& options_;
  metrics::EdgeProbe& probe_;
  boost::asio::io_context& io_;
  io::Poller& poller_;
  EdgeCalls& calls_;
  AddressLimits* limits_;
  BeforeLogin& before_login_;
  Quarantine*& quarantine_;
  Engines& engines_;
  ConnectionSlab& slab_;
  BufferPool& buffers_;
  ConnectionCounts& counts_;
  std::vector<std::uint32_t>& dirty_;
  std::uint32_t& now_s_;
};

}  // namespace berth::gateway::edge
