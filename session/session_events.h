// What happens to sessions, for observers (presence, outcomes of commands). Called on the shard's
// thread in the middle of a call into the core: an observer takes notes and calls no room. An event
// is not durable yet: the next engine may report it again.
#pragma once

#include <cstdint>

#include "protocol/link/types.h"
#include "session/quota.h"
#include "session/session.h"

namespace berth::session {

// Why a session has no connection any more.
enum class Offline : std::uint8_t {
  disconnect,  // the device said so
  device,      // the device otherwise: closed, silent, broke the protocol
  us,          // the gateway: drain, engine absent, edge gone
  taken_over,  // another connection has the session
  removed,     // the registry has removed its device, or has it elsewhere
  edge_lost,   // its edge is out of reach; the connection may well be alive
  kicked,      // an operator has ended it
};

// What has become of a message that stood in a session's queue.
enum class Finished : std::uint8_t {
  acknowledged,  // PUBACK, PUBCOMP, RECEIVED
  refused,       // PUBREC with an error
  dropped,       // for a newer one: the queue was full
  replaced,      // for a newer one of its slot (DeliveryQueues::append)
  denied,        // its rights are gone
  expired,       // its Message Expiry or deadline has passed
  unsendable,    // too large for the device, or of another protocol
};

// Nothing is told of what an engine restores: an observer that keeps something over the death of an
// engine compares it with the sessions there are when all edges have attached. After the death of
// edge and engine a session that was online is offline without a word.
class SessionEvents {
 public:
  virtual void online(const Session& s) = 0;
  virtual void offline(const Session& s, Offline cause) = 0;
  // Once for each sequence number of the session's queue. `entry` still has its QoS, and its
  // message where the queue had it in memory; of one that was in the store only, dropped or
  // replaced there, it has no message, and the QoS if it was replaced.
  virtual void finished(const Session& s, std::uint64_t seq, const OutEntry& entry,
                        Finished how) = 0;
  // The session is about to be forgotten, with its queue: finished() does not follow for what is in
  // it.
  virtual void ended(const Session& s) = 0;
  // A log-in, after the check of who it is; `ch` has its CONNECT or HELLO still.
  virtual void refused(const Channel&, protocol::mqtt::Reason) {}
  // A message of this client finds a quota used up: for each message, so an observer must be quick.
  virtual void limited(const Channel&, Quota) {}
  // Before offline(), while the session still has its channel. `why`: what the edge says of the
  // end, or we; CloseReason::count: not known yet.
  virtual void connection_ends(const Session&, Offline, protocol::link::CloseReason /*why*/) {}

 protected:
  ~SessionEvents() = default;
};

}  // namespace berth::session
