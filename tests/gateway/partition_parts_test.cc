// What the server of a partition knows of its store, and by which deadlines it leaves.
#include <gtest/gtest.h>

#include "base/clock.h"
#include "gateway/cluster/departure.h"
#include "gateway/cluster/store_view.h"

namespace berth::gateway::cluster {
namespace {

using base::kMs;

LeaseWatch::View seen(const std::string& holder) {
  LeaseWatch::View v;
  v.reachable = true;
  v.lease.holder = holder;
  return v;
}

TEST(StoreView, ALeaseIsFreeForAsLongAsNobodyHeldIt) {
  StoreView store;
  EXPECT_FALSE(store.seen());
  store.see(seen(""), "");
  EXPECT_FALSE(store.free_for(1000 * kMs, 200 * kMs));
  EXPECT_FALSE(store.free_for(1200 * kMs, 200 * kMs));
  EXPECT_TRUE(store.free_for(1201 * kMs, 200 * kMs));
  store.see(seen("another"), "");
  EXPECT_FALSE(store.free_for(1300 * kMs, 200 * kMs));
  store.see(seen(""), "");
  EXPECT_FALSE(store.free_for(2000 * kMs, 200 * kMs)) << "counted anew";
}

TEST(StoreView, AStoreOutOfReachKeepsWhichEdgesWereKnown) {
  StoreView store;
  LeaseWatch::View v = seen("another");
  v.lease.edges = {{1, "a/0"}, {2, "b/1"}};
  store.see(v, "");
  EdgeRoster here;
  const auto number = here.number_for(2);
  ASSERT_TRUE(number);
  here[*number].linked = true;
  store.see(LeaseWatch::View{}, "");
  EXPECT_TRUE(store.seen());
  EXPECT_FALSE(store.reachable());
  EXPECT_EQ(store.edges_missing(here), 1u);
  EXPECT_EQ(store.text_of_missing(here), "edge a/0");
}

TEST(StoreView, OnlyOurOwnWarmingCounts) {
  StoreView store;
  LeaseWatch::View v = seen("us");
  v.lease.warm = "7";
  v.lease.warmed = 1;
  store.see(v, "8");
  EXPECT_FALSE(store.warmed());
  store.see(v, "7");
  EXPECT_TRUE(store.warmed());
}

TEST(Departure, ASuccessorIsWaitedForAndThoseThatAreSlowerForAMoment) {
  Departure d;
  EXPECT_TRUE(d.begin());
  EXPECT_FALSE(d.begin());
  d.await_successor("7", 0, 60);
  EXPECT_EQ(d.warming(), "7");
  EXPECT_FALSE(d.successor_waits_no_more(4999 * kMs, false, false));
  EXPECT_TRUE(d.successor_waits_no_more(5000 * kMs, false, false));
  d.await_successor("7", 0, 60);
  EXPECT_FALSE(d.successor_waits_no_more(1000 * kMs, true, false));
  EXPECT_TRUE(d.successor_waits_no_more(1200 * kMs, true, false));
  EXPECT_FALSE(d.successor_waits_no_more(1200 * kMs, true, true)) << "an edge is out of reach";
  EXPECT_TRUE(d.successor_waits_no_more(60'000 * kMs, true, true));
}

TEST(Departure, AStoreThatTakesNoWritesIsNotWaitedForWithoutEnd) {
  Departure d;
  d.await_quiet(1 * kMs);
  EXPECT_FALSE(d.edges_late(501 * kMs));
  EXPECT_TRUE(d.edges_late(502 * kMs));
  EXPECT_FALSE(d.store_stuck(1000 * kMs, false));
  EXPECT_FALSE(d.store_stuck(4000 * kMs, false));
  EXPECT_TRUE(d.store_stuck(4001 * kMs, false));
  EXPECT_FALSE(d.store_stuck(4002 * kMs, true));
  EXPECT_FALSE(d.overdue(10'501 * kMs, 10));
  EXPECT_TRUE(d.overdue(10'502 * kMs, 10));
}

}  // namespace
}  // namespace berth::gateway::cluster
