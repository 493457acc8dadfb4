// The receivers of a message, and what must be durable first: match -> stage, spill
// -> deliver. Copies of QoS 0 to other edges than the publisher's leave when the publisher's edge
// has its acknowledgement (late copies), so a crash loses such a copy and never doubles it. Bounds:
// 100,000 late copies an edge. One shard, one thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "session/client_port.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/cookie_writer.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/order_clock.h"
#include "session/peer_queues.h"
#include "session/router.h"
#include "session/session_table.h"
#include "session/turn_work.h"
#include "session/uplinks.h"

namespace berth::session {

// When it is looked at which expiry-0 sessions need a stored copy.
enum class SpillPhase : std::uint8_t { staging, replayed, run };
struct Publisher {  // its messages may wait for a commit
  bool waits = false;
  std::uint64_t* since = nullptr;  // the moment when the first of them was staged; null: no order
};

class Distributor final : private Room {
 public:
  Distributor(Context& cx, Router& router, OrderClock& order_clock, std::vector<Source>& sources,
              ConnectionTable& connections, SessionTable& sessions, CommitPipeline& commits,
              CookieWriter& cookies, DeliveryQueues& queues, PeerQueues& peer_queues,
              Uplinks& uplinks)
      : Room(cx),
        router_(router),
        order_clock_(order_clock),
        sources_(sources),
        connections_(connections),
        sessions_(sessions),
        commits_(commits),
        cookies_(cookies),
        queues_(queues),
        peer_queues_(peer_queues),
        uplinks_(uplinks) {}

  // Good until the next call.
  const Match& match(std::string_view topic);
  // Must this message enter the store for any receiver before a client may see it?
  bool needs_staging(const Match& m, const Delivery& d);
  // First phase: queue entries of sessions that have a queue, and the member of each shared group
  // that gets it.
  void stage(const Match& m, Delivery& d, Deferred& out, bool fresh);
  void stage_group(SharedGroup& g, Delivery& d, Deferred& out, bool fresh = true);
  // Stages the copy of one receiver. If the edge outlives the engine, expiry-0 sessions get a
  // stored copy too (not of QoS 0), because not all copies fit into one frame with the PUBACK.
  void stage_receiver(const Fanout::Receiver& r, Delivery& d);
  // Stores copies for expiry-0 sessions that could lose or double them with the engine. True:
  // something was written, the message has to wait for it.
  bool spill(const Match& m, Delivery& d, Deferred& out, SpillPhase phase);
  // Second phase: to all others. `staged`: what the first phase has chosen; null: nothing was
  // staged.
  void deliver(const Match& m, Delivery& d, const Deferred* staged, base::Instant now);
  void deliver_groups(const Match& m, Delivery& d, const Deferred* staged,
                      std::vector<LateCopies::To>& later, base::Instant now);
  void deliver_to(Session& s, SubOptions o, const std::vector<std::uint32_t>& ids, Delivery& d,
                  const Deferred* staged, std::vector<LateCopies::To>& later, base::Instant now);
  // What comes from another partition is for our own sessions, and only those it names.
  static bool takes(const Target& t, const Delivery& d);
  static bool takes(const SharedGroup& g, const Delivery& d) {
    return d.tag == nullptr || (d.tag->group != 0 && d.tag->group == g.route);
  }
  Session* pick(SharedGroup& g, const Delivery& d, SubOptions& options, std::uint32_t& id);
  Publisher publisher_of(const Delivery& d);
  void send_later(const Delivery& d, std::vector<LateCopies::To> to);
  void send_late(Edge& e, base::Instant now);
  bool has_late() const;  // copies wait for accepted()
  // The edge has applied all turns up to number `turn`. True: late copies may leave now.
  bool accepted(std::uint32_t link, std::uint64_t turn, base::Instant now);

 private:
  void stage_groups(const Match& m, Delivery& d, Deferred& out, bool fresh);
  void pick_again(const Match& m, Delivery& d, Deferred& out);
  bool must_spill(Session& s, const Delivery& d, bool returns);
  bool crosses(const Session& s, const Delivery& d) const;
  static bool is_own_result(const Session& s, std::string_view topic);

  Router& router_;
  OrderClock& order_clock_;
  std::vector<Source>& sources_;
  ConnectionTable& connections_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  CookieWriter& cookies_;
  DeliveryQueues& queues_;
  PeerQueues& peer_queues_;
  Uplinks& uplinks_;
};

}  // namespace berth::session
