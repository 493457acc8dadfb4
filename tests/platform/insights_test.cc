// Who makes trouble and why, as an edge asks an engine: devices and services in a World.
#include "platform/insights.h"

#include <gtest/gtest.h>

#include "platform/insights.pb.h"
#include "tests/support/place.h"

namespace berth::test {
namespace {

using platform::At;
using platform::InsightList;
using platform::TopList;
using protocol::link::CloseReason;

base::Address address(std::uint8_t last) {
  const std::uint8_t four[4] = {192, 0, 2, last};
  return base::Address::v4(four);
}

struct Asked : Place {
  using Place::Place;
  std::vector<platform::pb::Insight> list(InsightList which, const std::string& tenant = "acme",
                                          const std::vector<std::string>& sites = {},
                                          platform::TrafficBy by = {}) const {
    platform::pb::InsightsQuestion q;
    q.set_list(static_cast<std::uint32_t>(which));
    q.set_tenant(tenant);
    q.set_limit(100);
    q.set_by(static_cast<std::uint32_t>(by));
    for (const std::string& s : sites) q.add_sites(s);
    platform::pb::InsightsAnswer a;
    EXPECT_TRUE(a.ParseFromString(platform->devices().ask_insights(q.SerializeAsString())));
    return {a.items().begin(), a.items().end()};
  }
  int come_from(std::uint8_t last, const std::string& user, const std::string& client) {
    const int c = w.open();
    w.comes_from(c, address(last));
    w.feed(c, connect({.client_id = client, .user = user}));
    return c;
  }
};

TEST(Insights, ADeviceWhoseConnectionsEndAgainAndAgainIsListedWithTheMainCause) {
  Asked p;
  for (int i = 0; i < 5; ++i)
    p.w.close(p.come("acme/d/cam", "c1"),
              i == 2 ? CloseReason::peer_reset : CloseReason::keepalive_timeout);
  p.w.close(p.come("acme/d/calm", "c2"), CloseReason::peer_reset);
  for (int i = 0; i < 5; ++i) p.w.close(p.come("acme/d/drained", "c3"), CloseReason::drained);
  const auto all = p.list(InsightList::flapping);
  ASSERT_EQ(all.size(), 1u) << "one end is no flapping, and what we do is none";
  EXPECT_EQ(all[0].name(), "cam");
  EXPECT_EQ(all[0].site(), "north");
  EXPECT_EQ(all[0].count(), 5u);
  EXPECT_EQ(all[0].causes(static_cast<int>(platform::Cause::keep_alive)), 4u);
  EXPECT_TRUE(p.list(InsightList::flapping, "other").empty());
  EXPECT_TRUE(p.list(InsightList::flapping, "acme", {"south"}).empty());
  EXPECT_EQ(p.list(InsightList::flapping, "acme", {"south", "north"}).size(), 1u);
  EXPECT_EQ(p.list(InsightList::flapping, "").size(), 1u) << "an administrator asks for all";
  p.w.advance_s(3700);
  p.platform->tick(p.w.now());
  EXPECT_TRUE(p.list(InsightList::flapping).empty()) << "it is of the last hour";
}

TEST(Insights, RefusedLogInsSayWhoFromWhereAndWhy) {
  Asked p;
  p.book.gone.insert(session::Principal{"acme", session::Role::device, "thief"}.key());
  for (int i = 0; i < 3; ++i) p.come_from(7, "acme/d/thief", "c1");
  p.come_from(8, "acme/d/thief", "c1");
  p.come_from(7, "acme/d/cam", "c2");
  const auto all = p.list(InsightList::refused);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name(), "acme/d/thief");
  EXPECT_EQ(all[0].address(), "192.0.2.7");
  EXPECT_EQ(all[0].reason(), "not authorized");
  EXPECT_EQ(all[0].count(), 3u);
  EXPECT_EQ(all[1].count(), 1u);
  EXPECT_TRUE(p.list(InsightList::refused, "other").empty());
}

TEST(Insights, WhoReadsTooSlowlyIsListedWithWhatWasDropped) {
  session::BrokerOptions o;
  o.queue_messages_max = 10;
  Asked p(-1, o);
  const int slow = p.come("acme/s/slow", "s1", {.clean = false, .properties = expiry(600)});
  p.w.feed(slow, subscribe(1, "v1/#", 1));
  const int cam = p.come("acme/d/cam", "c1");
  p.w.close(slow);
  for (unsigned i = 1; i <= 30; ++i) p.w.feed(cam, publish("v1/event/x", "1", 1, i));
  p.pass_s(1);
  const auto all = p.list(InsightList::slow);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].name(), "slow");
  EXPECT_TRUE(all[0].is_account());
  EXPECT_EQ(all[0].queue(), 10u);
  EXPECT_GE(all[0].count(), 20u);
  p.w.close(p.come("acme/d/full", "c2"), CloseReason::slow_consumer);
  const auto more = p.list(InsightList::slow);
  ASSERT_EQ(more.size(), 2u);
  EXPECT_EQ(more[1].name(), "full");
  EXPECT_EQ(more[1].ended(), 1u);
}

