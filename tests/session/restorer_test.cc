// Sessions from the store, connections from cookies.
#include "session/restorer.h"

#include <gtest/gtest.h>

#include "session/entry_codec.h"
#include "session/principal_key.h"
#include "session/record_codec.h"
#include "session/records.pb.h"
#include "tests/support/core_box.h"
#include "tests/support/random.h"

namespace berth::test {
namespace {

using protocol::link::CloseReason;
using protocol::link::CookieSlot;
using session::Channel;
using session::Session;

// The record of a session, as its engine has written it.
std::string record_of(CoreBox& box, Session& s) {
  box.core.records.put(s);
  const auto batch = box.core.commits.seal();
  std::string record((*batch)[0].value);
  box.core.commits.committed({}, box.now);
  return record;
}

// What the edge has of a connection when all that it was told is taken.
protocol::link::Attach attach_of(CoreBox& box, Channel& ch) {
  for (unsigned i = 0; i < static_cast<unsigned>(CookieSlot::count); ++i)
    box.core.cookies.changed(ch, static_cast<CookieSlot>(i));
  box.effects.cookies.clear();
  box.core.cookies.flush();
  protocol::link::Attach a;
  a.conn = ch.conn;
  a.attach_epoch = 2;
  a.connected = true;
  for (const auto& c : box.effects.cookies) a.cookie[static_cast<std::size_t>(c.slot)] = c.bytes;
  return a;
}

TEST(Restorer, ASessionIsReadAsItsRecordWasWritten) {
  CoreBox before;
  Session& s = before.session(session::user_key("ann") + "c", 600);
  s.epoch = 7;
  s.owner_edge = 77;
  s.owner_conn = 3;
  s.session_present = true;
  s.ends_offline = true;
  s.expires_at = before.now.plus_s(600);
  s.own_flow().sent_max = 2048;
  s.own_flow().sent_before = 1024;
  s.own_flow().sent_surely = 1000;
  before.core.subscriptions.add(s, "a/#", {2}, 9);
  before.core.subscriptions.add(s, "$share/g/b", {1}, 0);
  s.will = std::make_unique<session::Will>();
  s.will->message = session::MessagePtr(message("w", "gone", 1));
  s.will->at = before.now.plus_s(5);
  s.will->ours = true;
  const std::string record = record_of(before, s);

  CoreBox box;
  box.core.restorer.session({40}, record);
  Session* got = box.core.sessions.by_id({40});
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->client_id, s.client_id);
  EXPECT_EQ(got->epoch, 7u);
  EXPECT_EQ(got->expiry_s, 600u);
  EXPECT_EQ(got->owner_edge, 77u);
  EXPECT_EQ(got->owner_conn, 3u);
  EXPECT_TRUE(got->session_present);
  EXPECT_TRUE(got->ends_offline);
  EXPECT_TRUE(got->stored);
  EXPECT_TRUE(got->shared);
  EXPECT_EQ(got->expires_at, s.expires_at);
  EXPECT_EQ(got->flow().sent_max, 2048u);
  EXPECT_EQ(got->flow().sent_before, 1024u);
  EXPECT_EQ(got->flow().sent_surely, 1000u);
  ASSERT_TRUE(got->will);
  EXPECT_EQ(got->will->message->view().payload, "gone");
  EXPECT_EQ(got->will->at, s.will->at);
  EXPECT_TRUE(got->will->ours);
  EXPECT_EQ(box.core.router.match("a/b").targets.at(0).ids, std::vector<std::uint32_t>{9});
  EXPECT_EQ(box.core.router.match("b").groups.size(), 1u);
  EXPECT_EQ(box.core.holdings.sessions_of(session::user_key("ann")), 1u);
  EXPECT_EQ(box.core.sessions.make_new("next").id.value, 41u);
}

TEST(Restorer, ADamagedRecordIsPassedOver) {
  CoreBox before;
  Session& s = before.session("c", 600);
  before.core.subscriptions.add(s, "a/#", {2}, 9);
  const std::string record = record_of(before, s);
  Random random(31);
  for (int i = 0; i < 300; ++i) {
    CoreBox box;
    box.core.restorer.session({1}, random.damaged(record));
    box.core.restorer.session({2}, std::string_view(record).substr(0, random.below(record.size())));
    EXPECT_LE(box.core.sessions.size(), 2u);
  }
}

TEST(Restorer, AClientHasOneSessionWhateverTheStoreHas) {
  CoreBox before;
  const std::string record = record_of(before, before.session("c", 600));
  CoreBox box;
  box.core.restorer.session({1}, record);
  box.core.restorer.session({2}, record);
  EXPECT_EQ(box.core.sessions.size(), 1u);
}

TEST(Restorer, AQueueIsCountedByItsFirstAndItsLastEntry) {
  CoreBox before;
  const std::string record = record_of(before, before.session("c", 600));
  CoreBox box;
  box.core.restorer.session({1}, record);
  session::StoredEntry first{.seq = 5, .value = {}};
  session::StoredEntry last{.seq = 9, .value = {}};
  session::encode_entry(first.value, message("t", "m", 1), 1, false, 1000, nullptr);
  session::encode_entry(last.value, message("t", "m", 1), 1, false, 1400, nullptr);
  box.core.restorer.queue({1}, first, last);
  const session::Flow& q = box.core.sessions.by_id({1})->flow();
  EXPECT_EQ(q.first_seq, 5u);
  EXPECT_EQ(q.last_seq, 9u);
  EXPECT_EQ(q.durable_seq, 9u);
  EXPECT_EQ(q.queued, 5u);
  EXPECT_EQ(q.cumulative_bytes, 1400u);
  EXPECT_EQ(q.queued_bytes, 400 + session::bytes_of_entry(message("t", "m", 1), 0));
  EXPECT_EQ(box.core.sessions.queued(), 5u);
  EXPECT_EQ(box.core.sessions.queued_bytes(), q.queued_bytes);
  box.core.restorer.queue({30}, first, last);
  EXPECT_EQ(box.core.sessions.make_new("d").id.value, 31u) << "a number that has a queue is taken";
}

TEST(Restorer, APacketIdIsKnownWithWhereItCameFrom) {
  CoreBox before;
  const std::string record = record_of(before, before.session("c", 600));
  CoreBox box;
  box.core.restorer.session({1}, record);
  std::string from;
  for (const std::uint64_t n : {7u, 100u, 77u}) base::put_varint(from, n);
  box.core.restorer.received({1}, 9, from);
  box.core.restorer.received({2}, 9, from);  // no such session
  const session::Received& r = box.core.sessions.by_id({1})->received->at(9);
  EXPECT_EQ(r.conn, 7u);
  EXPECT_EQ(r.offset, 100u);
  EXPECT_EQ(r.edge, 77u);
  EXPECT_TRUE(r.stored);
  EXPECT_FALSE(r.effective) << "its PUBLISH may be said again";
}

TEST(Restorer, ARetainedMessageOrItsEndIsRestoredWithItsStamp) {
  CoreBox box;
  std::string value;
  auto m = message("r", "x", 1);
  m.stamp = 50;
  session::encode_retained(value, m);
  box.core.restorer.retained("r", value);
  EXPECT_TRUE(box.core.retained.contains("r"));
  EXPECT_EQ(box.core.retained.stamp_of("r"), 50u);
  std::string ended;
  auto nothing = message("r", "", 1);
  nothing.stamp = 60;
  session::encode_retained(ended, nothing);
  box.core.restorer.retained("r", ended);
  EXPECT_FALSE(box.core.retained.contains("r"));
  EXPECT_EQ(box.core.retained.stamp_of("r"), 60u) << "an older one that comes is not taken";
  box.core.restorer.forget_retained("r");
  EXPECT_EQ(box.core.retained.stamp_of("r"), 0u);
}

TEST(Restorer, EachKindOfAppliedRecordFindsItsRoom) {
  session::BrokerOptions o;
  o.partitions = 2;
  CoreBox box(o);
  auto& restorer = box.core.restorer;
  std::string number;
  base::put_varint(number, 12);
  session::Will will;
  will.message = session::MessagePtr(message("w", "gone", 1));
  const std::string intent = session::will_intent_key(1000, 3);
  const std::string route = session::route_key(1, "a");
  restorer.applied(session::kClockKey, "the clock");
  restorer.applied(session::outcome_key({77, 1}, 100), "outcome");
  restorer.applied(session::edge_key(99), "1");
  restorer.applied(route, number);
  restorer.applied(session::seen_key(1), number);
  restorer.applied(intent, session::encode_will(will));
  restorer.applied("unknown", "x");
  EXPECT_EQ(restorer.stored_clock(), "the clock");
  EXPECT_EQ(box.core.replay.orphans().at({77, 1}).at(0).second, "outcome");
  EXPECT_TRUE(box.core.replay.stored_edges().contains(99));
  EXPECT_EQ(box.core.peer_queues.stored_routes().at(route), 12u);
  EXPECT_EQ(box.core.sources[1].taken, 12u);
  EXPECT_TRUE(box.core.wills.any_due());

  restorer.forget_applied(session::outcome_key({77, 1}, 100));
  restorer.forget_applied(session::edge_key(99));
  restorer.forget_applied(route);
  restorer.forget_applied(intent);
  EXPECT_TRUE(box.core.replay.orphans().at({77, 1}).empty());
  EXPECT_TRUE(box.core.replay.stored_edges().empty());
  EXPECT_TRUE(box.core.peer_queues.stored_routes().empty());
  EXPECT_FALSE(box.core.wills.any_due());
}

TEST(Restorer, AForgottenSessionLeavesNothing) {
  CoreBox before;
  Session& s = before.session("c", 600);
  before.core.subscriptions.add(s, "a", {1}, 0);
  const std::string record = record_of(before, s);
  CoreBox box;
  box.core.restorer.session({1}, record);
  box.core.restorer.forget({1});
  box.core.restorer.forget({1});
  EXPECT_EQ(box.core.sessions.size(), 0u);
  EXPECT_TRUE(box.core.router.match("a").empty());
  EXPECT_EQ(box.core.sessions.subscriptions(), 0u);
}

TEST(Restorer, AConnectionFindsItsStoredSessionAgain) {
  CoreBox before;
  Channel& ch = before.client("c", 600);
  ch.receive_maximum = 20;
  ch.packet_max = 1000;
  ch.alias_maximum = 5;
  ch.keep_alive_s = 30;
  ch.user_name = std::make_unique<std::string>("ann");
  const protocol::link::Attach a = attach_of(before, ch);
  const std::string record = record_of(before, *ch.session);

  CoreBox box;
  box.core.restorer.session(ch.session->id, record);
  box.core.restorer.attach(a, box.now);
  Channel* got = box.core.connections.find(ch.conn);
  ASSERT_NE(got, nullptr);
  ASSERT_NE(got->session, nullptr);
  EXPECT_EQ(got->session->client_id, "c");
  EXPECT_TRUE(got->live());
  EXPECT_EQ(got->receive_maximum, 20);
  EXPECT_EQ(got->packet_max, 1000u);
  EXPECT_EQ(got->alias_maximum, 5);
  EXPECT_EQ(got->keep_alive_s, 30);
  EXPECT_EQ(*got->user_name, "ann");
  EXPECT_EQ(box.core.sessions.online(), 1u);
  EXPECT_EQ(box.probe.session_reattached, 1u);
}

TEST(Restorer, AConnectionOfExpiry0BringsItsSubscriptions) {
  CoreBox before;
  Channel& ch = before.client("c");
  before.core.subscriptions.add(*ch.session, "a/#", {1}, 9);
  const protocol::link::Attach a = attach_of(before, ch);
  CoreBox box;
  box.core.restorer.attach(a, box.now);
  const Channel* got = box.core.connections.find(ch.conn);
  ASSERT_NE(got->session, nullptr);
  EXPECT_EQ(got->session->id, ch.session->id);
  EXPECT_EQ(box.core.router.match("a/b").targets.at(0).ids, std::vector<std::uint32_t>{9});
}

TEST(Restorer, AConnectionWhoseStoredSessionIsNotThereEnds) {
  CoreBox before;
  Channel& ch = before.client("c", 600);
  const protocol::link::Attach a = attach_of(before, ch);
  CoreBox box;
  box.core.restorer.attach(a, box.now);
  ASSERT_EQ(box.effects.closed.size(), 1u);
  EXPECT_EQ(box.effects.closed[0].second, CloseReason::session_lost);
  EXPECT_EQ(box.probe.session_lost, 1u);
}

TEST(Restorer, AConnectionWhoseSessionHasANewerOwnerEnds) {  // I5
  CoreBox before;
  Channel& ch = before.client("c", 600);
  const protocol::link::Attach a = attach_of(before, ch);
  ch.session->epoch = 2;
  const std::string record = record_of(before, *ch.session);
  CoreBox box;
  box.core.restorer.session(ch.session->id, record);
  box.core.restorer.attach(a, box.now);
  ASSERT_EQ(box.effects.closed.size(), 1u);
  EXPECT_EQ(box.effects.closed[0].second, CloseReason::taken_over);
}

// A device that has come back within the millisecond of its CONNECT, before an engine's death.
TEST(Restorer, AConnectionThatHasEndedTakesOverNoneOfTheSameEpoch) {  // I5
  CoreBox first;
  protocol::link::Attach older = attach_of(first, first.client("c"));
  older.ended = true;
  CoreBox second;
  second.client("another");
  Channel& ch = second.client("c");
  const protocol::link::Attach newer = attach_of(second, ch);
  ASSERT_NE(older.conn, newer.conn);
  for (const bool in_order : {true, false}) {
    CoreBox box;
    box.core.restorer.attach(in_order ? older : newer, box.now);
    box.core.restorer.attach(in_order ? newer : older, box.now);
    const Channel* got = box.core.connections.find(newer.conn);
    ASSERT_NE(got, nullptr);
    ASSERT_NE(got->session, nullptr) << in_order;
    EXPECT_TRUE(got->live());
    EXPECT_EQ(got->session->channel, got);
    for (const auto& [conn, why] : box.effects.closed) EXPECT_EQ(conn, older.conn);
  }
}

TEST(Restorer, ADamagedCookieEndsItsConnectionOnly) {
  CoreBox before;
  Channel& ch = before.client("c");
  before.core.subscriptions.add(*ch.session, "a/#", {1}, 9);
  const protocol::link::Attach whole = attach_of(before, ch);
  Random random(32);
  int ended = 0;
  for (int i = 0; i < 500; ++i) {
    CoreBox box;
    protocol::link::Attach a = whole;
    for (std::string& slot : a.cookie)
      if (!slot.empty() && random.one_in(2)) slot = random.damaged(slot);
    box.core.restorer.attach(a, box.now);
    const Channel* got = box.core.connections.find(ch.conn);
    ASSERT_NE(got, nullptr);
    ASSERT_NE(got->session == nullptr, got->live()) << "with a session, or at its end";
    ended += got->live() ? 0 : 1;
  }
  EXPECT_GT(ended, 50);
}

TEST(Restorer, WhatANewEngineHearsMayBeAReplay) {
  CoreBox box;
  box.core.replay.orphans()[{77, base::ConnId{3, 1}.packed()}] = {{150, "outcome"}};
  protocol::link::Attach a;
  a.conn = {3, 1};
  a.in_ack = 100;
  a.in_end = 200;
  box.core.restorer.attach(a, box.now);
  Channel* ch = box.core.connections.find({3, 1});
  ASSERT_NE(ch, nullptr);
  EXPECT_EQ(ch->in_off, 100u);
  EXPECT_EQ(ch->replay_end, 200u);
  EXPECT_TRUE(ch->newcomer) << "it has not logged in";
  ch->in_off = 150;
  ASSERT_NE(box.core.replay.outcome_of(*ch), nullptr);
  EXPECT_TRUE(box.core.replay.orphans().empty()) << "it is not left over any more";
}

}  // namespace
}  // namespace berth::test
