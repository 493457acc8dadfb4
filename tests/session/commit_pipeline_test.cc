// What is written, and what waits until it is durable.
#include "session/commit_pipeline.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "tests/support/core_box.h"
#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

TEST(Store, NothingIsAcknowledgedBeforeItsCommit) {  // I1
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(60)});
  w.feed(s, subscribe(1, "t", 1));
  const int p = w.open_connected({.client_id = "p"});
  const int q = w.open_connected({.client_id = "q"});
  w.feed(q, subscribe(1, "other", 0));
  w.packets(s);
  w.packets(p);
  w.packets(q);
  w.hold_commits(true);
  w.feed(p, publish("t", "m", 1, 1));
  EXPECT_TRUE(w.packets(p).empty());
  EXPECT_TRUE(w.packets(s).empty());
  const int r = w.open_connected({.client_id = "r"});
  w.packets(r);
  w.feed(r, publish("other", "flows", 0));
  EXPECT_EQ(payloads(w.packets(q)), Strings{"flows"}) << "QoS 0 of others is not held up";
  w.hold_commits(false);
  EXPECT_EQ(only(w.packets(p), 4).id(), 1u);
  EXPECT_EQ(payloads(w.packets(s)), Strings{"m"});
}

TEST(Store, EffectsKeepTheOrderOfInputs) {  // I3: inputs take effect in order
  World w;
  const int s = w.open_connected({.client_id = "s", .clean = false, .properties = expiry(60)});
  w.feed(s, subscribe(1, "t", 1));
  const int v = w.open_connected({.client_id = "v"});
  w.feed(v, subscribe(1, "#", 0));
  w.packets(v);
  const int p = w.open_connected({.client_id = "p"});
  w.hold_commits(true);
  w.feed(p, publish("t", "1", 1, 1) + publish("u", "2", 0) + publish("t", "3", 1, 2));
  EXPECT_TRUE(payloads(w.packets(v)).empty());
  w.hold_commits(false);
  EXPECT_EQ(payloads(w.packets(v)), (Strings{"1", "2", "3"}));
}

// -- the room alone

// Runs calls, which say by `again` that they have to wait for another batch.
struct Pipeline : session::CommitSink {
  CoreBox box;  // its own pipeline is not used
  session::CommitPipeline commits{box.cx, *this, box.core.connections, box.core.sessions};
  Strings ran;
  std::set<std::string> again;

  bool run(session::Deferred& d, base::Instant now) override {
    d.call(now);
    if (again.erase(ran.back()) == 0) return true;
    commits.barrier();
    return false;
  }
  void durable(session::Session& s, base::Instant) override {
    ran.push_back("durable " + s.client_id);
  }
  void refused(session::Session& s) override { ran.push_back("refused " + s.client_id); }

  void defer(session::Channel& ch, const std::string& name) {
    commits.defer_call(ch, [this, name](base::Instant) { ran.push_back(name); });
  }
  session::Deferred call(const std::string& name) {
    session::Deferred d;
    d.kind = session::Deferred::Kind::call;
    d.call = [this, name](base::Instant) { ran.push_back(name); };
    return d;
  }
  void committed() { commits.committed({}, box.now); }
  Strings take() { return std::exchange(ran, {}); }
};

TEST(CommitPipeline, WhatIsDeferredWaitsForItsBatchAndNoOther) {
  Pipeline p;
  session::Channel& a = p.box.connection(0);
  p.commits.barrier();
  p.defer(a, "first");
  ASSERT_TRUE(p.commits.seal());
  p.commits.barrier();
  p.defer(a, "second");
  ASSERT_TRUE(p.commits.seal());
  EXPECT_EQ(a.pending, 2u);
  p.committed();
  EXPECT_EQ(p.take(), Strings{"first"});
  p.committed();
  EXPECT_EQ(p.take(), Strings{"second"});
  EXPECT_EQ(p.box.probe.commits, 2u);
  EXPECT_FALSE(p.commits.seal()) << "nothing was written";
}

