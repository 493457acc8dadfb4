// Session records as the store keeps them (records.proto). One shard, one thread.
#pragma once

#include <string>

#include "session/commit_pipeline.h"
#include "session/context.h"
#include "session/estates.h"
#include "session/router.h"
#include "session/session.h"

namespace berth::session {

class SessionRecords final : private Room {
 public:
  SessionRecords(Context& cx, Router& router, Estates& estates, CommitPipeline& commits)
      : Room(cx), router_(router), estates_(estates), commits_(commits) {}

  // As it was subscribed, "$share/group/" included.
  std::string raw_filter(const Subscription& sub);
  // The session's record as it is now, into the open batch; it is a stored one from then on.
  void put(Session& s);

 private:
  Router& router_;
  Estates& estates_;
  CommitPipeline& commits_;
};

}  // namespace berth::session