TEST(Insights, TwoDevicesWithOneClientIdAreListedWithBothAddresses) {
  Asked p;
  for (int i = 0; i < 3; ++i) {
    p.come_from(1, "acme/d/cam", "same");
    p.come_from(2, "acme/d/cam", "same");
  }
  p.come_from(3, "acme/d/moved", "other");
  p.come_from(4, "acme/d/moved", "other");
  const auto all = p.list(InsightList::shared_ids);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].client_id(), "same");
  EXPECT_EQ(all[0].count(), 5u);
  EXPECT_EQ(all[0].address(), "192.0.2.1");
  EXPECT_EQ(all[0].other_address(), "192.0.2.2");
}

TEST(Insights, WhoSendsMostIsKnownWithoutCountingMessages) {
  Asked p;
  const int loud = p.come("acme/d/loud", "c1");
  const int calm = p.come("acme/d/calm", "c2");
  p.come("acme/d/silent", "c3");
  for (int i = 0; i < 150; ++i) {
    p.w.feed(loud, publish("v1/telemetry/x", std::string(1000, 'x'), 0, 0));
    if (i % 10 == 0) p.w.feed(calm, publish("v1/telemetry/x", "1", 0, 0));
    p.pass_s(1);
  }
  const auto devices = p.list(InsightList::traffic);
  ASSERT_GE(devices.size(), 1u);
  EXPECT_EQ(devices[0].name(), "loud");
  EXPECT_NEAR(static_cast<double>(devices[0].bytes()), 1000, 150);
  const auto tenants = p.list(InsightList::traffic, "acme", {}, platform::TrafficBy::tenant);
  ASSERT_EQ(tenants.size(), 1u);
  EXPECT_EQ(tenants[0].messages(), 1u);
  EXPECT_NEAR(static_cast<double>(tenants[0].bytes()), 1000, 150);
  EXPECT_EQ(p.list(InsightList::traffic, "", {}, platform::TrafficBy::site).size(), 1u);
}

TEST(Insights, AQuotaThatIsUsedUpIsInTheHistoryOnceAMinute) {
  Asked p;
  p.book.limits["acme/"] = {.messages_per_s = 1};
  const int cam = p.come("acme/d/cam", "c1");
  for (int i = 0; i < 50; ++i) p.w.feed(cam, publish("v1/telemetry/x", "1", 0, 0));
  const auto written = [&] {
    metrics::EngineProbe probe;
    p.platform->devices().refresh(probe);
    return probe.history_written;
  };
  EXPECT_EQ(written(), 2u) << "it has come, and it has used up its quota";
  p.pass_s(61);
  for (int i = 0; i < 50; ++i) p.w.feed(cam, publish("v1/telemetry/x", "1", 0, 0));
  EXPECT_EQ(written(), 3u);
}

