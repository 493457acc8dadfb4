// Output of connections: what engines and the edge itself say, until the socket has taken it. One
// write for each connection and turn; packets that are too late are dropped in front of the write
// (timed_output.h). A room of the edge; the shard's thread.
//
// A packet that is sent to fresh connections only (Deadline::fresh) is written in the turn in which
// it comes, or dropped.
//
// Limits: output of a connection (writable(): the engine is told to wait, and hears by credit()
// when there is room); packets with a deadline as in timed_output.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/ids.h"
#include "base/wall_clock.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/deadline_queue.h"
#include "gateway/edge/device_sockets.h"
#include "gateway/edge/edge_context.h"
#include "gateway/edge/kept_input.h"
#include "protocol/link/types.h"

namespace berth::gateway::edge {

class Output final : private EdgeRoom {
 public:
  Output(EdgeContext& cx, KeptInput& input, DeviceSockets& sockets)
      : EdgeRoom(cx),
        input_(input),
        sockets_(sockets),
        deadlines_(io_, [this] { on_deadline(); }) {}

  // By which deadlines pass, in the place of the machine's.
  void use_clock(base::WallClock clock) { clock_ = std::move(clock); }
  base::Instant deadline_now();

  // -- link::EdgePort. Of connections that are no more: nothing is done.
  void send(base::ConnId conn, std::string_view head, std::string_view tail);
  void send_until(base::ConnId conn, std::string_view head, std::string_view tail,
                  const protocol::link::Deadline& d);
  void told_taken(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate);
  bool writable(base::ConnId conn);
  void flush();

  // Writes what the socket takes; `c` may have ended afterwards.
  void write_out(Connection& c);
  // REQUIRES, all: c.timed.
  void drop_late(Connection& c);
  // Commands that were written and that the peer's kernel has not acknowledged.
  bool holds_up(Connection& c);
  // What the engine has not heard of its packets. Not within a call of the engine.
  void tell_fates(Connection& c);
  // Right behind EnginePort::attach(): which of its packets are undecided, and the fates of the
  // others, of commands.
  void list_commands(Connection& c);

  // Connections with watched packets whose deadline has passed: unwritten packets are dropped, and
  // a connection with a packet that is not acknowledged is reset. By a timer, and every second,
  // because the clock may have leapt.
  void look_at_deadlines();
  void cancel() { deadlines_.cancel(); }
  void watch(Connection& c);  // the same from now on. REQUIRES: c.timed

 private:
  bool write_some(Connection& c);  // false: the socket is broken
  bool write_part(Connection& c, std::size_t size);
  bool write_timed(Connection& c);
  void after_write(Connection& c);

  // output_deadlines.cc
  bool write_packets(Connection& c);
  void kernel_has_all(Connection& c);
  bool is_fresh(const Connection& c) const;
  void look_at(Connection& c, base::Instant now);
  void on_deadline();
  void count_fates(Connection& c);

  KeptInput& input_;
  DeviceSockets& sockets_;
  base::WallClock clock_;
  DeadlineQueue deadlines_;
};

}  // namespace berth::gateway::edge
