// Slots of a session's queue (DeliveryQueues::append): of the messages of one slot only the newest
// is delivered, what it replaces goes in the same commit, and counts and bytes stay right.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "session/delivery_queues.h"
#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

using session::Finished;
using session::QueuePolicy;
using session::Session;
using Strings = std::vector<std::string>;

ConnectOptions device(unsigned receive_maximum = 0) {
  ConnectOptions o{.client_id = "s", .clean = false, .properties = expiry(600)};
  if (receive_maximum != 0) o.properties += std::string("\x21", 1) + u16(receive_maximum);
  return o;
}
const Session& session_of(World& w) {
  return *w.broker().find_session("s");
}
bool put(World& w, std::string_view payload, std::string_view slot = {}) {
  const bool done = w.broker().put_into_queue(
                        session_of(w).id, {.topic = "d", .payload = payload, .qos = 1}, slot) != 0;
  w.run();
  return done;
}
// As the queue counts it.
std::uint64_t bytes_of(std::size_t payload) {
  return 1 + payload + 16;
}
Strings taken(World& w, int c) {
  Strings out;
  for (const Packet& p : take_publishes(w, c)) out.push_back(p.payload(5));
  return out;
}
// With a session that is offline.
struct OfflineDevice {
  explicit OfflineDevice(session::BrokerOptions o = {}, int crash_at = -1) : w(o, crash_at) {
    w.close(w.open_connected(device()));
  }
  Strings come() { return taken(w, w.open_connected(device())); }
  World w;
};

TEST(QueueSlots, OnlyTheNewestMessageOfASlotIsDelivered) {
  for (const bool dies : {false, true}) {
    SCOPED_TRACE(dies);
    OfflineDevice x;
    put(x.w, "first", "display");
    put(x.w, "open");
    if (dies) x.w.crash();
    put(x.w, "second text", "display");
    put(x.w, "loud", "volume");
    const auto& flow = session_of(x.w).flow();
    EXPECT_EQ(flow.queued, 3u);
    EXPECT_EQ(flow.queued_bytes, bytes_of(4) + bytes_of(11) + bytes_of(4));
    EXPECT_EQ(x.w.probe().replaced, 1u);
    if (dies) x.w.crash();
    EXPECT_EQ(session_of(x.w).flow().queued, 3u);
    EXPECT_EQ(session_of(x.w).flow().queued_bytes, bytes_of(4) + bytes_of(11) + bytes_of(4));
    EXPECT_EQ(x.come(), (Strings{"open", "second text", "loud"})) << "it stands at the end";
    EXPECT_EQ(session_of(x.w).flow().queued, 0u);
    EXPECT_EQ(session_of(x.w).flow().queued_bytes, 0u);
  }
}

class SlotNotes final : public session::SessionEvents {
 public:
  void online(const Session&) override {}
  void ended(const Session&) override {}
  void offline(const Session&, session::Offline) override {}
  void finished(const Session&, std::uint64_t seq, const session::OutEntry& e,
                Finished how) override {
    said.emplace_back(seq, how);
    EXPECT_EQ(e.qos, 1);
  }
  std::vector<std::pair<std::uint64_t, Finished>> said;
};
using Ends = std::vector<std::pair<std::uint64_t, Finished>>;

TEST(QueueSlots, WhatIsInFlightStays) {
  World w;
  SlotNotes notes;
  w.broker().watch_sessions(notes);
  const int c = w.open_connected(device(1));
  put(w, "1", "display");
  put(w, "2", "display");
  put(w, "3", "display");
  EXPECT_EQ(notes.said, (Ends{{2, Finished::replaced}}));
  EXPECT_EQ(taken(w, c), (Strings{"1", "3"}));
  EXPECT_EQ(
      notes.said,
      (Ends{{2, Finished::replaced}, {1, Finished::acknowledged}, {3, Finished::acknowledged}}));
}

TEST(QueueSlots, AnObserverHearsOfWhatIsReplacedInTheStore) {
  OfflineDevice x;
  SlotNotes notes;
  x.w.broker().watch_sessions(notes);
  put(x.w, "1", "display");
  put(x.w, "2", "display");
  EXPECT_EQ(notes.said, (Ends{{1, Finished::replaced}}));
}

// Without a place in the store of its own.
TEST(QueueSlots, ASessionThatEndsWithItsConnectionHasThemToo) {
  World w;
  const int c = w.open_connected({.client_id = "s"});
  w.set_writable(c, false);
  put(w, "1", "display");
  put(w, "2", "display");
  w.set_writable(c, true);
  EXPECT_EQ(taken(w, c), Strings{"2"});
  w.close(c);
  EXPECT_EQ(w.broker().find_session("s"), nullptr);
}

