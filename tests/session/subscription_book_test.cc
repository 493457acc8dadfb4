// Who has subscribed to what: in the router, in the session, in the totals and for other
// partitions, always the same.
#include "session/subscription_book.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/mqtt/topic.h"
#include "session/principal_key.h"
#include "tests/support/core_box.h"
#include "tests/support/packets.h"

namespace berth::test {
namespace {

using session::Session;

Strings filters_of(CoreBox& box, const Session& s) {
  Strings all;
  for (const session::Subscription& sub : s.subscriptions)
    all.push_back(box.core.records.raw_filter(sub));
  std::sort(all.begin(), all.end());
  return all;
}
std::size_t receivers(CoreBox& box, const char* topic) {
  return box.core.router.match(topic).targets.size() + box.core.router.match(topic).groups.size();
}

class Allows final : public session::AccessPolicy {
 public:
  bool may_publish(const session::Identity&, std::string_view) const override { return true; }
  bool may_subscribe(const session::Identity& who, std::string_view filter) const override {
    return filter.starts_with(who.user_name);
  }
};

TEST(SubscriptionBook, ASecondSubscriptionToAFilterReplacesTheFirst) {
  CoreBox box;
  Session& s = box.session("c", 600);
  EXPECT_TRUE(box.core.subscriptions.add(s, "a/+", {1}, 5));
  const std::uint64_t changed = s.changed;
  EXPECT_FALSE(box.core.subscriptions.add(s, "a/+", {2}, 6));
  ASSERT_EQ(s.subscriptions.size(), 1u);
  EXPECT_EQ(s.subscriptions[0].options.raw, 2);
  EXPECT_EQ(s.subscriptions[0].id, 6u);
  EXPECT_EQ(s.changed, changed) << "it is where it was in the order of messages";
  EXPECT_EQ(box.core.sessions.subscriptions(), 1u);
  EXPECT_EQ(box.core.router.match("a/b").targets[0].options.raw, 2);
  EXPECT_TRUE(box.core.subscriptions.add(s, "$share/g/a/+", {1}, 0)) << "another subscription";
  EXPECT_TRUE(s.shared);
  EXPECT_GT(s.changed, changed);
}

TEST(SubscriptionBook, WhatIsRemovedIsGoneEverywhere) {
  CoreBox box;
  Session& s = box.session("c", 600);
  box.core.sessions.hold(s, session::user_key("ann"));
  box.core.subscriptions.add(s, "a", {1}, 0);
  box.core.subscriptions.add(s, "$share/g/a", {1}, 0);
  EXPECT_EQ(receivers(box, "a"), 2u);
  const std::uint32_t held = s.held.bytes();
  EXPECT_TRUE(box.core.subscriptions.remove(s, "$share/g/a"));
  EXPECT_FALSE(box.core.subscriptions.remove(s, "$share/g/a"));
  EXPECT_FALSE(box.core.subscriptions.remove(s, "$share/x/a")) << "another group";
  EXPECT_FALSE(box.core.subscriptions.remove(s, "a/#/b")) << "no filter";
  EXPECT_EQ(filters_of(box, s), Strings{"a"});
  EXPECT_EQ(receivers(box, "a"), 1u);
  EXPECT_EQ(box.core.sessions.subscriptions(), 1u);
  EXPECT_LT(s.held.bytes(), held);
  box.core.subscriptions.drop_all(s);
  EXPECT_EQ(receivers(box, "a"), 0u);
  EXPECT_EQ(s.held.bytes(), 0u);
  EXPECT_EQ(box.core.sessions.subscriptions(), 0u);
  EXPECT_TRUE(s.subscriptions.empty());
}

TEST(SubscriptionBook, OtherPartitionsHearOfEachFilter) {
  session::BrokerOptions o;
  o.partitions = 2;
  CoreBox box(o);
  Strings told;
  box.core.route_book.watch([&](std::string_view raw, bool added) {
    told.push_back((added ? "+" : "-") + std::string(raw));
  });
  Session& s = box.session("c", 600);
  box.core.subscriptions.add(s, "$share/g/a", {1}, 0);
  box.core.subscriptions.add(s, "$share/g/a", {2}, 0);
  box.core.subscriptions.remove(s, "$share/g/a");
  box.core.subscriptions.add(s, "$share/g/a", {1}, 0);
  box.core.subscriptions.drop_all(s);
  EXPECT_EQ(told, (Strings{"+$share/g/a", "-$share/g/a", "+$share/g/a", "-$share/g/a"}));
}

TEST(SubscriptionBook, AScopeTakesBackWhatItDoesNotAllow) {
  CoreBox box;
  session::Channel& ch = box.client("c", 600);
  Session& s = *ch.session;
  const session::Scope before({"acme", session::Role::service, "p"}, "", {});
  std::string inside;
  for (const char* filter : {"v1/north/#", "v1/south/#"}) {
    ASSERT_TRUE(before.enter_filter(filter, inside));
    box.core.subscriptions.add(s, inside, {1}, 0);
  }
  box.core.subscriptions.add(s, "$share/g/$tenant/acme/v1/north/x", {1}, 0);
  s.own_flow().last_seq = 9;
  ch.retained = std::make_unique<std::deque<session::RetainedItem>>();
  ch.retained->push_back(
      {.filter = "$tenant/acme/v1/south/#", .options = {}, .id = 0, .after = {}});
  ch.retained->push_back(
      {.filter = "$tenant/acme/v1/north/#", .options = {}, .id = 0, .after = {}});
  EXPECT_FALSE(box.core.subscriptions.revoke_by_scope(s, before));
  EXPECT_EQ(s.flow().check_through, 0u);
  const session::Scope north({"acme", session::Role::service, "p"}, "", {"north"});
  EXPECT_TRUE(box.core.subscriptions.revoke_by_scope(s, north));
  EXPECT_EQ(filters_of(box, s),
            (Strings{"$share/g/$tenant/acme/v1/north/x", "$tenant/acme/v1/north/#"}));
  EXPECT_EQ(s.flow().check_through, 9u) << "what is queued is looked at before it is sent";
  ASSERT_EQ(ch.retained->size(), 1u) << "nor is what was retained there sent any more";
  EXPECT_EQ(ch.retained->front().filter, "$tenant/acme/v1/north/#");
  const session::Scope person({"acme", session::Role::operator_, "p"}, "", {"north"});
  EXPECT_TRUE(box.core.subscriptions.revoke_by_scope(s, person)) << "nobody who looks may share";
  EXPECT_EQ(filters_of(box, s), Strings{"$tenant/acme/v1/north/#"});
}

TEST(SubscriptionBook, RulesTakeBackWhatTheyDoNotAllow) {
  CoreBox box;
  const Allows rules;
  box.core.gate.use_access(&rules);
  Session& ann = box.session(session::user_key("ann") + "c", 600);
  Session& anonymous = box.session("c", 600);
  for (Session* s : {&ann, &anonymous}) {
    box.core.subscriptions.add(*s, "ann/1", {1}, 0);
    box.core.subscriptions.add(*s, "bob/1", {1}, 0);
  }
  EXPECT_TRUE(box.core.subscriptions.revoke_by_rules(ann));
  EXPECT_EQ(filters_of(box, ann), Strings{"ann/1"});
  EXPECT_EQ(box.probe.rights_dropped, 1u);
  EXPECT_FALSE(box.core.subscriptions.revoke_by_rules(ann));
  EXPECT_FALSE(box.core.subscriptions.revoke_by_rules(anonymous))
      << "its rules may be of a name that its next CONNECT claims";
  EXPECT_EQ(anonymous.subscriptions.size(), 2u);
}

TEST(SubscriptionBook, WhoIsResumedIsReviewed) {
  CoreBox box;
  const Allows rules;
  session::Channel& ch = box.client("c", 600);
  ch.user_name = std::make_unique<std::string>("ann");
  ch.session->own_flow().last_seq = 4;
  box.core.subscriptions.add(*ch.session, "bob/1", {1}, 0);
  EXPECT_FALSE(box.core.subscriptions.review_resumed(ch)) << "everything is allowed";
  EXPECT_EQ(ch.session->flow().check_through, 0u);
  box.core.gate.use_access(&rules);
  EXPECT_TRUE(box.core.subscriptions.review_resumed(ch));
  EXPECT_TRUE(ch.session->subscriptions.empty());
  EXPECT_EQ(ch.session->flow().check_through, 4u);
}

TEST(SubscriptionBook, ManyFiltersOfExpiry0StandInARecord) {
  for (const bool replay : {true, false}) {
    CoreBox box({}, replay);
    session::Channel& ch = box.client("c");
    Session& s = *ch.session;
    box.core.sessions.hold(s, session::user_key("ann"));
    auto& book = box.core.subscriptions;
    book.add(s, filter_of(3000, 1), {1}, 0);
    EXPECT_FALSE(book.keeps_filters(s));
    EXPECT_FALSE(book.records_filters(ch, 100));
    EXPECT_EQ(book.records_filters(ch, 2000), replay) << "with what is asked for now";
    book.add(s, filter_of(3000, 2), {1}, 0);
    EXPECT_EQ(book.keeps_filters(s), replay);
    book.remove(s, filter_of(3000, 2));
    EXPECT_EQ(book.keeps_filters(s), replay) << "from then on";
  }
}

TEST(SubscriptionBook, ACookieNamesFiltersUntilTheirRecordIsDurable) {
  CoreBox box;
  session::Channel& ch = box.client("c");
  auto& book = box.core.subscriptions;
  book.filters_committed(nullptr);
  book.filters_committed(&ch);
  EXPECT_FALSE(ch.session->filters_stored) << "it has no record";
  ch.session->keeps_filters = true;
  book.filters_committed(&ch);
  EXPECT_TRUE(ch.session->filters_stored);
  EXPECT_TRUE(box.core.cookies.any_changed());
}

}  // namespace
}  // namespace berth::test
