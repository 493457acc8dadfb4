// Who gets a message.
#include <gtest/gtest.h>

#include "tests/support/packets.h"
#include "tests/support/world.h"

namespace berth::test {
namespace {

TEST(Shared, EachMessageGoesToOneMember) {  // 4.8.2
  World w;
  std::vector<int> subs;
  for (int i = 0; i < 3; ++i) {
    subs.push_back(w.open_connected({.client_id = "s" + std::to_string(i)}));
    w.feed(subs.back(), subscribe(1, "$share/g/t/#", 1));
    w.packets(subs.back());
  }
  const int p = w.open_connected({.client_id = "p"});
  for (unsigned i = 1; i <= 9; ++i) w.feed(p, publish("t/x", "m", 1, i));
  std::size_t total = 0;
  for (const int s : subs) {
    const std::size_t n = payloads(w.packets(s)).size();
    EXPECT_EQ(n, 3u);
    total += n;
  }
  EXPECT_EQ(total, 9u);
}

}  // namespace
}  // namespace berth::test
