// Who gets a message, a device's or our own, and what must be durable first.
#include <algorithm>

#include "session/broker.h"
#include "session/entry_codec.h"
#include "session/principal_key.h"

namespace berth::session {

using protocol::link::CookieSlot;

// Wills: from no connection. `staged` is called when all of it that must be durable is in the open
// batch.
void Broker::publish_internal(const MessageView& said, base::Instant now,
                              std::function<void()> staged) {
  MessageView m = said;
  m.retain = meter_.may_retain(said, true);
  const Match& matched = distributor_.match(m.topic);
  Delivery d{.message = m, .owned = {}, .publisher = {}};
  if (m.retain) d.message.stamp = retained_delivery_.next_stamp(now);
  const bool many = wide_fanouts_.is_fanout(matched, m.qos, m.payload.size());
  if (!many && !m.retain && !distributor_.needs_staging(matched, d)) {
    distributor_.deliver(matched, d, nullptr, now);
    return staged();
  }
  Deferred out;
  out.kind = Deferred::Kind::publish;
  out.message = d.own();
  out.stamp = d.message.stamp;
  const std::size_t before = commits_.writes();
  if (many) {
    if (m.retain && partitioned()) peer_queues_.stage_retained(matched, d);
    if (m.retain) retained_delivery_.store(d.message);
    out.conn = base::kNoConn;
    wide_fanouts_.begin(matched, d, std::move(out), {});
    staging_.back().fanout->staged = std::move(staged);
    return;
  }
  distributor_.stage(matched, d, out, true);
  if (m.retain) retained_delivery_.store(d.message);
  commits_.submit(std::move(out), commits_.writes() != before, now);
  staged();
}

}  // namespace berth::session
