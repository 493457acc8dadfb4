// Presence as a platform hears of it: devices and services of a tenant in a World, whose engine has
// a Platform beside its Broker.
#include "platform/device_watch.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/place.h"

namespace berth::test {
namespace {

using protocol::link::CloseReason;

TEST(DeviceWatch, AServiceHearsWhoComesAndGoes) {
  Place p;
  const int back = p.listen();
  const int cam = p.come("acme/d/cam", "c1");
  EXPECT_EQ(p.heard(back), Texts{"cam ONLINE"});
  p.w.close(cam, CloseReason::keepalive_timeout);
  p.pass_s(29);
  EXPECT_EQ(p.heard(back), Texts{});
  p.pass_s(2);
  EXPECT_EQ(p.heard(back), Texts{"cam OFFLINE keep_alive"});
  const int later = p.come("acme/s/later", "later");
  p.w.feed(later, subscribe(1, "v1/#", 1));
  EXPECT_EQ(p.heard(later), Texts{"cam OFFLINE keep_alive"}) << "it is retained";
  p.come("acme/s/another", "c2");
  p.come("", "anonymous");
  EXPECT_EQ(p.heard(back), Texts{}) << "they are no devices";
}

TEST(DeviceWatch, EachEndHasItsCause) {
  const auto cause = [](CloseReason why, bool goodbye = false) {
    Place p;
    const int back = p.listen();
    const int cam = p.come("acme/d/cam", "c1");
    p.heard(back);
    if (goodbye) p.w.feed(cam, disconnect());
    p.w.close(cam, why);
    p.pass_s(61);
    return p.heard(back);
  };
  EXPECT_EQ(cause(CloseReason::client, true), Texts{"cam OFFLINE goodbye"});
  EXPECT_EQ(cause(CloseReason::client), Texts{"cam OFFLINE connection_lost"});
  EXPECT_EQ(cause(CloseReason::peer_reset), Texts{"cam OFFLINE connection_lost"});
  EXPECT_EQ(cause(CloseReason::protocol_error), Texts{"cam OFFLINE protocol_error"});
  EXPECT_EQ(cause(CloseReason::slow_consumer), Texts{"cam OFFLINE slow_consumer"});
  EXPECT_EQ(cause(CloseReason::policy), Texts{"cam OFFLINE policy"});
  EXPECT_EQ(cause(CloseReason::poison), Texts{"cam OFFLINE quarantine"});
  EXPECT_EQ(cause(CloseReason::drained), Texts{"cam OFFLINE gateway"});
}

TEST(DeviceWatch, ADisabledDeviceIsOfflineBecauseOfThat) {
  Place p;
  const int back = p.listen();
  p.come("acme/d/cam", "c1");
  p.heard(back);
  const session::Principal cam{"acme", session::Role::device, "cam"};
  p.book.disabled.insert(cam.key());
  p.review();
  p.pass_s(31);
  EXPECT_EQ(p.heard(back), Texts{"cam OFFLINE disabled"});
}

TEST(DeviceWatch, ATakeOverAndAnEdgeThatIsOutOfReachAreNoEvents) {
  Place p;
  const int back = p.come("acme/s/back", "back", {.clean = false, .properties = expiry(600)});
  p.w.feed(back, subscribe(1, "v1/+/+/presence", 1));
  Site& site = p;
  ConnectOptions o{.client_id = "c1", .user = "acme/d/cam"};
  p.w.open_connected(o, 1);
  p.heard(back);
  p.w.lose(1);
  p.pass_s(59);
  EXPECT_EQ(p.heard(back), Texts{});
  p.w.join(1);
  p.pass_s(100);
  EXPECT_EQ(p.heard(back), Texts{});
  site.come("acme/d/cam", "c1");
  p.pass_s(100);
  EXPECT_EQ(p.heard(back), Texts{});
}

// The engine dies at each boundary: no event is lost, and none is made by its death.
TEST(DeviceWatch, AnEngineThatDiesAnywhereTellsTheTruthInTheEnd) {
  for (int boundary = 0;; ++boundary) {
    SCOPED_TRACE(boundary);
    Place p(boundary);
    const int back = p.listen();
    Texts all;
    const auto hear = [&] {
      for (std::string& s : p.heard(back)) {
        if (all.empty() || all.back() != s) all.push_back(std::move(s));
      }
    };
    const int cam = p.come("acme/d/cam", "c1");
    hear();
    p.pass_s(70);
    hear();
    EXPECT_EQ(all, Texts{"cam ONLINE"});
    p.w.close(cam, CloseReason::peer_reset);
    p.pass_s(70);
    hear();
    EXPECT_EQ(all, (Texts{"cam ONLINE", "cam OFFLINE connection_lost"}));
    if (!p.w.crashed()) break;
    ASSERT_LT(boundary, 5000);
    if (boundary > 60) boundary += 6;
  }
}

// While the store takes nothing.
TEST(DeviceWatch, ADeviceComesBackWithoutTheStore) {
  Place p;
  const int back = p.listen();
  int cam = p.come("acme/d/cam", "c1");
  EXPECT_EQ(p.heard(back), Texts{"cam ONLINE"});
  p.w.hold_commits(true);
  const int other = p.w.open();
  p.w.close_and_feed(cam, CloseReason::client, other,
                     connect({.client_id = "c1", .user = "acme/d/cam"}));
  EXPECT_FALSE(p.w.take_bytes(other).empty()) << "in the turn that ends its connection of before";
  p.w.hold_commits(false);
  p.pass_s(100);
  EXPECT_EQ(p.heard(back), Texts{});
}

TEST(DeviceWatch, ADeviceComesBackWhileNothingOfItIsDurable) {
  Place p;
  p.w.hold_commits(true);
  for (int i = 0; i < 3; ++i) {
    const int cam = p.come("acme/d/cam", "c1");
    EXPECT_FALSE(p.w.take_bytes(cam).empty()) << i;
    p.w.close(cam, CloseReason::client);
  }
}

TEST(DeviceWatch, WhatWaitsForTheStoreHasALimit) {
  Place p;
  const int back = p.listen();
  p.come("acme/d/cam", "c1");
  p.heard(back);
  p.w.hold_commits(true);
  for (int i = 0; i < 1600; ++i) {
    const std::string device = "d" + std::to_string(i % 500);
    p.w.close(p.come("acme/d/" + device, device), CloseReason::peer_reset);
  }
  const int last = p.come("acme/d/last", "last");
  EXPECT_FALSE(p.w.take_bytes(last).empty());
  p.w.hold_commits(false);
  p.pass_s(3);
  EXPECT_LT(p.w.largest_batch(), 3u << 19);
  const Texts heard = p.heard(back);
  EXPECT_EQ(std::count(heard.begin(), heard.end(), "last ONLINE"), 1);
}

TEST(DeviceWatch, OneEventTellsOfADeviceAndOfThoseBehindIt) {
  Place p;
  const int back = p.listen();
  p.book.children[session::Principal{"acme", session::Role::device, "cam"}.key()] = {"gate",
                                                                                     "screen"};
  const int cam = p.come("acme/d/cam", "c1");
  const Texts came = got(p.w, back);
  ASSERT_EQ(came.size(), 1u);
  EXPECT_NE(came[0].find(R"("children":["gate","screen"])"), std::string::npos) << came[0];
  p.w.close(cam, CloseReason::keepalive_timeout);
  p.pass_s(31);
  const Texts went = got(p.w, back);
  ASSERT_EQ(went.size(), 1u);
  EXPECT_NE(went[0].find("keep_alive"), std::string::npos);
  EXPECT_NE(went[0].find(R"("children":["gate","screen"])"), std::string::npos) << went[0];
}

TEST(DeviceWatch, TheFirmwareThatADeviceReportsIsKnownToTheNextEngine) {
  Place p;
  p.come("acme/d/cam", "c1");
  const session::Principal cam{"acme", session::Role::device, "cam"};
  EXPECT_EQ(p.platform->devices().firmware_of("acme", "cam"), "");
  p.platform->devices().reports_firmware(cam, "5.1.3");
  p.pass_s(1);
  EXPECT_EQ(p.platform->devices().firmware_of("acme", "cam"), "5.1.3");
  p.w.crash();
  EXPECT_EQ(p.platform->devices().firmware_of("acme", "cam"), "5.1.3");
  for (int i = 0; i < 100; ++i) {
    p.platform->devices().reports_firmware(cam, "6." + std::to_string(i));
    p.w.run();
  }
  EXPECT_EQ(p.platform->devices().firmware_of("acme", "cam"), "") << "others have all places";
}

TEST(DeviceWatch, NobodyElseSaysWhoIsThere) {
  Place p;
  const int back = p.listen();
  const int cam = p.come("acme/d/cam", "c1");
  p.heard(back);
  p.w.feed(cam, publish("v1/presence", "{}", 1, 7));
  const int other = p.come("acme/s/other", "o");
  p.w.feed(other, publish("v1/north/cam/presence", "{}", 1, 7, 5, true));
  EXPECT_EQ(p.heard(back), Texts{});
}

}  // namespace
}  // namespace berth::test
