// What streams of events ask an engine.
#include "platform/recent_events.h"

#include <gtest/gtest.h>

#include "platform/history.pb.h"

namespace berth::platform {
namespace {

struct RecentBox {
  RecentBox() { recent.begin(clock); }
  // An engine that follows another, which has stored `record`; its clock is `behind` that one's.
  RecentBox(const RecentBox& other, const std::string& record, std::int64_t behind_ms)
      : clock(other.clock - behind_ms), q(other.q) {
    recent.restored(record);
    recent.begin(clock);
  }
  void happens(const std::string& device, const std::string& site = "north",
               const std::string& tenant = "acme", std::uint32_t kind = 1) {
    pb::HistoryEvent e;
    e.set_at_ms(recent.time_for(clock));
    e.set_number(number++);
    e.set_device(device);
    e.set_site(site);
    e.set_kind(kind);
    recent.add(tenant, std::move(e));
  }
  // The devices of events since the last call.
  std::string next(std::uint32_t limit = 100) {
    pb::EventsAnswer a;
    q.set_limit(limit);
    EXPECT_TRUE(a.ParseFromString(recent.answer(q.SerializeAsString(), clock)));
    std::string all;
    for (const auto& e : a.events()) all += e.device() + " ";
    if (a.gap_ms() != 0) all = "gap " + all;
    q.set_from_ms(a.through_ms());
    q.set_from_number(a.through_number());
    return all;
  }
  std::int64_t clock = 1'000'000;
  std::uint64_t number = 7;
  RecentEvents recent;
  pb::EventsQuestion q;
};

TEST(RecentEvents, EachIsSaidOnceAndNothingComesBeforeWhatWasSaid) {
  RecentBox box;
  box.happens("before");
  EXPECT_EQ(box.next(), "") << "from now on";
  box.happens("a");
  box.happens("b");
  EXPECT_EQ(box.next(), "a b ");
  box.clock -= 5000;  // the wall clock is set back
  box.happens("c");
  EXPECT_EQ(box.next(), "c ");
  EXPECT_EQ(box.next(), "");
  for (const char* d : {"d", "e", "f"}) box.happens(d);
  EXPECT_EQ(box.next(2), "d e ");
  EXPECT_EQ(box.next(2), "f ");
}

TEST(RecentEvents, TheNextEnginesClockMayBeBehind) {
  RecentBox box;
  box.next();
  box.happens("a");
  EXPECT_EQ(box.next(), "a ");
  const std::string record = box.recent.record();
  ASSERT_FALSE(record.empty());
  EXPECT_EQ(box.recent.record(), "") << "nothing new";

  RecentBox after(box, record, 5000);
  after.happens("b");
  EXPECT_EQ(after.next(), "gap b ") << "and what happened between is in the history";
  after.happens("c");
  EXPECT_EQ(after.next(), "c ");
}

TEST(RecentEvents, IsStoredOnceInAWhile) {
  RecentBox box;
  int records = 0;
  for (int ms = 0; ms < 1000; ++ms, ++box.clock) {
    box.next();
    if (!box.recent.record().empty()) ++records;
  }
  EXPECT_LE(records, 1000 / RecentEvents::kAhead_ms + 1);
  EXPECT_GT(records, 1);
}

TEST(RecentEvents, OthersAreNotSaid) {
  RecentBox box;
  box.next();
  box.q.set_tenant("acme");
  box.q.add_sites("north");
  box.q.add_kinds(1);
  box.happens("a");
  box.happens("b", "south");
  box.happens("c", "north", "other");
  box.happens("d", "north", "acme", 2);
  EXPECT_EQ(box.next(), "a ");
  box.q.set_device("e");
  box.happens("a");
  box.happens("e");
  EXPECT_EQ(box.next(), "e ");
}

TEST(RecentEvents, WhoAsksForMoreThanIsThereIsTold) {
  RecentBox box;
  box.next();
  for (std::size_t i = 0; i < RecentEvents::kKept; ++i) box.happens("x");
  EXPECT_EQ(box.recent.gaps(), 0u);
  box.happens("x");
  EXPECT_EQ(box.next(1), "gap x ");
  EXPECT_EQ(box.recent.gaps(), 1u);
  EXPECT_EQ(box.next(1), "x ");
  RecentBox another;  // an engine that has begun later
  another.clock += 60'000;
  another.recent.begin(another.clock);
  another.q.set_from_ms(box.clock);
  EXPECT_EQ(another.next(), "gap ");
  EXPECT_EQ(another.next(), "");
}

}  // namespace
}  // namespace berth::platform
