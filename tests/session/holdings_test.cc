// What sessions may hold: filters and wills in bytes, sessions of a principal, and what of it an
// edge keeps in cookies.
#include "session/holdings.h"

#include <gtest/gtest.h>

#include <map>

#include "protocol/link/records.h"
#include "tests/support/packets.h"
#include "tests/support/tenants.h"

namespace berth::test {
namespace {

using protocol::link::CloseReason;
using protocol::link::CookieSlot;
using session::Holding;
using session::HoldingLimits;
using session::Holdings;

const std::string kCam(
    "acme\0"
    "0cam\0",
    10);
const std::string kPlatform(
    "acme\0"
    "1platform\0",
    15);

// As the table of sessions counts one.
Holding session_of(Holdings& all, const std::string& principal) {
  Holding h(all, principal);
  h.holder()->count(0, 1);
  return h;
}

TEST(Holdings, CountUpAndDownAndForgetWhoHoldsNothing) {
  Holdings all({.session_bytes = 1000, .principal_bytes = 5000, .tenant_bytes = 8000});
  {
    Holding a = session_of(all, kCam);
    EXPECT_TRUE(a.take({900, 2000}));
    EXPECT_FALSE(a.take({101, 1}));  // its own
    Holding will(all, kCam);
    EXPECT_TRUE(will.take({500, 2900}));
    EXPECT_FALSE(a.take({1, 200}));  // the principal's
    Holding b = session_of(all, kPlatform);
    EXPECT_FALSE(b.take({1, 3200}));  // the tenant's
    EXPECT_TRUE(b.take({1, 2000}));
    EXPECT_EQ(all.all().bytes(), 6900u);
    EXPECT_EQ(all.all().sessions(), 2u);
    Holding moved = std::move(a);
    EXPECT_EQ(all.all().bytes(), 6900u);
    moved.give_back({900, 2000});
    EXPECT_EQ(all.all().bytes(), 4900u);
    moved.holder()->count(0, -1);
    EXPECT_EQ(all.all().sessions(), 1u);
    b.holder()->count(0, -1);
  }
  EXPECT_EQ(all.all().bytes(), 0u);
  EXPECT_EQ(all.all().sessions(), 0u);
  EXPECT_EQ(all.sessions_of(kCam), 0u);
}

TEST(Holdings, TheLastTenthIsForNewcomers) {
  Holdings all({.principal_bytes = 0, .tenant_bytes = 0, .total_bytes = 1000});
  const std::string other(
      "other\0"
      "1x\0",
      9);
  Holding greedy(all, kCam);
  while (greedy.take({0, 10})) {
  }
  EXPECT_EQ(all.all().bytes(), 900u);
  Holding modest(all, other);
  EXPECT_TRUE(modest.take({0, 10}));
  EXPECT_FALSE(greedy.take({0, 10}));
  const HoldingLimits none{.per_account = 0};
  Holdings sessions(none);
  std::vector<Holding> taken;
  while (sessions.may_begin(kPlatform, taken.size(), 100))
    taken.push_back(session_of(sessions, kPlatform));
  EXPECT_EQ(taken.size(), 90u);
  EXPECT_TRUE(sessions.may_begin(other, taken.size(), 100));
}

TEST(Holdings, FiltersBeyondTheSessionsBytesAreRefused) {
  for (const bool kept : {false, true}) {
    SCOPED_TRACE(kept);
    Site s;
    const int c =
        s.come("acme/d/cam", "c",
               kept ? ConnectOptions{.clean = false, .properties = expiry(60)} : ConnectOptions{});
    unsigned refused = 0;
    for (int i = 0; i < 100; ++i) {
      s.w.feed(c, subscribe(static_cast<unsigned>(i + 1), filter_of(4000, i), 1));
      refused += answer(s.w, c, 9, 3) == 0x97 ? 1 : 0;
    }
    EXPECT_EQ(refused, 84u);  // 16 x 4,030 bytes fit into 64 KB
    EXPECT_EQ(s.w.probe().refused_filters, 84u);
    EXPECT_FALSE(s.w.ended(c));
    s.w.feed(c, subscribe(200, filter_of(4000, 0), 1));  // known: takes nothing
    EXPECT_EQ(answer(s.w, c, 9, 3), 1u);
    s.w.feed(c, unsubscribe(201, filter_of(4000, 0)));
    s.w.feed(c, subscribe(202, filter_of(4000, 101), 1));
    EXPECT_EQ(answer(s.w, c, 9, 3), 1u);
    s.w.crash();
    EXPECT_FALSE(s.w.ended(c));
    s.w.feed(c, subscribe(203, filter_of(4000, 102), 1));  // counted by the next engine too
    EXPECT_EQ(answer(s.w, c, 9, 3), 0x97u);
  }
}

TEST(Holdings, AWillCountsForItsSessionAndItsPrincipal) {
  session::BrokerOptions o;
  o.holdings.per_account = 0;
  o.holdings.principal_bytes = 100'000;
  Site s(-1, o);
  const auto with_will = [&](const std::string& client_id) {
    return s.come("acme/s/platform", client_id,
                  {.clean = false,
                   .properties = expiry(600),
                   .will_topic = "v1/x",
                   .will_payload = std::string(40'000, 'w')});
  };
  const int a = with_will("a");
  const int b = with_will("b");
  EXPECT_FALSE(s.w.ended(b));
  const int c = with_will("c");
  EXPECT_EQ(s.w.reason(c), CloseReason::refused);
  EXPECT_EQ(answer(s.w, c, 2, 1), 0x97u);
  EXPECT_EQ(s.w.probe().refused_wills, 1u);
  s.w.feed(a, disconnect());  // takes its will back
  EXPECT_FALSE(s.w.ended(with_will("d")));
  s.w.crash();
  EXPECT_EQ(s.w.reason(with_will("e")), CloseReason::refused);
}

TEST(Holdings, WillsWaitForTheirTenantsRate) {
  Site s;
  s.book.limits["acme/"].messages_per_s = 2;
  const int ear = s.come("acme/s/ear", "ear");
  s.w.feed(ear, subscribe(1, "#", 0));
  std::vector<int> all;
  for (int i = 0; i < 5; ++i)
    all.push_back(s.come("acme/d/cam" + std::to_string(i), "c" + std::to_string(i),
                         {.will_topic = "v1/state", .will_payload = "gone", .will_qos = 1}));
  s.w.advance_s(1);
  for (const int c : all) s.w.close(c);
  std::size_t heard = take_publishes(s.w, ear).size();
  EXPECT_LE(heard, 3u);
  s.w.crash();  // what waits is known to the next engine, which publishes it
  for (int i = 0; i < 10; ++i) {
    s.w.advance_s(1);
    heard += take_publishes(s.w, ear).size();
  }
  EXPECT_GE(heard, 5u);
}

// One session a device: another client id of it ends the one it had.
TEST(Holdings, ADeviceHasOneSession) {
  for (int crash_at = -1; crash_at < 60; ++crash_at) {
    SCOPED_TRACE(crash_at);
    Site s(crash_at);
    const ConnectOptions kept{.clean = false, .properties = expiry(600)};
    const int a = s.come("acme/d/gate", "a", kept);
    s.w.feed(a, subscribe(1, "v1/cmd/#", 1));
    const int b = s.come("acme/d/gate", "b", kept);
    EXPECT_EQ(s.w.reason(a), CloseReason::taken_over);
    EXPECT_FALSE(s.w.ended(b));
    s.w.feed(b, subscribe(1, "v1/cmd/#", 1));
    const int platform = s.come("acme/s/p", "p");
    s.w.feed(platform, publish("v1/north/gate/cmd/1/req/open_barrier", "x", 1, 1));
    EXPECT_TRUE(take_publishes(s.w, a).empty());
    EXPECT_EQ(take_publishes(s.w, b).size(), 1u);
    EXPECT_EQ(s.w.broker().session_count(), 2u);
    EXPECT_FALSE(s.w.ended(s.come("acme/s/p", "p2")));  // a service may have more
    EXPECT_FALSE(s.w.ended(platform));
  }
}

TEST(Holdings, MoreSessionsForDevicesWhereConfigured) {
  session::BrokerOptions o;
  o.holdings.per_device = 2;
  Site s(-1, o);
  const int a = s.come("acme/d/gate", "a");
  const int b = s.come("acme/d/gate", "b");
  const int c = s.come("acme/d/gate", "c");
  EXPECT_TRUE(s.w.ended(a));
  EXPECT_FALSE(s.w.ended(b));
  EXPECT_FALSE(s.w.ended(c));
  EXPECT_EQ(s.w.probe().device_replaced, 1u);
}

TEST(Holdings, AnAccountsSessionsHaveANumber) {
  session::BrokerOptions o;
  o.holdings.per_account = 2;
  Site s(-1, o);
  const int a = s.come("acme/s/p", "a");
  const int b = s.come("acme/s/p", "b");
  const int c = s.come("acme/s/p", "c");
  EXPECT_EQ(s.w.reason(c), CloseReason::refused);
  EXPECT_EQ(answer(s.w, c, 2, 1), 0x97u);
  EXPECT_FALSE(s.w.ended(a));
  EXPECT_FALSE(s.w.ended(b));
  EXPECT_FALSE(s.w.ended(s.come("acme/s/p", "b")));  // its own place
  EXPECT_FALSE(s.w.ended(s.come("acme/s/q", "c")));
}

TEST(Holdings, TopicAliasesHaveBytes) {
  World w;
  const int c = w.open_connected({.client_id = "c"});
  for (unsigned alias = 1; alias <= 3; ++alias)
    w.feed(c, packet(0x30, str(filter_of(1500, 1)) + from_hex("03 23") + u16(alias) + "x"));
  EXPECT_TRUE(w.ended(c));
  EXPECT_EQ(w.probe().refused_aliases, 1u);
}

}  // namespace
}  // namespace berth::test
