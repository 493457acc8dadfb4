// From a session's queue to its device: sequence numbers, packet ids, windows, acknowledgements
// (MQTT 5.0 4.3, 4.4, 4.9; docs/design.md, "Packet ids"). A delivery to a stored session has two
// phases: append() writes the entry into the open batch; pump() sends it when that is committed. Of
// a stored queue at most 1,024 messages or 1 MiB are in memory, the rest is read when it is needed.
// One shard, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "session/client_port.h"
#include "session/clients.h"
#include "session/commit_pipeline.h"
#include "session/context.h"
#include "session/cookie_writer.h"
#include "session/core_types.h"
#include "session/session_records.h"
#include "session/session_table.h"
#include "session/store.h"
#include "session/tenant_usage.h"
#include "session/topic_gate.h"

namespace berth::session {

class AfterPump {
 public:
  // The channel's queue has been pumped; retained messages wait to be sent behind it.
  virtual void after_pump(Channel& ch, base::Instant now) = 0;

 protected:
  ~AfterPump() = default;
};

class DeliveryQueues final : private Room {
 public:
  DeliveryQueues(Context& cx, AfterPump& after_pump, ConnectionTable& connections,
                 TenantUsage& usage, SessionTable& sessions, CommitPipeline& commits,
                 SessionRecords& records, CookieWriter& cookies, TopicGate& gate, Clients& clients)
      : Room(cx),
        after_pump_(after_pump),
        connections_(connections),
        usage_(usage),
        sessions_(sessions),
        commits_(commits),
        records_(records),
        cookies_(cookies),
        gate_(gate),
        clients_(clients) {}

  std::uint64_t next_ticket() { return ++load_tickets_; }  // of a read of the store

  static constexpr std::size_t kSlots = 32;      // of a session
  static constexpr std::size_t kSlotBytes = 64;  // of a slot's key
  static constexpr std::size_t kGaps = 1024;     // that replaced messages leave in a queue

  // First phase of a delivery to a stored session. Dropped, and counted, where there is no room.
  //
  // `slot`, if it is not empty: only the newest message of a slot matters. A device's desired state
  // has one by itself (state_slot.h). The older message of the
  // slot is removed (Finished::replaced) if it has certainly not been sent. The same batch appends
  // the new one to the end of the queue. A queue knows kSlots slots: for one more it forgets the
  // slot that has waited longest. The message of a forgotten slot stays and is sent, and so does
  // one whose removal would leave more than kGaps gaps. The record of a stored session has its
  // slots: each such message writes the record, with the session's filters. REQUIRES: at most
  // kSlotBytes.
  void append(Session& s, Delivery& d, std::uint8_t qos, bool retain,
              const std::vector<std::uint32_t>& ids, std::string_view slot = {});
  // One entry fewer is in the store. `bytes`: its own; 0: not known, so the mean of all.
  void count_removed(Session& s, std::uint64_t bytes = 0);
  // The session's queue is empty and its device takes more.
  bool can_send_at_once(Session& s);
  // To a session that is not stored: at once if it can be, else behind what waits. Where an edge
  // outlives the engine, Distributor::spill() has stored those that must outlive it too.
  void deliver(Session& s, Delivery& d, SubOptions options, bool retain,
               const std::vector<std::uint32_t>& ids, base::Instant now);
  // Sends what is durable, as far as the device's windows go.
  void pump(Session& s, base::Instant now);
  // Answer to Effects::load_queue().
  void loaded(base::SessionId id, std::uint64_t ticket,
              base::result<std::vector<StoredEntry>> entries, base::Instant now);
  // Once a second: repeats reads that have failed. A channel that is stalled until its read
  // succeeds has no other wake-up.
  void read_again();
  // The delivery is over: acknowledged, refused or dropped. `bytes`: see count_removed(). REQUIRES:
  // the entry is in memory.
  void finish(Session& s, std::uint64_t seq, Finished how, std::uint64_t bytes = 0);
  // PUBREC came: durable before the PUBREL leaves.
  void release(Session& s, OutEntry& e, std::uint64_t seq);
  // The edge has dropped delivery `tag` (Deadline::tag) unsent: it is finished, its packet id free.
  // Effects::told_taken() when that is durable; until then the notice may come again.
  void segment_expired(base::ConnId conn, std::uint64_t tag, base::Instant now);
  // Forgets finished entries at the front of the queue.
  void trim(Session& s);
  // A connection that was attached goes on: what it has in flight is read first.
  void wake(Channel& ch, base::Instant now);

 private:
  bool make_room(Session& s, std::size_t bytes, std::string_view slot);
  void drop_entry(Session& s, std::uint64_t seq);
  // The same as finish() for one that is in the store only.
  void finish_unread(Session& s, std::uint64_t seq, const Slot& known, Finished how);
  void replace(Session& s, std::string_view slot);
  void keep_slot(Session& s, Slot newest);
  void reserve_sent(Session& s);
  bool pump_one(Session& s, Channel& ch, std::uint64_t seq, base::Instant now);
  // Reads what is next in the queue from the store; loaded() follows.
  void request_load(Session& s);
  // The device acknowledges with many gaps: stop sending until it has acknowledged more.
  bool is_ragged(Session& s);

  AfterPump& after_pump_;
  ConnectionTable& connections_;
  TenantUsage& usage_;
  SessionTable& sessions_;
  CommitPipeline& commits_;
  SessionRecords& records_;
  CookieWriter& cookies_;
  TopicGate& gate_;
  Clients& clients_;
  std::string entry_;                    // scratch: an entry as it is stored
  std::vector<base::SessionId> unread_;  // sessions whose queue could not be read: again at tick()
  std::uint64_t load_tickets_ = 0;
};

}  // namespace berth::session
