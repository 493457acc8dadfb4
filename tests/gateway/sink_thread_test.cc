// Sinks on a thread of their own: what they say is heard on the engine's loop, and none of them
// holds that up.
#include "gateway/uplink/sink_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace berth::gateway::uplink {
namespace {

using namespace std::chrono_literals;

// A library that does not let go, until the test says so. The thread that is left behind holds it
// too, for it may end after the test.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    ++entered_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    left_ = true;
    changed_.notify_all();
  }
  int entered() {
    const std::lock_guard lock(mutex_);
    return entered_;
  }
  void await_entered() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, 20s, [this] { return entered_ > 0; }));
  }
  void open() {
    std::unique_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
    if (entered_ > 0) changed_.wait_for(lock, 20s, [this] { return left_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int entered_ = 0;
  bool open_ = false, left_ = false;
};

class Echo final : public Sink {
 public:
  Echo(const Events& events, std::shared_ptr<Gate> gate) : events_(events), gate_(std::move(gate)) {
    events_.ready(true);
  }
  void take(Upward m) override {
    if (gate_) gate_->wait();
    ++taken_;
    if (m.payload == "bad") return events_.refused(m, "never");
    events_.done(m.generation, m.seq);
  }
  SinkState state() const override { return {.connected = taken_}; }
  void rest() override { events_.rested(); }

 private:
  const Events& events_;
  const std::shared_ptr<Gate> gate_;
  std::uint64_t taken_ = 0;
};

class SinkThreadTest : public ::testing::Test {
 protected:
  std::unique_ptr<SinkThread::Lane> start(std::shared_ptr<Gate> gate = nullptr) {
    return sinks_->start(
        [gate](boost::asio::io_context&, const Sink::Events& events) {
          return std::make_unique<Echo>(events, gate);
        },
        {.ready = [this](bool yes) { ready_ = yes; },
         .done =
             [this](std::uint32_t, std::uint64_t seq) {
               EXPECT_EQ(std::this_thread::get_id(), loop_);
               done_.push_back(seq);
             },
         .refused = [this](const SinkThread::Refusal& r) { refused_.push_back(r.why); }},
        {});
  }
  template <class F>
  void run_until(F condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < end) io_.run_for(5ms);
    EXPECT_TRUE(condition());
  }
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{
      io_.get_executor()};
  const std::thread::id loop_ = std::this_thread::get_id();
  std::unique_ptr<SinkThread> sinks_ = std::make_unique<SinkThread>(io_);
  bool ready_ = false;
  std::vector<std::uint64_t> done_;
  std::vector<std::string> refused_;
};

TEST_F(SinkThreadTest, TellsTheEnginesLoopInOrder) {
  auto lane = start();
  run_until([this] { return ready_; });
  std::vector<std::uint64_t> all;
  for (std::uint64_t seq = 1; seq <= 1000; ++seq) {
    lane->take({.generation = 1, .seq = seq});
    all.push_back(seq);
  }
  run_until([this] { return done_.size() == 1000; });
  EXPECT_EQ(done_, all);
  run_until([&] { return lane->state().connected == 1000; });
}

TEST_F(SinkThreadTest, TellsWhatThePlatformRefuses) {
  auto lane = start();
  lane->take({.generation = 1, .seq = 1, .payload = "bad"});
  lane->take({.generation = 1, .seq = 2});
  run_until([this] { return done_.size() == 1 && refused_.size() == 1; });
  EXPECT_EQ(done_, std::vector<std::uint64_t>{2});
  EXPECT_EQ(refused_, std::vector<std::string>{"never"});
}

TEST_F(SinkThreadTest, OneThatEndsSaysNothingMore) {
  for (int i = 0; i < 50; ++i) {
    auto lane = start();
    for (std::uint64_t seq = 1; seq <= 20; ++seq) lane->take({.generation = 1, .seq = seq});
    lane.reset();
    done_.clear();
    io_.poll();
    EXPECT_TRUE(done_.empty());
  }
}

TEST_F(SinkThreadTest, TheLoopDoesNotWaitForOneThatHangs) {
  const auto gate = std::make_shared<Gate>();
  auto lane = start(gate);
  lane->take({.generation = 1, .seq = 1});
  gate->await_entered();
  lane->take({.generation = 1, .seq = 2});  // returns
  EXPECT_EQ(lane->state().connected, 0u);
  lane.reset();
  const auto begun = std::chrono::steady_clock::now();
  sinks_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10 * SinkThread::kEndLimit);
  gate->open();  // the thread that was left behind ends by itself
}

// What an ended lane has not given to its sink stays with the queue: it goes to the next sink.
TEST_F(SinkThreadTest, OneThatEndsTakesNothingMore) {
  const auto gate = std::make_shared<Gate>();
  auto lane = start(gate);
  lane->take({.generation = 1, .seq = 1});
  gate->await_entered();
  lane->take({.generation = 1, .seq = 2});
  lane.reset();
  auto next = start();
  gate->open();
  next->take({.generation = 2, .seq = 1});
  run_until([this] { return done_.size() == 1; });
  EXPECT_EQ(gate->entered(), 1);
}

}  // namespace
}  // namespace berth::gateway::uplink
