// What edges say of packets that carry commands (Deadline::watch), for the observer that decides
// the outcome of a command. Called on the shard's thread in the middle of a call into the core: an
// observer takes notes and calls no room, except Broker::command_word_taken().
//
// While its edge is attached, each packet that EdgeWords::send() has sent gets its fate, in front
// of or behind the end of its connection (SessionEvents::offline). An observer that keeps what it
// has sent over the death of an engine, or of a link, compares at listed(): of a connection that
// has been attached and whose edge watches (Effects::watches) a packet that is neither told() nor
// pending() has not reached the edge and never will, or its fate was taken. Of every other
// connection nothing is known and nothing follows: it has ended with its edge.
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "protocol/link/types.h"

namespace berth::session {

class CommandWords {
 public:
  // What has become of the packet. May come twice. When what follows from it is durable the
  // observer calls Broker::command_word_taken() with the same arguments, once for each fate; until
  // then each engine to come is told, and the edge keeps a connection that has ended.
  virtual void told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) = 0;
  // While connections are attached: the packet is in the output of the connection, told() follows.
  virtual void pending(base::ConnId conn, std::uint64_t tag) = 0;
  // The edge of this link has attached its connections, and told() and pending() have been called
  // for all that it had to say. For each edge when the engine begins to serve, then whenever a link
  // is there again. It may be called again without a link that broke.
  virtual void listed(std::uint32_t /*link*/) {}
  // The link broke: what its edge says of packets comes when it is there again.
  virtual void lost(std::uint32_t /*link*/) {}
  // The edge will not come back, or it is of a release that says no fates: none follows.
  virtual void gone(std::uint32_t /*link*/) {}

 protected:
  ~CommandWords() = default;
};

}  // namespace berth::session
