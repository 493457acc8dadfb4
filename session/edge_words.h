// Packets with Deadline::watch, from their sending to the durable consequence of what their edge
// says of them (docs/design.md, "Deadlines"). Keeps a connection that has ended from being released
// while a fate of its packets is to come or to be taken: so no fate is lost.
//
// Limits: what is kept for a connection is bounded by what the edge takes (64 watched packets
// undecided, gateway/edge/timed_output.h) and by how soon the observer answers. One shard, one
// thread.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "protocol/link/types.h"
#include "session/command_words.h"
#include "session/context.h"

namespace berth::session {

class EdgeWords final : private Room {
 public:
  explicit EdgeWords(Context& cx) : Room(cx) {}

  // `o` outlives the core. Without an observer fates are taken at once.
  void watch(CommandWords& o) { observer_ = &o; }
  // Effects::send_until() of a watched packet. REQUIRES: d.watch; the tag is not in use.
  bool send(base::ConnId conn, std::string_view head, std::string_view tail,
            const protocol::link::Deadline& d);

  // -- from the edge
  void told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate);
  void pending(base::ConnId conn, std::uint64_t tag);
  // From the observer; what follows from the fate is durable.
  void taken(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate);

  // Effects::release(), when no fate of the connection's packets is to come or to be taken any
  // more. REQUIRES: the core has forgotten the connection.
  void release(base::ConnId conn);
  void listed(std::uint32_t link);
  void lost(std::uint32_t link);  // forgets its connections
  void gone(std::uint32_t link);
  std::size_t connections() const { return open_.size(); }  // of which something is kept

 private:
  struct Packet {
    std::uint64_t tag = 0;
    bool decided = false;
    std::uint8_t untaken = 0;  // fates, a bit each
  };
  struct Open {
    std::vector<Packet> packets;
    bool release = false;
  };
  static Packet& packet(Open& o, std::uint64_t tag);

  CommandWords* observer_ = nullptr;
  boost::unordered_flat_map<std::uint64_t, Open> open_;  // by connection
};

}  // namespace berth::session
