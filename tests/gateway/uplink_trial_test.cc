// The message for which a platform ends the connection is found, and no good one is dropped.
#include "gateway/uplink/trial.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <vector>

namespace berth::gateway::uplink {
namespace {

// Messages 1 to `count`, and a platform that ends the connection where `ends` says so: a small
// model of Connection.
class Course {
 public:
  explicit Course(std::uint64_t count) {
    for (std::uint64_t i = 1; i <= count; ++i) waiting_.insert(i);
  }
  // A connection: messages go until one ends it, or all are acknowledged. A probe alone, first.
  void connect(const std::function<bool(std::uint64_t)>& ends) {
    ++connections;
    std::vector<std::uint64_t> sent;
    const auto lose = [&] {
      const std::uint64_t front = *waiting_.begin();
      const bool alone = sent.size() == 1 && sent.front() == front;
      const bool guilty =
          trial_.lost({sent.size(), front, alone, [&](std::uint64_t last) -> std::uint64_t {
                         const auto next = waiting_.upper_bound(std::max(last, front));
                         return next == waiting_.end() ? 0 : *next;
                       }});
      if (!guilty) return;
      dropped.push_back(front);
      waiting_.erase(front);
    };
    if (const std::uint64_t probe = trial_.probe(); probe != 0 && waiting_.contains(probe)) {
      sent = {probe};
      if (ends(probe)) return lose();
      acknowledge(probe, sent);
    }
    while (!waiting_.empty()) {
      for (const std::uint64_t m : waiting_) {
        if (sent.size() >= trial_.at_once()) break;
        sent.push_back(m);
      }
      const std::vector<std::uint64_t> now = sent;
      for (const std::uint64_t m : now) {
        if (ends(m)) return lose();
        acknowledge(m, sent);
      }
    }
  }
  std::size_t left() const { return waiting_.size(); }
  int connections = 0;
  std::vector<std::uint64_t> dropped;
  std::vector<std::uint64_t> order;  // acknowledged

 private:
  void acknowledge(std::uint64_t m, std::vector<std::uint64_t>& sent) {
    trial_.acknowledged(m);
    order.push_back(m);
    waiting_.erase(m);
    std::erase(sent, m);
  }
  Trial trial_;
  std::set<std::uint64_t> waiting_;
};

TEST(UplinkTrial, APoisonousMessageGoesAndAllOthersArrive) {
  Course c(50);
  for (int i = 0; i < 30 && c.left() != 0; ++i)
    c.connect([](std::uint64_t m) { return m == 7 || m == 8; });
  EXPECT_EQ(c.left(), 0u);
  EXPECT_EQ(c.dropped, (std::vector<std::uint64_t>{7, 8}));
  EXPECT_EQ(c.order.size(), 48u);
}

TEST(UplinkTrial, APlatformThatIsAwayProvesNothing) {
  Course c(50);
  for (int i = 0; i < 100; ++i) c.connect([](std::uint64_t) { return true; });
  EXPECT_TRUE(c.dropped.empty());
  c.connect([](std::uint64_t) { return false; });
  EXPECT_EQ(c.left(), 0u);
}

TEST(UplinkTrial, ARestartAtTheWrongMomentProvesNothing) {
  // It ends while the first message is on its way alone, once behind an acknowledged probe.
  Course c(50);
  for (int i = 0; i < 4; ++i) c.connect([](std::uint64_t) { return true; });
  c.connect([](std::uint64_t m) { return m == 1; });
  EXPECT_TRUE(c.dropped.empty());
  c.connect([](std::uint64_t) { return false; });
  EXPECT_EQ(c.left(), 0u);
  EXPECT_TRUE(c.dropped.empty());
}

TEST(UplinkTrial, AnExpiredProbeHoldsUpNothing) {
  Trial t;
  for (int i = 0; i < 4; ++i) t.lost({1, 1, true, [](std::uint64_t) { return std::uint64_t{2}; }});
  ASSERT_EQ(t.probe(), 2u);
  t.gone(2);
  EXPECT_EQ(t.probe(), 0u);
  EXPECT_FALSE(t.lost({1, 1, true, [](std::uint64_t) { return std::uint64_t{3}; }}));
  EXPECT_EQ(t.probe(), 3u) << "the next loss names another one";
}

TEST(UplinkTrial, TheOnlyMessageWaits) {
  Course c(1);
  for (int i = 0; i < 50; ++i) c.connect([](std::uint64_t) { return true; });
  EXPECT_TRUE(c.dropped.empty()) << "nothing has shown that the platform works";
}

TEST(UplinkTrial, ManyGoAtOnceAgainWhenMessagesAreAcknowledged) {
  Trial t;
  for (int i = 0; i < 2; ++i)
    t.lost({10, 1, false, [](std::uint64_t) { return std::uint64_t{2}; }});
  EXPECT_EQ(t.at_once(), 1u);
  for (std::uint64_t m = 1; m <= 20; ++m) t.acknowledged(m);
  EXPECT_EQ(t.at_once(), SIZE_MAX);
}

}  // namespace
}  // namespace berth::gateway::uplink
