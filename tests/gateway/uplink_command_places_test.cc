// Places for commands of a platform that are on their way into the store.
#include "gateway/uplink/command_places.h"

#include <gtest/gtest.h>

#include <future>

namespace berth::gateway::uplink {
namespace {

using namespace std::chrono_literals;

TEST(UplinkCommandPlaces, AStoreThatDoesNotGetOnIsWaitedForOnce) {
  CommandPlaces places(2, 50ms);
  EXPECT_TRUE(places.take());
  EXPECT_TRUE(places.take());
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_FALSE(places.take());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 50ms);
  const auto then = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(places.take());
  EXPECT_LT(std::chrono::steady_clock::now() - then, 5s) << "each of them has waited";
  places.free();
  EXPECT_TRUE(places.take());
}

TEST(UplinkCommandPlaces, WhoWaitsGetsThePlaceThatIsFreed) {
  CommandPlaces places(1, 60s);
  EXPECT_TRUE(places.take());
  auto waits = std::async(std::launch::async, [&] { return places.take(); });
  places.free();
  EXPECT_TRUE(waits.get());
}

TEST(UplinkCommandPlaces, AtTheEndNobodyWaits) {
  CommandPlaces places(1, 60s);
  EXPECT_TRUE(places.take());
  auto waits = std::async(std::launch::async, [&] { return places.take(); });
  places.end();
  EXPECT_FALSE(waits.get());
}

}  // namespace
}  // namespace berth::gateway::uplink
