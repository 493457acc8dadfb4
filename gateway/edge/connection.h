// One device connection as the edge sees it: a descriptor, bytes with offsets, a cookie. Lives in
// the EdgeShard's slab from accept to the engine's release(). About 200 bytes when idle.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/address.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "gateway/edge/input_budget.h"
#include "gateway/edge/layers.h"
#include "gateway/edge/listener.h"
#include "gateway/edge/stream_follower.h"
#include "gateway/edge/timed_output.h"
#include "protocol/link/types.h"

namespace berth::gateway::edge {

struct Connection {
  static constexpr std::uint8_t kUnplaced = 255;  // its CONNECT has not been seen whole
  static constexpr InputBudget::Holder kNoHolder = UINT32_MAX;  // has not logged in
  enum class State : std::uint8_t {
    free,
    open,     // socket alive
    closing,  // output is being flushed, then the socket is closed
    ended     // socket closed; waits for the engine's release
  };

  int fd = -1;
  InputBudget::Holder holder = kNoHolder;
  SSL* tls = nullptr;  // owned; null: plain
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  std::uint32_t attach_epoch = 0;
  State state = State::free;
  protocol::link::CloseReason reason = protocol::link::CloseReason::client;
  bool attached = false;      // the present engine knows it
  bool connected = false;     // CONNACK with success has been accepted from an engine
  bool waiting = false;       // has spoken and has no CONNACK yet
  bool want_write = false;    // EPOLLOUT is armed
  bool reading = true;        // EPOLLIN is armed
  bool dirty = false;         // in the list of connections to flush
  bool engine_waits = false;  // the engine was told "not writable"
  bool loopback = false;
  bool counted = false;  // among its address' connections
  bool said = false;     // an engine ends it, and has logged why
  bool watched = false;  // in the list of connections with an unfinished packet
  Place place = Place::none;
  Transport transport = Transport::mqtt;
  std::uint8_t version = 0;
  std::uint8_t greeting = 0;           // bytes of our GREETING, which stand in front of its input
  std::uint8_t partition = kUnplaced;  // whose engine serves it
  std::uint16_t peer_port = 0;
  base::Address peer;
  std::uint32_t closing_since_s = 0;
  std::uint32_t packet_since_s = 0;       // when the packet at packet_at was first seen unfinished
  std::size_t place_size = 0;             // of the packet that has a place, or waits for one
  std::uint64_t packet_at = 0;            // where in the input
  StreamFollower follower;                // of what `transport` speaks
  protocol::link::PrincipalId principal;  // of the engine that let it in; not set: none has yet
  std::uint64_t tenant = 0;               // its number, 0: none
  std::uint8_t deaths = 0;                // of engines that worked for it
  bool anonymous = false;                 // the principal is its address
  bool held = false;                      // its input waits for a probation (probation.h)
  std::uint64_t in_off = 0;               // received
  std::uint64_t in_ack = 0;               // acknowledged by steps: `in` begins here
  std::uint64_t out_off = 0;              // engine output accepted
  std::uint64_t sent = 0;                 // bytes written, our own answers too; for the log
  std::uint64_t credited = 0;             // of out_off, last told to the engine as written
  std::string in;                         // received and not acknowledged
  std::string out;                        // to be written, from out_at
  std::size_t out_at = 0;
  std::unique_ptr<protocol::link::Cookie> cookie;
  std::unique_ptr<std::string> fault;  // what the edge has found wrong with its bytes
  std::unique_ptr<std::string> early;  // answers to heartbeats before CONNACK, which go behind it
  std::unique_ptr<Layers> layers;      // null: MQTT is next to the socket, or to TLS
  std::unique_ptr<TimedOutput> timed;  // null: no deadline is pending

  base::ConnId id() const { return {slot, generation}; }
  std::size_t unsent() const { return out.size() - out_at; }
  StreamFacts facts() const { return {tls != nullptr, connected, version}; }
  bool at_boundary() const { return follower.at_boundary(); }
  // As the follower's.
  std::size_t unfinished() const { return follower.unfinished(); }
  std::size_t packet_size() const { return follower.packet_size(); }
  // In `in`. An incomplete packet has no effect on an engine.
  bool has_whole_packet() const {
    return !in.empty() && follower.has_whole_packet(base::as_bytes(in));
  }
  bool all_sent() const { return unsent() == 0 && (layers == nullptr || layers->unsent() == 0); }
};

}  // namespace berth::gateway::edge
