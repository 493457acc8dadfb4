// Which topics and filters a client may use.
#include <gtest/gtest.h>

#include "tests/support/tenants.h"

namespace berth::test {
namespace {

TEST(Topics, ADeviceThatNamesItselfAsServicesDoIsRefused) {
  Site s;
  const int cam = s.come("acme/d/cam", "c");
  s.w.feed(cam, publish("v1/north/cam/event/x", "1", 1, 1));
  EXPECT_EQ(answer(s.w, cam, 4, 2), 0x87u);
  s.w.feed(cam, subscribe(1, "v1/north/cam/cmd/#", 1));
  EXPECT_EQ(answer(s.w, cam, 9, 3), 0x87u);
  s.w.feed(cam, publish("v1/north/camera/x", "1", 1, 2));  // a topic of its own, whatever it means
  EXPECT_NE(answer(s.w, cam, 4, 2), 0x87u);
}

TEST(Topics, ADeviceDoesNotHearItsOwnResults) {
  Site s;
  const int gate = s.come("acme/d/gate", "g");
  const int platform = s.come("acme/s/platform", "p");
  s.w.feed(gate, subscribe(1, "v1/cmd/#", 1));
  s.w.feed(platform, subscribe(1, "v1/+/+/cmd/+/res", 1));
  s.w.feed(gate, publish("v1/cmd/7/res", "done", 1, 1));
  EXPECT_TRUE(got(s.w, gate).empty());
  EXPECT_EQ(got(s.w, platform), Texts{"v1/north/gate/cmd/7/res done"});
  s.w.feed(platform, publish("v1/north/gate/cmd/8/req/open", "x", 1, 1));
  EXPECT_EQ(got(s.w, gate), Texts{"v1/cmd/8/req/open x"});
}

}  // namespace
}  // namespace berth::test
