// What this partition keeps for others (ADR 10). Each of them is a session here, `$peer/N`: a
// device that has subscribed to what its own sessions have. Its queue keeps for it what it has not
// stored yet; by sequence numbers it takes each message once. So a message for a session elsewhere
// is durable here before its PUBACK, like every other. One shard, one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/string_map.h"
#include "session/commit_pipeline.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/router.h"
#include "session/session_records.h"
#include "session/session_table.h"

namespace berth::session {

class PeerQueues final : private Room {
 public:
  PeerQueues(Context& cx, Router& router, SessionTable& sessions, CommitPipeline& commits,
             SessionRecords& records, DeliveryQueues& queues)
      : Room(cx),
        router_(router),
        sessions_(sessions),
        commits_(commits),
        records_(records),
        queues_(queues),
        peer_routes_(options_.partitions) {}

  // Raw filter -> generation, of this partition.
  base::StringMap<std::uint32_t>& routes_of(std::uint32_t peer) { return peer_routes_[peer]; }
  // What the store has (meta_keys.h); restore_routes() uses it up.
  std::map<std::string, std::uint32_t>& stored_routes() { return stored_routes_; }

  // The queue entry for another partition. It is told by its tag what to do with it.
  void stage(Session& peer, Delivery& d, std::uint32_t group, bool retain_only);
  // Every partition keeps all retained messages, with or without subscribers there.
  void stage_retained(const Match& m, Delivery& d);
  // What is retained is kept for other partitions in their queues too, even with QoS 0.
  static bool keeps(const Delivery& d) { return d.message.qos != 0 || d.message.retain; }
  // False: `raw` is no filter.
  bool add_route(Session& s, std::string_view raw, std::uint32_t generation);
  void remove_route(Session& s, std::string_view raw);
  // Routes before inputs. What a partition is to get is kept from the first message on, also before
  // it has come for the first time.
  void restore_routes();

 private:
  Router& router_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  SessionRecords& records_;
  DeliveryQueues& queues_;
  std::vector<base::StringMap<std::uint32_t>>
      peer_routes_;                                     // by partition: raw filter -> generation
  std::map<std::string, std::uint32_t> stored_routes_;  // found in the store
};

}  // namespace berth::session
