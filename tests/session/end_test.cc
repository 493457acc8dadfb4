// The end of a connection takes effect behind all that the device said before it.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/world.h"

namespace berth::test {
namespace {

constexpr unsigned kNoLocal = 4;

struct Watched {
  World w;
  int watcher = -1;
  explicit Watched(int crash_at = -1) : w({}, crash_at) {
    watcher = w.open_connected({.client_id = "watcher"});
    w.feed(watcher, subscribe(1, "said/#", 1));
    w.feed(watcher, subscribe(2, "will/#", 1));
    w.packets(watcher);
  }
  std::vector<std::string> said() {
    std::vector<std::string> all;
    for (const Packet& p : take_publishes(w, watcher)) all.push_back(p.payload(5));
    return all;
  }
};

const ConnectOptions kDevice{.client_id = "device",
                             .clean = false,
                             .properties = expiry(600),
                             .will_topic = "will/device",
                             .will_payload = "gone"};

// What the SUBSCRIBE holds up is read when the connection has been closed already; the first
// PUBLISH after it has a matching session with a queue and nothing to store for it (No Local).
const std::string kLastWords = subscribe(1, "said/x", kNoLocal | 1) +
                               publish("said/x", "one", 1, 7) + publish("said/x", "two") +
                               disconnect();

TEST(End, IsBehindAllThatWasSaid) {
  Watched x;
  const int d = x.w.open_connected(kDevice);
  x.w.send_and_close(d, kLastWords);
  EXPECT_EQ(x.said(), (std::vector<std::string>{"one", "two"})) << "and no will";
  EXPECT_EQ(x.w.broker().channel_count(), 1u);
}

TEST(End, IsBehindAllThatWasSaidWhereverTheEngineDies) {
  for (int at = 0;; ++at) {
    Watched x(at);
    const int d = x.w.open_connected(kDevice);
    x.w.send_and_close(d, kLastWords);
    std::vector<std::string> said = x.said();
    if (!x.w.crashed()) break;
    said.erase(std::unique(said.begin(), said.end()), said.end());  // QoS 1 may be doubled
    ASSERT_EQ(said, (std::vector<std::string>{"one", "two"})) << "engine death at boundary " << at;
  }
}

}  // namespace
}  // namespace berth::test
