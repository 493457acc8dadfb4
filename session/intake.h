// The way of a client's PUBLISH or report: authorization and quota, QoS 2 duplicates, retained
// message, staging for the store or distribution at once, and the acknowledgement. One shard, one
// thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/mqtt/types.h"
#include "session/client_port.h"
#include "session/clients.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/distributor.h"
#include "session/message.h"
#include "session/meter.h"
#include "session/order_clock.h"
#include "session/peer_queues.h"
#include "session/replay_log.h"
#include "session/retained_delivery.h"
#include "session/topic_gate.h"
#include "session/wide_fanouts.h"

namespace berth::session {

// What Intake says of a client's message.
struct Judgement {
  enum What : std::uint8_t { wait, over_quota, denied, allowed } what = wait;
  Quota quota = Quota::none;
  std::string_view inside;       // its topic
  const Match* match = nullptr;  // of that topic; good until the next one is matched
};

class Intake final : private Room {
 public:
  Intake(Context& cx, OrderClock& order_clock, ConnectionTable& connections,
         CommitPipeline& commits, Clients& clients, TopicGate& gate, ReplayLog& replay,
         Meter& meter, PeerQueues& peer_queues, RetainedDelivery& retained_delivery,
         Distributor& distributor, WideFanouts& wide_fanouts)
      : Room(cx),
        order_clock_(order_clock),
        connections_(connections),
        commits_(commits),
        clients_(clients),
        gate_(gate),
        replay_(replay),
        meter_(meter),
        peer_queues_(peer_queues),
        retained_delivery_(retained_delivery),
        distributor_(distributor),
        wide_fanouts_(wide_fanouts) {}

  // May the client publish this message now? Its topic is the client's topic, or (`is_inside`) the
  // topic inside the engine. `wait`: the channel is stalled or rests, and the shell offers the
  // message again. Else the message counts as received; `denied` is counted and logged here.
  // Inlined: it stands on the way of each packet, and a call of it is 2 % of a QoS 0 PUBLISH.
  [[gnu::always_inline]] Judgement judge(Channel& ch, const MessageView& m, bool is_inside,
                                         base::Instant now) {
    Judgement j{.inside = m.topic};
    const bool allowed = is_inside || gate_.enter_topic(ch, m.topic, j.inside);
    if (allowed) j.match = &distributor_.match(j.inside);
    if (allowed && wide_fanouts_.is_fanout(*j.match, m.qos, m.payload.size()) &&
        !wide_fanouts_.may_begin(ch))
      return j;
    const Metered metered = meter_.publish(ch, m, now);
    if (metered.what == Metered::wait) return j;
    probe_.rx_qos0 += m.qos == 0;
    probe_.rx_qos1 += m.qos == 1;
    probe_.rx_qos2 += m.qos == 2;
    j.quota = metered.quota;
    j.what = metered.what == Metered::refuse ? Judgement::over_quota
             : allowed                       ? Judgement::allowed
                                             : Judgement::denied;
    if (j.what == Judgement::denied) count_denied(ch, m);
    return j;
  }
  // `p`: its topic is as it is inside, and `m` the match of it. REQUIRES: judge() has allowed it.
  void accept(Channel& ch, const Publication& p, const Match& m, base::Instant now);
  // MQTT 3.1.1 has no way to refuse: acknowledge and drop. A refused QoS 2 PUBLISH ends with its
  // PUBREC. `text`: a literal; null: as the reason says.
  void refuse(Channel& ch, const Publication& p, protocol::mqtt::Reason reason, Quota quota,
              const char* text = nullptr);

 private:
  bool tell_platform(const Scope& scope, const MessageView& m, base::Instant now);
  void count_denied(const Channel& ch, const MessageView& m);
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
  TopicGate& gate_;
  ReplayLog& replay_;
  Meter& meter_;
  PeerQueues& peer_queues_;
  RetainedDelivery& retained_delivery_;
  Distributor& distributor_;
  WideFanouts& wide_fanouts_;
};

}  // namespace berth::session
