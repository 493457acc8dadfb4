// What comes from other partitions (ADR 10): each message is taken once, by the number its
// partition gave it, and answered when it is durable. One shard, one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "protocol/link/types.h"
#include "session/commit_pipeline.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/distributor.h"
#include "session/estates.h"
#include "session/peer_tag.h"
#include "session/retained_delivery.h"
#include "session/route_book.h"
#include "session/wills.h"

namespace berth::session {

class PeerIntake final : private Room {
 public:
  PeerIntake(Context& cx, std::vector<Source>& sources, Estates& estates, CommitPipeline& commits,
             RouteBook& route_book, RetainedDelivery& retained_delivery, Distributor& distributor,
             Wills& wills)
      : Room(cx),
        sources_(sources),
        estates_(estates),
        commits_(commits),
        route_book_(route_book),
        retained_delivery_(retained_delivery),
        distributor_(distributor),
        wills_(wills) {}

  // Found in the store: messages up to `seq` have been taken.
  void restore(std::uint64_t source, std::uint64_t seq) {
    if (source < sources_.size()) sources_[source].taken = sources_[source].durable = seq;
  }

  // The partition numbers its messages anew.
  void begin_source(std::uint32_t source);
  // `seq` 0: QoS 0. Taken once for each number; `done` when it is durable.
  void publish(std::uint32_t source, std::uint64_t seq, const PeerTag& tag, const MessageView& m,
               base::Instant now, std::function<void()> done);
  // The message has killed engines (I12): it is marked as taken and delivered to no session. With
  // kWillSource as its source it is a will whose publication has begun: call this before
  // attached_all().
  void skip(protocol::link::ForwardedWork w);

 private:
  void remember_taken(std::uint32_t source, std::uint64_t seq);

  std::vector<Source>& sources_;
  Estates& estates_;
  CommitPipeline& commits_;
  RouteBook& route_book_;
  RetainedDelivery& retained_delivery_;
  Distributor& distributor_;
  Wills& wills_;
};

}  // namespace berth::session
