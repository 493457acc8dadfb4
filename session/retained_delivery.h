// Retained messages: kept and stored, their order among partitions, their expiry and removal, and
// their way to who subscribes, a share of a turn at a time. To a session with a queue they go
// through the queue before its SUBACK; to others by a cursor for each subscription, behind what the
// queue has. One shard, one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "session/client_port.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/cookie_writer.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/replay_log.h"
#include "session/retained.h"
#include "session/retained_removal.h"
#include "session/session_table.h"
#include "session/tenant_usage.h"
#include "session/turn_work.h"

namespace berth::session {

class RetainedDelivery final : private Room {
 public:
  RetainedDelivery(Context& cx, Retained& retained, std::deque<Deferred>& staging,
                   ConnectionTable& connections, TenantUsage& usage, SessionTable& sessions,
                   CommitPipeline& commits, ReplayLog& replay, CookieWriter& cookies,
                   DeliveryQueues& queues)
      : Room(cx),
        retained_(retained),
        staging_(staging),
        connections_(connections),
        usage_(usage),
        sessions_(sessions),
        commits_(commits),
        replay_(replay),
        cookies_(cookies),
        queues_(queues) {}

  // A stamp that is known: those that we give are greater.
  void see_stamp(std::uint64_t stamp) { last_stamp_ = std::max(last_stamp_, stamp); }
  bool is_removing() const { return !removal_.idle(); }
  bool is_filling() const { return !filling_.empty(); }
  // What connections of this link have asked for is forgotten.
  void drop_link(std::uint32_t link) {
    std::erase_if(filling_, [link](const RetainedFill& f) { return f.conn.link() == link; });
  }

  // Into the open batch. False: a newer one is known.
  bool store(const MessageView& m);
  // From now on it is the retained message of its topic.
  void keep(const MessageView& m, base::Instant now);
  // The order of retained messages among partitions: by the time they were published at, as far as
  // clocks agree, never against the order in which a partition has seen them.
  std::uint64_t next_stamp(base::Instant now);
  void sweep_expired(base::Instant now);
  void sweep_tombstones(base::Instant now);
  // Behind what has been accepted: ends what is retained at these filters, a part in each turn.
  void remove(std::vector<std::string> filters, base::Instant now);
  void remove_some(base::Instant now);
  // The retained messages of one filter into the queue of a stored session, at once: there are few.
  void queue_desired(Session& s, const RetainedItem& item, base::Instant now);
  // Sends what the cursors of the connection have left, a share of a turn.
  void go_on(Channel& ch, base::Instant now);
  void fill_some(base::Instant now);
  // The retained messages that a SUBSCRIBE wants, into the queue of a stored session.
  void fill_queue(Channel& ch, RetainedFill fill, bool fresh, const std::string& so_far,
                  base::Instant now);

 private:
  void end(const Retained::Expired& gone, base::Instant now);
  // Does a message that waits for its commit become a retained one?
  bool any_waits() const;
  // Of these too, what the items want; the topics that were seen to.
  RetainedTopics queue_waiting(Session& s, const std::deque<RetainedItem>& items,
                               base::Instant now);
  // False: the device must take something first.
  bool send(Channel& ch, RetainedItem& item, MessagePtr message, base::Instant now);
  void begin_fill(Channel& ch, RetainedFill fill);
  bool fill_part(RetainedFill& fill, base::Instant now);
  static std::string outcome_so_far(const RetainedFill& fill);
  static void go_on_filling(RetainedFill& fill, std::string_view so_far);

  Retained& retained_;
  std::deque<Deferred>& staging_;
  ConnectionTable& connections_;
  TenantUsage& usage_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  ReplayLog& replay_;
  CookieWriter& cookies_;
  DeliveryQueues& queues_;
  std::uint64_t last_stamp_ = 0;
  std::string swept_;  // retained messages up to here have been looked at for expiry
  RetainedRemoval removal_;
  std::deque<RetainedFill> filling_;
};

}  // namespace berth::session
