// Session records as the store keeps them.
#include "session/session_records.h"

#include <gtest/gtest.h>

#include "session/principal_key.h"
#include "session/records.pb.h"
#include "tests/support/core_box.h"

namespace berth::test {
namespace {

using session::Session;

// The record that put() has written; its write has this session's epoch.
session::pb::Session put(CoreBox& box, Session& s) {
  box.core.records.put(s);
  const auto batch = box.core.commits.seal();
  session::pb::Session r;
  EXPECT_TRUE(batch && batch->size() == 1);
  if (!batch) return r;
  const session::Write w = (*batch)[0];
  EXPECT_EQ(w.kind, session::WriteKind::put_session);
  EXPECT_EQ(w.session, s.id);
  EXPECT_EQ(w.epoch, s.epoch);
  EXPECT_TRUE(r.ParseFromArray(w.value.data(), static_cast<int>(w.value.size())));
  box.core.commits.committed({}, box.now);
  return r;
}

TEST(SessionRecords, FiltersStandInTheRecordAsTheyWereSubscribed) {
  CoreBox box;
  Session& s = box.session("c", 600);
  box.core.subscriptions.add(s, "a/#", {2}, 0);
  box.core.subscriptions.add(s, "$share/g/a/+", {1 | 8}, 77);
  const auto r = put(box, s);
  ASSERT_EQ(r.subscriptions_size(), 2);
  EXPECT_EQ(r.subscriptions(0).filter(), "a/#");
  EXPECT_EQ(r.subscriptions(0).options(), 2u);
  EXPECT_EQ(r.subscriptions(1).filter(), "$share/g/a/+");
  EXPECT_EQ(r.subscriptions(1).options(), 9u);
  EXPECT_EQ(r.subscriptions(1).id(), 77u);
  EXPECT_TRUE(r.shared());
  EXPECT_EQ(r.expiry_s(), 600u);
  EXPECT_TRUE(r.keyed());
}

TEST(SessionRecords, OfExpiry0HasFiltersOnlyWhereItKeepsThem) {
  CoreBox box;
  Session& s = box.session("c", 0);
  box.core.subscriptions.add(s, "a", {1}, 0);
  EXPECT_EQ(put(box, s).subscriptions_size(), 0) << "its cookie has them";
  s.keeps_filters = true;
  const auto r = put(box, s);
  EXPECT_EQ(r.subscriptions_size(), 1);
  EXPECT_TRUE(r.keeps_filters());
}

TEST(SessionRecords, ASessionThatHasARecordIsAStoredOne) {
  CoreBox box;
  Session& s = box.session("c", 0);
  EXPECT_FALSE(s.stored);
  put(box, s);
  EXPECT_TRUE(s.stored);
}

TEST(SessionRecords, AnExpiryRunsOnlyWhileItsDeviceIsAway) {
  CoreBox box;
  session::Channel& ch = box.client("c", 600);
  Session& s = *ch.session;
  s.expires_at = box.now.plus_s(600);
  EXPECT_EQ(put(box, s).expires_at_ms(), 0);
  box.core.sessions.offline(s, session::Offline::device);
  EXPECT_EQ(put(box, s).expires_at_ms(), box.now.plus_s(600).ms);
  s.expires_at = base::kNever;
  EXPECT_EQ(put(box, s).expires_at_ms(), 0);
}

TEST(SessionRecords, ASessionOfTheLastReleaseStaysAsItWasFound) {
  CoreBox box;
  const auto r = put(box, box.session(std::string(session::kUnownedKey) + "c", 600));
  EXPECT_EQ(r.client_id(), "c");
  EXPECT_FALSE(r.keyed());
}

TEST(SessionRecords, AWillSaysWhetherItWaitsAndForWhom) {
  CoreBox box;
  Session& s = box.session("c", 600);
  EXPECT_FALSE(put(box, s).has_will());
  s.will = std::make_unique<session::Will>();
  s.will->message = session::MessagePtr(message("w", "gone", 1));
  auto r = put(box, s);
  EXPECT_EQ(r.will().topic(), "w");
  EXPECT_EQ(r.will().payload(), "gone");
  EXPECT_EQ(r.will_at_ms(), 0) << "its device is there";
  EXPECT_FALSE(r.will_is_ours());
  s.will->at = box.now.plus_s(60);
  s.will->ours = true;
  r = put(box, s);
  EXPECT_EQ(r.will_at_ms(), box.now.plus_s(60).ms);
  EXPECT_TRUE(r.will_is_ours());
}

TEST(SessionRecords, AnAnonymousOneSaysForWhichAddressItCounts) {
  CoreBox box;
  base::Address from;
  from.bytes[15] = 7;
  Session& s = box.session("c", 600);
  box.core.sessions.hold(s, session::address_key(from));
  const auto r = put(box, s);
  ASSERT_EQ(r.address().size(), from.bytes.size());
  EXPECT_EQ(r.address().back(), 7);
  Session& known = box.session(session::user_key("ann") + "c", 600);
  box.core.sessions.hold(known, session::user_key("ann"));
  EXPECT_TRUE(put(box, known).address().empty());
}

TEST(SessionRecords, AnEndedOneNamesItsGroups) {
  CoreBox box;
  Session& s = box.session("c", 600);
  box.core.estates.add(s.id, {.groups = {17, 4'000'000'000}});
  const auto r = put(box, s);
  EXPECT_TRUE(r.ended());
  ASSERT_EQ(r.groups_size(), 2);
  EXPECT_EQ(r.groups(1), 4'000'000'000u);
}

}  // namespace
}  // namespace berth::test
