// PUBLISHes to many receivers, or of many bytes in all (Fanout in turn_work.h), a part in each
// turn: first staging, a bounded part in each batch, then, when all of it is durable, spreading.
// The publisher's channel is stalled all the while. Places are limited and shared fairly
// (FanoutPlaces). One shard, one thread.
#pragma once

#include <cstdint>
#include <deque>

#include "session/client_port.h"
#include "session/clients.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/distributor.h"
#include "session/fanout_places.h"
#include "session/replay_log.h"
#include "session/session_table.h"
#include "session/turn_work.h"

namespace berth::session {

class WideFanouts final : private Room {
 public:
  WideFanouts(Context& cx, FanoutPlaces& fanouts, CommitSink& sink, std::deque<Deferred>& staging,
              ConnectionTable& connections, SessionTable& sessions, CommitPipeline& commits,
              Clients& clients, ReplayLog& replay, Distributor& distributor)
      : Room(cx),
        sink_(sink),
        staging_(staging),
        connections_(connections),
        sessions_(sessions),
        commits_(commits),
        clients_(clients),
        replay_(replay),
        distributor_(distributor),
        fanouts_(fanouts) {}

  bool is_spreading() const { return !spreading_.empty(); }
  // Forgets the Fanouts that connections of this link have begun.
  void drop_link(std::uint32_t link);

  // Must a message of so many bytes for these receivers go through here?
  static bool is_fanout(const Match& m, std::uint8_t qos, std::size_t bytes) {
    const std::size_t n = m.targets.size() + m.groups.size();  // of a group one member
    return n > 1 && (n > Fanout::kReceivers || (qos != 0 && n * bytes > Fanout::kBytes));
  }
  // False: its publisher has to wait, for its own commits or until another one is done. It is
  // offered its turn again with others that rest, tenants in turn.
  bool may_begin(Channel& ch);
  // `through`: the receivers that have had it (of a QoS 2 message, before an engine died).
  void begin(const Match& m, Delivery& d, Deferred out, Fanout::Through through);
  // Is a QoS 2 message of this connection being staged for many, or will it be, from where a dead
  // engine has come to? Its packet id is stored since the first part: on another connection the
  // message would pass for one that has been taken, and be answered before all of it is durable.
  bool has_unstaged(const Channel& ch) const;
  void stage_some(base::Instant now);
  // What had to be durable is. The acknowledgement leaves before the other copies: what a crash
  // takes of these is lost and never doubled.
  void spread(Deferred d, base::Instant now);
  void spread_some(base::Instant now);

 private:
  // True: all of it is staged.
  bool stage_part(Deferred& d);
  // True: one member of each shared group has it, or will get it at once. The groups are looked up
  // anew: members, and groups, may have come and gone since the last part.
  bool stage_some_groups(Deferred& d, Delivery& delivery);
  bool spread_part(Deferred& d, base::Instant now);

  CommitSink& sink_;
  std::deque<Deferred>& staging_;
  ConnectionTable& connections_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  Clients& clients_;
  ReplayLog& replay_;
  Distributor& distributor_;
  FanoutPlaces& fanouts_;
  std::deque<Deferred> spreading_;
};

}  // namespace berth::session