TEST(QueueSlots, OneThatTakesAPlaceNeedsNoRoom) {
  for (const QueuePolicy policy : {QueuePolicy::drop_oldest, QueuePolicy::drop_new}) {
    session::BrokerOptions o;
    o.queue_messages_max = 2;
    o.queue_policy = policy;
    OfflineDevice x(o);
    put(x.w, "1", "display");
    put(x.w, "open");
    put(x.w, "2", "display");
    EXPECT_EQ(x.w.probe().drop_queue_full, 0u);
    EXPECT_EQ(x.come(), (Strings{"open", "2"}));
  }
}

TEST(QueueSlots, TheOldOneStaysWhereTheNewOneHasNoRoom) {
  session::BrokerOptions o;
  o.queue_bytes_max = 100;
  o.queue_policy = QueuePolicy::drop_new;
  OfflineDevice x(o);
  put(x.w, "old", "display");
  put(x.w, std::string(90, 'x'), "display");
  EXPECT_EQ(x.w.probe().drop_queue_full, 1u);
  EXPECT_EQ(x.w.probe().replaced, 0u);
  put(x.w, std::string(70, 'x'), "display");
  EXPECT_EQ(x.come(), Strings{std::string(70, 'x')});
}

// What was replaced left its sequence number empty: a queue that drops its oldest message passes
// it.
TEST(QueueSlots, AGapIsNoMessageThatCouldBeDropped) {
  for (const bool dies : {false, true}) {
    SCOPED_TRACE(dies);
    session::BrokerOptions o;
    o.queue_messages_max = 3;
    OfflineDevice x(o);
    put(x.w, "d0", "display");
    put(x.w, "1");
    put(x.w, "2");
    for (int i = 1; i <= 100; ++i) put(x.w, "d" + std::to_string(i), "display");
    if (dies) x.w.crash();
    EXPECT_EQ(session_of(x.w).flow().queued, 3u);
    put(x.w, "3");  // for "1"
    put(x.w, "4");  // for "2"
    EXPECT_EQ(x.w.probe().drop_queue_full, 2u);
    put(x.w, "5");             // for "d100"
    put(x.w, "d", "display");  // for "3"
    EXPECT_EQ(x.w.probe().drop_queue_full, 4u);
    EXPECT_EQ(session_of(x.w).flow().queued, 3u);
    if (dies) x.w.crash();
    EXPECT_EQ(x.come(), (Strings{"4", "5", "d"}));
    EXPECT_EQ(session_of(x.w).flow().queued_bytes, 0u);
  }
}

// The engine after us counts what is in the queue, not what was.
TEST(QueueSlots, ManyThatWereReplacedDoNotFillTheQueue) {
  session::BrokerOptions o;
  o.queue_messages_max = 1000;
  OfflineDevice x(o);
  put(x.w, "open");
  for (int i = 0; i < 1500; ++i) put(x.w, std::to_string(i), i % 2 == 0 ? "display" : "volume");
  x.w.crash();
  EXPECT_EQ(session_of(x.w).flow().queued, 3u);
  EXPECT_EQ(session_of(x.w).flow().queued_bytes, 3 * bytes_of(4));
  EXPECT_LE(session_of(x.w).flow().slots->gaps.size(), 2u);
  put(x.w, "close");
  EXPECT_EQ(x.w.probe().drop_queue_full, 0u);
  EXPECT_EQ(x.come(), (Strings{"open", "1498", "1499", "close"}));
}

