// What inputs of connections have come to, where that must survive the engine: an input that a dead
// engine has committed and whose step its edge has not accepted is said again, and finds its
// outcome here instead of taking effect twice (docs/design.md, "Attach and replay"). Stored in the
// batch of the input; removed when the edge can't say the input again. One shard, one thread.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/meta_keys.h"
#include "session/session.h"
#include "session/turn_work.h"

namespace berth::session {

using AppliedList = std::vector<std::pair<std::uint64_t, std::string>>;

class ReplayLog final : private Room {
 public:
  ReplayLog(Context& cx, ConnectionTable& connections, CommitPipeline& commits)
      : Room(cx), connections_(connections), commits_(commits) {}

  // Outcomes in the store whose connection is not attached. attach() takes those of its connection;
  // those that are left when their edge has attached, or will not come, are removed from the store.
  auto& orphans() { return orphan_applied_; }
  // Edges (ids) that the previous engine served and that have not attached yet.
  auto& stored_edges() { return stored_edges_; }
  const auto& stored_edges() const { return stored_edges_; }

  // The key of its record in the store.
  std::string key_of(const Channel& ch, std::uint64_t offset) const;
  // Stores the outcome of the input that ends at `offset`; replaces an earlier outcome of it.
  void record(Channel& ch, std::string_view outcome, std::uint64_t offset);
  void record(Channel& ch, std::string_view outcome) { record(ch, outcome, ch.in_off); }
  // The outcome of a QoS 2 PUBLISH := 'p' session:varint*, the expiry-0 sessions it was stored for.
  void record_spilled(Channel& ch, const Deferred& d);
  // The outcome of the input that is being read. Null: no dead engine has committed that input.
  const std::string* outcome_of(const Channel& ch) const;
  // For which expiry-0 sessions a dead engine has stored this QoS 2 message.
  std::vector<base::SessionId> spilled_before(const Channel& ch) const;
  // How far a dead engine has come with this QoS 2 message to many; nothing: it is not said.
  std::optional<Fanout::Through> fanned_out_through(const Channel& ch) const;
  // The outcome that says: shared groups up to this route have it.
  static std::string fanned_out_groups(std::int64_t through);
  void remove_orphans_of(std::uint64_t edge_id);
  void remove_applied(const EdgeConn& conn, const AppliedList& list);

 private:
  ConnectionTable& connections_;
  CommitPipeline& commits_;
  boost::unordered_flat_map<EdgeConn, AppliedList> orphan_applied_;  // see orphans()
  boost::unordered_flat_set<std::uint64_t> stored_edges_;            // ids
};

}  // namespace berth::session
