// The fate of wills (MQTT 5.0 3.1.2.5). Who ended the connection decides whether a will fires. A
// will that fires is first an intent in the store; when the intent is durable the will is
// published. If the engine dies in between, the next one publishes it: perhaps twice, never not at
// all. One shard, one thread.
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/link/types.h"
#include "session/commit_pipeline.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/distributor.h"
#include "session/message_translator.h"
#include "session/meter.h"
#include "session/peer_queues.h"
#include "session/retained_delivery.h"
#include "session/session.h"
#include "session/session_records.h"
#include "session/wide_fanouts.h"

namespace berth::session {

// Who has ended a connection: the device by DISCONNECT, the device otherwise, or the gateway
// (drain, engine absent, edge gone): the device had no part in it.
enum class EndBy : std::uint8_t { disconnect, device, us };

class Wills final : private Room {
 public:
  Wills(Context& cx, std::deque<Deferred>& staging, CommitPipeline& commits,
        SessionRecords& records, MessageTranslator& translator, Meter& meter,
        PeerQueues& peer_queues, RetainedDelivery& retained_delivery, Distributor& distributor,
        WideFanouts& wide_fanouts)
      : Room(cx),
        staging_(staging),
        commits_(commits),
        records_(records),
        translator_(translator),
        meter_(meter),
        peer_queues_(peer_queues),
        retained_delivery_(retained_delivery),
        distributor_(distributor),
        wide_fanouts_(wide_fanouts) {}

  bool draining() const { return draining_; }
  // The engine ends all connections itself: wills wait (I6).
  void begin_drain() { draining_ = true; }
  // Found in the store: a will whose publication an earlier engine has begun.
  void restore(std::string_view intent, std::unique_ptr<Will> will);
  void forget(std::string_view intent);
  void see_intent(std::uint64_t number) { next_intent_ = std::max(next_intent_, number + 1); }
  // This intent has killed engines: it is not published (I12).
  void skip(std::uint64_t number) { skipped_wills_.insert(number); }
  bool any_due() const { return !due_wills_.empty(); }

  // Who has ended the connection, as far as is known. `cause`: what the edge says; none: nothing
  // yet.
  EndBy known_end(const Channel& ch, std::optional<protocol::link::CloseReason> cause) const;
  // One connection of the session has ended: its will is dropped, fires, or waits.
  void settle(Session& s, EndBy end, base::Instant now);
  // Stores the intent to publish in the batch that takes the will from the session. After the
  // commit the will is published and its intent removed. The work word (works_for.h) keeps naming
  // the connection that the engine works for; if there is none (a timer fired the will), it names
  // the intent. REQUIRES: there is a will.
  void fire(Session& s, base::Instant now);
  void publish_all_due(base::Instant now);
  // Once a second: those that waited for a quota.
  void publish_late(base::Instant now);
  // A message of no connection: a will, an event of the platform side. `staged` is called when all
  // of it that must be durable is in the open batch.
  void distribute(const MessageView& m, base::Instant now, std::function<void()> staged);

 private:
  void publish(const std::string& intent, const std::shared_ptr<Will>& will, base::Instant now);
  // A will of the store, begun by an engine before us. It is no connection's any more: if engines
  // die of it, it is named by its intent and left out.
  void publish_due(const std::string& intent, const std::shared_ptr<Will>& will, base::Instant now);
  // A will counts for its tenant's or site's rate of messages when it fires. Its intent is stored:
  // it is published when there is room, by the engine after us if need be.
  bool must_wait(const std::string& intent, const std::shared_ptr<Will>& will, base::Instant now);

  std::deque<Deferred>& staging_;
  CommitPipeline& commits_;
  SessionRecords& records_;
  MessageTranslator& translator_;
  Meter& meter_;
  PeerQueues& peer_queues_;
  RetainedDelivery& retained_delivery_;
  Distributor& distributor_;
  WideFanouts& wide_fanouts_;
  std::vector<std::pair<std::string, std::unique_ptr<Will>>>
      due_wills_;                                           // intents found in the store
  boost::unordered_flat_set<std::uint64_t> skipped_wills_;  // numbers of intents that kill engines
  std::deque<std::pair<std::string, std::shared_ptr<Will>>> late_wills_;  // wait for a quota
  std::uint64_t next_intent_ = 1;
  bool draining_ = false;
};

}  // namespace berth::session