TEST(CommitPipeline, ABatchWithoutHurryWaitsForWhatComesNext) {
  Pipeline p;
  const auto note = [&](const char* name) {
    p.commits.unhurried([&] {
      p.commits.barrier();
      p.commits.submit(p.call(name), true, p.box.now);
    });
  };
  note("first");
  EXPECT_FALSE(p.commits.wants_commit());
  EXPECT_FALSE(p.commits.seal());
  EXPECT_TRUE(p.commits.has_uncommitted());
  p.defer(p.box.connection(0), "in a hurry");
  ASSERT_TRUE(p.commits.seal());
  EXPECT_FALSE(p.commits.wants_commit());
  note("second");
  p.committed();
  EXPECT_EQ(p.take(), (Strings{"first", "in a hurry"}));
  EXPECT_FALSE(p.commits.seal()) << "the hurry was that of the batch before";
  p.commits.hurry();
  ASSERT_TRUE(p.commits.seal());
  p.committed();
  EXPECT_EQ(p.take(), Strings{"second"});
}

TEST(CommitPipeline, AWriteBesideABatchWithoutHurryTakesItAlong) {
  Pipeline p;
  p.commits.unhurried([&] { p.commits.barrier(); });
  p.commits.barrier();
  const auto batch = p.commits.seal();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->size(), 2u);
}

TEST(CommitPipeline, AnInputRunsAtOnceUnlessItWroteOrOthersOfItsConnectionWait) {
  Pipeline p;
  session::Channel& a = p.box.connection(0);
  session::Channel& b = p.box.connection(1);
  p.commits.barrier();
  p.commits.defer_or_run(a, p.call("a wrote"), true, p.box.now);
  p.commits.defer_or_run(a, p.call("a behind it"), false, p.box.now);
  p.commits.defer_or_run(b, p.call("b"), false, p.box.now);
  EXPECT_EQ(p.take(), Strings{"b"});
  p.commits.submit(p.call("no connection's"), false, p.box.now);
  EXPECT_EQ(p.take(), Strings{"no connection's"});
  p.commits.submit(p.call("a will's"), true, p.box.now);
  EXPECT_TRUE(p.take().empty());
  p.commits.seal();
  p.committed();
  EXPECT_EQ(p.take(), (Strings{"a wrote", "a behind it", "a will's"}));
}

// It goes to the front of the open batch, with what its connection has deferred after it.
TEST(CommitPipeline, WhatHasToWaitAgainStaysBeforeWhatCameLater) {
  Pipeline p;
  session::Channel& a = p.box.connection(0);
  session::Channel& b = p.box.connection(1);
  p.commits.barrier();
  p.defer(a, "a1");
  p.defer(b, "b1");
  p.defer(a, "a2");
  p.commits.seal();
  p.defer(b, "b2");  // meanwhile, in the open batch
  p.again = {"a1"};
  p.committed();
  EXPECT_EQ(p.take(), (Strings{"a1", "b1"})) << "a2 waits behind a1, b1 for nobody";
  ASSERT_TRUE(p.commits.seal());
  p.committed();
  EXPECT_EQ(p.take(), (Strings{"a1", "a2", "b2"}));
}

TEST(CommitPipeline, ALinkThatBrokeForgetsWhatItsConnectionsHaveDeferred) {
  Pipeline p;
  session::Channel& here = p.box.connection(0, 0);
  session::Channel& there = p.box.connection(0, 1);
  p.commits.barrier();
  p.defer(there, "sealed, there");
  p.defer(here, "sealed, here");
  p.commits.seal();
  p.commits.barrier();
  p.defer(there, "open, there");
  p.defer(here, "open, here");
  p.commits.submit(p.call("a will's"), true, p.box.now);
  p.commits.drop_link(1);
  p.committed();
  p.commits.seal();
  p.committed();
  EXPECT_EQ(p.take(), (Strings{"sealed, here", "open, here", "a will's"}));
}

