// What the core says to clients, whatever protocol they speak: the answers to their inputs and the
// end of their connections. One shard, one thread.
#pragma once

#include <string_view>
#include <vector>

#include "protocol/link/types.h"
#include "protocol/mqtt/types.h"
#include "session/client_port.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/session.h"

namespace berth::session {

class Clients final : private Room {
 public:
  Clients(Context& cx, ConnectionTable& connections, CommitPipeline& commits)
      : Room(cx), connections_(connections), commits_(commits) {}

  // Connections that the edge has closed; end_connections() looks at them at the end of the turn.
  // An id may be there twice.
  std::vector<base::ConnId>& ending() { return ending_; }
  const std::vector<base::ConnId>& ending() const { return ending_; }

  // An input has taken effect.
  void answer(Channel& ch, const Deferred& d);
  // Answers an input that wrote nothing: behind what its channel has deferred.
  void defer_or_reply(Channel& ch, Deferred d);
  // An input of `ch` that was deferred has taken effect. After the last one its further input is
  // read.
  void end_deferral(Channel& ch);
  // Ends a connection for an error. `text`: what is wrong, for the log and the client; empty: as
  // the reason says. Looks at the state first: a connection ends once.
  void fail(Channel& ch, protocol::mqtt::Reason reason, protocol::link::CloseReason why,
            std::string_view text = {});
  // Adds `ch` to ending() if the edge has closed it. Callers call this whenever something changes
  // that SessionLife::end_connections() waits for.
  void end_soon(Channel& ch);

 private:
  ConnectionTable& connections_;
  CommitPipeline& commits_;
  std::vector<base::ConnId> ending_;  // see ending()
};

}  // namespace berth::session
