// Messages of one connection: in order, over lost attempts, each told once.
#include "gateway/uplink/connection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <vector>

namespace berth::gateway::uplink {
namespace {

using namespace std::chrono_literals;

// What the test's attempts have in common.
struct Platform {
  std::vector<Teller> tellers;                               // one for each attempt
  std::vector<std::pair<std::uint64_t, std::uint64_t>> got;  // place, seq; of the last attempt
  std::vector<std::uint64_t> all;                            // seq
  std::size_t window = 100;
  bool refuses_to_dial = false;
  bool throws = false;
  int living = 0;
};

class FakeAttempt final : public Attempt {
 public:
  FakeAttempt(Platform& p, Teller tell) : p_(p) {
    ++p_.living;
    p_.got.clear();
    tell.connected(p_.window);
    p_.tellers.push_back(std::move(tell));
  }
  ~FakeAttempt() override { --p_.living; }
  void publish(std::uint64_t place, const Upward& m) override {
    if (p_.throws) throw std::runtime_error("of no use");
    p_.got.emplace_back(place, m.seq);
    p_.all.push_back(m.seq);
  }

 private:
  Platform& p_;
};

class UplinkConnection : public ::testing::Test {
 protected:
  void SetUp() override {
    events_.done = [this](std::uint32_t, std::uint64_t seq) { done_.push_back(seq); };
    events_.refused = [this](const Upward& m, const std::string& why) {
      refused_.emplace_back(m.seq, why);
    };
    connection_ = std::make_unique<Connection>(
        io_, Connection::Names{"up", "client", "test://"},
        [this](Teller t) -> std::unique_ptr<Attempt> {
          if (platform_.refuses_to_dial) throw std::runtime_error("no file");
          return std::make_unique<FakeAttempt>(platform_, std::move(t));
        },
        events_);
  }
  void give(std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t s = first; s <= last; ++s)
      connection_->take({.generation = 4, .seq = s, .inside = "t"});
  }
  template <class F>
  void run_until(F condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < end) io_.run_for(2ms);
    EXPECT_TRUE(condition());
  }
  SinkState state() const {
    SinkState s;
    connection_->add_to(s);
    return s;
  }

  boost::asio::io_context io_;
  Platform platform_;
  Sink::Events events_;
  std::vector<std::uint64_t> done_;
  std::vector<std::pair<std::uint64_t, std::string>> refused_;
  std::unique_ptr<Connection> connection_;
};

TEST_F(UplinkConnection, KeepsToTheWindowAndTellsInOrder) {
  platform_.window = 3;
  platform_.tellers.back().connected(3);
  run_until([&] { return state().connected == 1; });
  give(1, 5);
  run_until([&] { return platform_.got.size() == 3; });
  platform_.tellers.back().acknowledged(platform_.got[2].first);
  run_until([&] { return platform_.got.size() == 4; });
  EXPECT_TRUE(done_.empty()) << "those in front are not done";
  for (std::size_t i : {0u, 1u, 3u}) platform_.tellers.back().acknowledged(platform_.got[i].first);
  run_until([&] { return done_.size() == 4; });
  EXPECT_EQ(done_, (std::vector<std::uint64_t>{1, 2, 3, 4}));
}

TEST_F(UplinkConnection, WhatWasNotAcknowledgedGoesAgainInItsOrder) {
  run_until([&] { return state().connected == 1; });
  give(1, 4);
  run_until([&] { return platform_.got.size() == 4; });
  platform_.tellers.back().acknowledged(platform_.got[1].first);
  const Teller old = platform_.tellers.back();
  old.lost("gone");
  run_until([&] { return platform_.tellers.size() == 2 && platform_.got.size() == 3; });
  EXPECT_EQ(platform_.all, (std::vector<std::uint64_t>{1, 2, 3, 4, 1, 3, 4}));
  EXPECT_EQ(platform_.living, 1);
  old.acknowledged(platform_.got[0].first);  // of an attempt that is over: not heard
  io_.run_for(5ms);
  EXPECT_TRUE(done_.empty());
  for (const auto& [place, seq] : platform_.got) platform_.tellers.back().acknowledged(place);
  run_until([&] { return done_.size() == 4; });
  EXPECT_EQ(state().failures, 1u);
}

