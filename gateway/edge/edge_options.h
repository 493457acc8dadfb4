// What an EdgeShard is told once. Apart from edge_shard.h: the configuration needs no socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "gateway/edge/address_limit_options.h"

namespace berth::gateway::edge {

class Passages;

struct Network {
  base::Address address;
  unsigned bits = 128;  // of the 128, also for IPv4
  bool has(const base::Address& a) const { return a.prefix(bits) == address.prefix(bits); }
};

struct EdgeOptions {
  Passages* passages = nullptr;  // of the process; outlives the edge. Null: not recorded
  std::uint32_t max_connections = 100'000;
  std::size_t input_cap = 16u << 20;  // bytes per connection; must exceed Maximum Packet Size
  std::size_t input_cap_total = 512u << 20;  // bytes in all, of those who have logged in
  std::uint32_t packet_timeout_s = 60;       // a packet begun is whole by then, or moves on
  BeforeLoginOptions before_login;
  std::uint32_t lingering_max = 256;  // sockets of ended connections, see lingering.h
  std::size_t output_cap = 1u << 20;  // bytes per connection before the engine must wait
  std::uint32_t connect_timeout_s = 10;
  std::uint32_t engine_absent_max_s = 120;
  std::uint32_t user_timeout_ms = 10'000;  // TCP_USER_TIMEOUT
  std::uint32_t fresh_s = 60;  // a device without Keep Alive that has said nothing for longer gets
                               // no packet with Deadline::fresh; 0: it always does
  std::uint32_t quarantine_s = 600;
  std::string quarantine_directory;  // where input that kills engines is kept; empty: nowhere
  std::uint32_t accept_per_s = 0;    // connections accepted a second at most, 0: as engines answer
  std::uint32_t partitions = 1;      // of the gateway; each may have an engine of its own
  std::string ws_path = "/mqtt";     // what WebSockets ask for
  std::string ws_origins;            // of pages that may do so, with commas; empty: none
  std::vector<Network> proxies;      // who may send PROXY headers; empty: anybody
};

}  // namespace berth::gateway::edge
