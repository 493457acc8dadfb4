// Input that is kept until an engine has acknowledged it: whose it is, how much of it, when reading
// stops and goes on, and how long a packet may be unfinished. A room of the edge; the shard's
// thread.
//
// Limits and what happens at them: input before CONNACK 64 KiB (closed), unacknowledged input of a
// connection, of a holder and in all (InputBudget: reading stops), whole packets of a connection
// 2 MiB (reading stops), output that is not read, four times the cap (reading stops), a packet that
// does not come whole (closed).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "gateway/edge/arrivals.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/edge_context.h"
#include "gateway/edge/input_budget.h"
#include "protocol/mqtt/types.h"

namespace berth::gateway::edge {

class KeptInput final : private EdgeRoom {
 public:
  KeptInput(EdgeContext& cx, Arrivals& arrivals)
      : EdgeRoom(cx), arrivals_(arrivals), budget_(options_.input_cap_total, options_.input_cap) {}

  void keep(Connection& c, base::ByteView bytes);
  void uncount_input(Connection& c, std::size_t n);
  // An engine has let it in: its input counts for its holder from now on. Heartbeats that have
  // waited are answered.
  void log_in(Connection& c);
  void log_out(Connection& c);
  // Bytes, `most` or fewer.
  std::size_t room_to_read(const Connection& c, std::size_t most) const;
  // The peer has stopped reading its answers: its input is not read either.
  bool is_stalled_reader(const Connection& c) const;
  // Stops reading, or goes on, as the limits are now. `c` may be gone afterwards.
  void check_input_limits(Connection& c);
  void drop_place(Connection& c);

  // -- every second
  void watch_packets();
  void serve_line();     // of packets that wait for a place
  void go_on_reading();  // those that were stopped because of what there was in all

  // -- what engines say of input (link::EdgePort)
  void acknowledge(base::ConnId conn, std::uint64_t in_ack);
  void reoffer(base::ConnId conn);

  std::size_t bytes() const { return budget_.total(); }  // of those who have logged in

 private:
  void count_input(Connection& c, std::size_t n);
  bool should_stop(const Connection& c) const;
  bool may_go_on(const Connection& c) const;
  void set_reading(Connection& c, bool reading);
  void keep_place(Connection& c, std::size_t unfinished);
  void judge_packet(Connection& c);
  void relieve();
  void end_unfinished(Connection& c, std::uint64_t& counter, protocol::mqtt::Reason reason);

  Arrivals& arrivals_;
  InputBudget budget_;                  // of those who have logged in
  std::vector<std::uint32_t> watched_;  // slots: a packet of theirs has not come whole
  bool held_back_ = false;              // some are not read because of what there is in all
};

}  // namespace berth::gateway::edge