TEST_F(UplinkConnection, GoesOnBehindAProbe) {
  run_until([&] { return state().connected == 1; });
  for (std::uint64_t s = 1; s <= 6; ++s)
    connection_->take({.generation = 4, .seq = s, .inside = s == 2 ? "another" : "t"});
  // Two connections that end for the front alone, in which the rest waits; then all is well.
  for (int i = 0; done_.size() != 6 && i < 8; ++i) {
    const std::size_t attempts = platform_.tellers.size();
    run_until([&] { return !platform_.got.empty() || done_.size() == 6; });
    if (i < 4) {
      platform_.tellers.back().lost("gone");
      run_until([&] { return platform_.tellers.size() > attempts; });
    } else {
      for (std::size_t n = 0; n < 6; ++n) {
        for (const auto& [place, seq] : platform_.got) platform_.tellers.back().acknowledged(place);
        io_.run_for(5ms);
      }
    }
  }
  std::sort(done_.begin(), done_.end());
  EXPECT_EQ(done_, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_TRUE(refused_.empty());
}

TEST_F(UplinkConnection, APlatformThatIsNotReachedSaysNothingOfAMessage) {
  run_until([&] { return state().connected == 1; });
  give(1, 4);
  for (int i = 0; i < 3; ++i) {
    run_until([&] { return platform_.got.size() == 4; });  // all at once
    const std::size_t attempts = platform_.tellers.size();
    platform_.tellers.back().not_reached("refused");
    run_until([&] { return platform_.tellers.size() > attempts; });
  }
  run_until([&] { return platform_.got.size() == 4; });
}

TEST_F(UplinkConnection, ARefusedMessageIsToldOnceAndHoldsUpNothing) {
  run_until([&] { return state().connected == 1; });
  give(1, 3);
  run_until([&] { return platform_.got.size() == 3; });
  platform_.tellers.back().refused(platform_.got[0].first, "too large");
  platform_.tellers.back().acknowledged(platform_.got[1].first);
  platform_.tellers.back().acknowledged(platform_.got[2].first);
  run_until([&] { return done_.size() == 2; });
  EXPECT_EQ(done_, (std::vector<std::uint64_t>{2, 3}));
  ASSERT_EQ(refused_.size(), 1u);
  EXPECT_EQ(refused_[0].first, 1u);
  EXPECT_EQ(refused_[0].second, "too large");
  EXPECT_EQ(state().refused, 1u);
}

TEST_F(UplinkConnection, AwayKeepsTheAttemptAndWhatIsOnItsWay) {
  run_until([&] { return state().connected == 1; });
  give(1, 2);
  run_until([&] { return platform_.got.size() == 2; });
  platform_.tellers.back().away("all brokers are down");
  run_until([&] { return state().connected == 0; });
  EXPECT_EQ(state().error, "all brokers are down");
  give(3, 3);
  io_.run_for(5ms);
  EXPECT_EQ(platform_.got.size(), 2u);
  platform_.tellers.back().connected(100);
  run_until([&] { return platform_.got.size() == 3; });
  EXPECT_EQ(platform_.all, (std::vector<std::uint64_t>{1, 2, 3})) << "nothing twice";
  EXPECT_EQ(state().error, "");
}

TEST_F(UplinkConnection, AnAttemptThatCantBeMadeIsMadeAgain) {
  run_until([&] { return state().connected == 1; });
  platform_.refuses_to_dial = true;
  platform_.tellers.back().lost("gone");
  run_until([&] { return state().error == "no file"; });
  EXPECT_EQ(platform_.living, 0);
  platform_.refuses_to_dial = false;
  run_until([&] { return state().connected == 1; });
  platform_.throws = true;
  give(1, 1);
  run_until([&] { return state().error == "of no use"; });
  platform_.throws = false;
  run_until([&] { return platform_.got.size() == 1; });
}

TEST_F(UplinkConnection, AtRestItSendsNothingAndWaitsForWhatWasSent) {
  platform_.window = 2;
  platform_.tellers.back().connected(2);
  run_until([&] { return state().connected == 1; });
  give(1, 4);
  int rested = 0;
  connection_->rest([&] { ++rested; });
  EXPECT_EQ(rested, 0);
  platform_.tellers.back().acknowledged(platform_.got.at(0).first);
  run_until([&] { return done_.size() == 1; });
  EXPECT_EQ(rested, 0);
  platform_.tellers.back().acknowledged(platform_.got.at(1).first);
  run_until([&] { return rested == 1; });
  EXPECT_EQ(done_, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(platform_.all, (std::vector<std::uint64_t>{1, 2})) << "the others are the successor's";
}

TEST_F(UplinkConnection, WithoutAConnectionItIsAtRestAtOnceAndMakesNone) {
  int rested = 0;
  connection_->rest([&] { ++rested; });  // what the attempt says is not heard yet
  EXPECT_EQ(rested, 1);
  give(1, 4);
  platform_.tellers.back().lost("gone");
  run_until([&] { return state().failures == 1; });
  io_.run_for(1s);
  EXPECT_EQ(platform_.tellers.size(), 1u);
  EXPECT_TRUE(platform_.all.empty());
}

TEST_F(UplinkConnection, AnExpiredMessageIsDoneAndDoesNotGo) {
  run_until([&] { return state().connected == 1; });
  Upward m{.generation = 4, .seq = 1, .inside = "t"};
  m.expires = std::chrono::steady_clock::now() - 1s;
  connection_->take(std::move(m));
  give(2, 2);
  run_until([&] { return done_.size() == 1 && platform_.got.size() == 1; });
  EXPECT_EQ(platform_.all, std::vector<std::uint64_t>{2});
  EXPECT_EQ(state().expired, 1u);
}

}  // namespace
}  // namespace berth::gateway::uplink
