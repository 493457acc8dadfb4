// A message from a client that may say it: once each, retained or not, staged or run, and when it
// is acknowledged. One shard, one thread.
#pragma once

#include <cstdint>

#include "protocol/mqtt/codec.h"
#include "session/client_port.h"
#include "session/clients.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/distributor.h"
#include "session/meter.h"
#include "session/order_clock.h"
#include "session/peer_queues.h"
#include "session/replay_log.h"
#include "session/retained_delivery.h"
#include "session/wide_fanouts.h"

namespace berth::session {

class Intake final : private Room {
 public:
  Intake(Context& cx, OrderClock& order_clock, ConnectionTable& connections,
         CommitPipeline& commits, Clients& clients, ReplayLog& replay, Meter& meter,
         PeerQueues& peer_queues, RetainedDelivery& retained_delivery, Distributor& distributor,
         WideFanouts& wide_fanouts)
      : Room(cx),
        order_clock_(order_clock),
        connections_(connections),
        commits_(commits),
        clients_(clients),
        replay_(replay),
        meter_(meter),
        peer_queues_(peer_queues),
        retained_delivery_(retained_delivery),
        distributor_(distributor),
        wide_fanouts_(wide_fanouts) {}

  // `p.topic`: as it is inside; `m`: of it; `id`: by which it is acknowledged, a packet id or a
  // report's seq.
  void accept(Channel& ch, const protocol::mqtt::PublishView& p, std::uint32_t id, const Match& m,
              base::Instant now);
  // 3.1.1 has no way to refuse: acknowledge and drop. A refused QoS 2 PUBLISH ends with its PUBREC.
  bool refuse(Channel& ch, const protocol::mqtt::PublishView& p, protocol::mqtt::Reason reason,
              Quota quota, const char* text = nullptr);

 private:
  // False: the same QoS 2 message again (4.3.3-10), answered here. `fresh` is cleared for one that
  // a dead engine has committed.
  bool admit_qos2(Channel& ch, std::uint16_t packet_id, bool& fresh);
  // The packet id of a QoS 2 PUBLISH of a stored session, into the open batch.
  void put_received(const Channel& ch, std::uint16_t packet_id);
  // The first part of a Fanout: what is not staged for each receiver by itself.
  void fan_out(Channel& ch, const Match& m, Delivery& d, Deferred out, bool fresh);

  OrderClock& order_clock_;
  ConnectionTable& connections_;
  CommitPipeline& commits_;
  Clients& clients_;
  ReplayLog& replay_;
  Meter& meter_;
  PeerQueues& peer_queues_;
  RetainedDelivery& retained_delivery_;
  Distributor& distributor_;
  WideFanouts& wide_fanouts_;
};

}  // namespace berth::session