// Beyond what of a queue is in memory; the store may still have what is being replaced when the
// queue is read.
TEST(QueueSlots, InTheStoreOfAConnectedSession) {
  for (const bool uncommitted : {false, true}) {
    SCOPED_TRACE(uncommitted);
    World w;
    const int c = w.open_connected(device());
    w.set_writable(c, false);
    const std::string large(300'000, 'x');  // four of them fill what is kept in memory
    for (int i = 0; i < 5; ++i) put(w, large);
    put(w, "1", "display");
    w.hold_commits(uncommitted);
    put(w, "2", "display");
    put(w, "3", "display");
    w.set_writable(c, true);
    Strings got = taken(w, c);
    w.hold_commits(false);
    for (const std::string& more : taken(w, c)) got.push_back(more);
    std::erase(got, large);
    EXPECT_EQ(got, Strings{"3"});
    EXPECT_EQ(session_of(w).flow().queued, 0u);
  }
}

TEST(QueueSlots, OfTooManySlotsTheOldestIsForgotten) {
  OfflineDevice x;
  const std::size_t n = session::DeliveryQueues::kSlots + 1;
  for (std::size_t i = 0; i < n; ++i) put(x.w, std::to_string(i), "slot-" + std::to_string(i));
  EXPECT_EQ(x.w.probe().slots_forgotten, 1u);
  put(x.w, "new 1", "slot-1");
  EXPECT_EQ(x.w.probe().replaced, 1u);
  put(x.w, "new 0", "slot-0");
  EXPECT_EQ(x.w.probe().slots_forgotten, 2u);
  const Strings got = x.come();
  EXPECT_EQ(got.size(), n + 1);  // "0" too
  EXPECT_EQ(got.back(), "new 0");
}

TEST(QueueSlots, NobodyIsPutAMessageWhoCouldNotGetIt) {
  World w;
  EXPECT_EQ(w.broker().put_into_queue({77}, {.topic = "d", .payload = "x", .qos = 1}, "display"),
            0u);
  EXPECT_EQ(w.broker().seal(), nullptr);
}

// -- an engine's death at every boundary

// The message that is replaced and the new one are in one commit: a death leaves the one or the
// other.
TEST(QueueSlots, ADeathLeavesOneMessageOfASlot) {
  for (const bool connected : {false, true}) {
    for (const int breaks : {-1, 0}) {
      int deaths = 0;
      for (int at = 0;; ++at) {
        SCOPED_TRACE(testing::Message() << connected << " " << breaks << " at " << at);
        World w({}, at, breaks);
        int c = w.open_connected(device(1));
        put(w, "in flight");
        if (!connected) w.close(c);
        put(w, "1", "display");
        put(w, "open");
        put(w, "2", "display");
        if (!connected) c = w.open_connected(device());
        const Strings got = taken(w, c);
        const auto n = [&got](const char* p) {  // however often it was sent again
          return std::find(got.begin(), got.end(), p) != got.end() ? 1 : 0;
        };
        const bool sent = connected && n("in flight") == 0;  // "1" came in its place
        EXPECT_LE(n("1") + n("2"), sent ? 2 : 1) << "both";
        EXPECT_EQ(session_of(w).flow().queued, 0u);
        EXPECT_EQ(session_of(w).flow().queued_bytes, 0u);
        if (!w.crashed()) {
          EXPECT_EQ(got, (Strings{"in flight", "open", "2"}));
          break;
        }
        ++deaths;
        // A death loses the message that was just put, before its commit, and no other.
        EXPECT_GE(n("in flight") + n("1") + n("open") + n("2"), 2);
      }
      EXPECT_GT(deaths, 10);
    }
  }
}

// -- beside a plain list

struct Plain {
  struct Entry {
    std::string payload;
    std::string slot;
  };
  void put(const std::string& payload, const std::string& slot) {
    if (!slot.empty()) std::erase_if(all, [&](const Entry& e) { return e.slot == slot; });
    all.push_back({payload, slot});
    if (all.size() > most) all.erase(all.begin());
  }
  std::uint64_t bytes() const {
    std::uint64_t n = 0;
    for (const Entry& e : all) n += bytes_of(e.payload.size());
    return n;
  }
  std::size_t most = 0;
  std::vector<Entry> all;
};

TEST(QueueSlots, AQueueIsAsAListWouldBe) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    session::BrokerOptions o;
    o.queue_messages_max = 8;
    OfflineDevice x(o);
    Plain plain{.most = 8, .all = {}};
    for (int i = 0; i < 200; ++i) {
      const std::string payload = std::to_string(i);
      const std::string slot =
          random() % 3 == 0 ? "" : std::string(1, static_cast<char>('a' + random() % 4));
      put(x.w, payload, slot);
      plain.put(payload, slot);
      if (random() % 16 == 0) x.w.crash();
      ASSERT_EQ(session_of(x.w).flow().queued, plain.all.size()) << i;
    }
    Strings expected;
    for (const Plain::Entry& e : plain.all) expected.push_back(e.payload);
    EXPECT_EQ(x.come(), expected);
    EXPECT_EQ(session_of(x.w).flow().queued, 0u);
    EXPECT_EQ(session_of(x.w).flow().queued_bytes, 0u);
  }
}

}  // namespace
}  // namespace berth::test