TEST(Insights, ADeviceThatMovesBeginsAgainAtItsNewSite) {
  TopList list;
  const At at{{1000}, 1000};
  const TopList::Place north{.tenant = "a", .site = "north", .name = "cam", .address = "10.0.0.1"};
  TopList::Place south = north;
  south.site = "south";
  south.address = "10.0.0.2";
  for (int i = 0; i < 3; ++i) list.count("cam", north, at);
  TopList::Place gone = south;
  gone.site.clear();
  list.count("cam", south, at);
  list.count("cam", gone, at);
  list.each([&](const TopList::Place& p) {
    EXPECT_EQ(p.site + " " + p.address, "south 10.0.0.2");
    EXPECT_EQ(p.times.sum(at.now), 2u);
  });
}

TEST(Insights, TheLastEndsOfAClientHaveTheirCauses) {
  Asked p;
  const int first = p.come_from(7, "acme/d/cam", "c1");
  p.come_from(8, "acme/d/cam", "c1");
  p.w.close(p.come_from(9, "", "stranger"), CloseReason::peer_reset);
  p.w.close(p.come_from(9, "", "stranger"), CloseReason::drained);
  (void)first;
  const auto of_cam = p.list(InsightList::ends);
  ASSERT_EQ(of_cam.size(), 1u) << "of the tenant that is asked for";
  EXPECT_EQ(of_cam[0].name(), "cam");
  EXPECT_EQ(of_cam[0].cause(), static_cast<std::uint32_t>(platform::Cause::taken_over));
  EXPECT_TRUE(of_cam[0].address().starts_with("192.0.2.7:")) << of_cam[0].address();
  const auto all = p.list(InsightList::ends, "");
  ASSERT_EQ(all.size(), 3u);
  std::string said;
  for (const auto& i : all)
    if (i.client_id() == "stranger") said += i.tenant() + i.detail() + " ";
  EXPECT_EQ(said, "drained peer_reset ") << "what the gateway did too, the newest first";
}

TEST(Insights, ConnectionsAreCountedBySiteUserAndAddress) {
  Asked p;
  p.come_from(7, "acme/d/cam", "c1");
  p.come_from(7, "acme/d/door", "c2");
  p.come_from(8, "", "a1");
  p.come_from(8, "", "a2");
  p.come_from(8, "", "a3");
  p.w.close(p.come_from(9, "", "gone"), CloseReason::peer_reset);
  const auto all = p.list(InsightList::connections, "");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].address(), "192.0.2.8");
  EXPECT_EQ(all[0].count(), 3u);
  EXPECT_EQ(all[1].tenant() + "/" + all[1].site(), "acme/north");
  EXPECT_EQ(all[1].count(), 2u);
  EXPECT_EQ(p.list(InsightList::connections, "acme").size(), 1u);
  EXPECT_TRUE(p.list(InsightList::connections, "acme", {"south"}).empty());
}

// A device whose name comes again and again stands in the table, whatever others do.
TEST(Insights, NoTenantPushesAnotherOneOutOfATable) {
  TopList list;
  const At at{{1000}, 1000};
  for (int i = 0; i < 3; ++i) list.count("small", {.tenant = "b", .name = "small"}, at);
  for (int i = 0; i < 5000; ++i) {
    const std::string name = std::to_string(i);
    list.count(name, {.tenant = "a", .name = name}, at);
    if (i % 50 == 0) list.count("often", {.tenant = "a", .name = "often"}, at);
  }
  EXPECT_EQ(list.size(), TopList::kPlaces);
  std::uint64_t small = 0;
  std::uint64_t often = 0;
  list.each([&](const TopList::Place& p) {
    if (p.name == "small") small = p.times.sum(at.now);
    if (p.name == "often") often = p.times.sum(at.now);
  });
  EXPECT_EQ(small, 3u);
  EXPECT_GE(often, 50u);
  EXPECT_LE(often, 100u) << "never said too high";
}

}  // namespace
}  // namespace berth::test