TEST(CommitPipeline, GoesOnInTheNextTurnWhenThisOneIsSpent) {
  Pipeline p;
  session::Channel& a = p.box.connection(0);
  p.commits.barrier();
  for (int i = 0; i < 4; ++i) p.defer(a, std::to_string(i));
  p.commits.seal();
  p.box.cx.budget.begin_turn(session::TurnBudget::kPacket * 2);
  p.committed();
  EXPECT_EQ(p.take(), (Strings{"0", "1"}));
  EXPECT_TRUE(p.commits.has_due());
  p.box.cx.budget.begin_turn();
  p.commits.run_due(p.box.now);
  EXPECT_EQ(p.take(), (Strings{"2", "3"}));
  EXPECT_FALSE(p.commits.has_due());
  EXPECT_FALSE(p.commits.waits());
}

TEST(CommitPipeline, EntriesMayBeSentWhenTheirBatchIsCommitted) {
  Pipeline p;
  session::Channel& ch = p.box.client("c", 600);
  session::Session& offline = p.box.session("away", 600);
  p.commits.barrier();
  p.commits.touch(*ch.session, 3);
  p.commits.touch(*ch.session, 4);
  p.commits.touch(offline, 9);
  p.defer(ch, "effects");
  p.commits.seal();
  p.commits.barrier();
  p.commits.touch(*ch.session, 5);  // in the next batch
  p.commits.seal();
  EXPECT_EQ(ch.session->flow().durable_seq, 0u);
  p.committed();
  EXPECT_EQ(ch.session->flow().durable_seq, 4u);
  EXPECT_EQ(offline.flow().durable_seq, 9u);
  EXPECT_EQ(p.take(), (Strings{"effects", "durable c"})) << "once, behind the effects";
  p.committed();
  EXPECT_EQ(ch.session->flow().durable_seq, 5u);
}

TEST(CommitPipeline, WhoseWritesTheStoreHasRefusedIsTold) {
  Pipeline p;
  session::Channel& ch = p.box.client("c", 600);
  session::Session& offline = p.box.session("away", 600);
  p.commits.barrier();
  p.defer(ch, "effects");
  p.commits.seal();
  session::CommitResult r;
  r.refused = {ch.session->id, offline.id, {4711}};
  p.commits.committed(r, p.box.now);
  EXPECT_EQ(p.take(), (Strings{"refused c", "effects"})) << "before its effects";
}

TEST(CommitPipeline, WhatIsDeferredWithoutWritesRunsInTheNextTurn) {
  Pipeline p;
  session::Channel& a = p.box.connection(0);
  p.defer(a, "a");
  EXPECT_TRUE(p.box.cx.may_have_work);
  EXPECT_TRUE(p.commits.has_due());
  p.commits.run_due(p.box.now);
  EXPECT_EQ(p.take(), Strings{"a"});
}

TEST(CommitPipeline, KnowsWhetherAMessageThatWaitsIsRetained) {
  Pipeline p;
  EXPECT_FALSE(p.commits.any_retains());
  p.commits.barrier();
  p.commits.retains(false);
  EXPECT_FALSE(p.commits.any_retains());
  p.commits.retains();
  p.commits.seal();
  EXPECT_TRUE(p.commits.any_retains()) << "sealed";
  p.commits.barrier();
  p.commits.seal();
  p.committed();
  EXPECT_FALSE(p.commits.any_retains());
}

TEST(CommitPipeline, WorkOfManyPartsStopsWhereABatchIsFull) {
  Pipeline p;
  EXPECT_TRUE(p.commits.has_room());
  const std::string value(session::Fanout::kBatchBytes, 'x');
  p.commits.write({.kind = session::WriteKind::append, .session = {1}, .seq = 1, .value = value});
  EXPECT_FALSE(p.commits.has_room());
  p.commits.seal();
  EXPECT_TRUE(p.commits.has_room());
}

}  // namespace
}  // namespace berth::test
