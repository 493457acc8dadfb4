// One of the connections of a sink: an Attempt after the other, and what the platform has not
// acknowledged, in order. A connection that is lost is made anew after a pause that doubles from
// 0.5 to 10 s, give or take a quarter, or as long as the platform asks for (at most 60 s); what had
// not been acknowledged goes first, so a message may come twice then, with the same id. So after a
// failure a platform is left in peace, and after two it gets one message at a time (trial.h) until
// it takes them.
//
// Thread of sinks. Time limits: a connection on which nothing is acknowledged for `stuck` is made
// anew.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>

#include "gateway/uplink/attempt.h"
#include "gateway/uplink/sink.h"
#include "gateway/uplink/trial.h"

namespace berth::gateway::uplink {

class Connection {
 public:
  struct Names {  // for the log
    std::string uplink;
    std::string client;
    std::string url;
  };
  // `events` outlive it; ready() is not called.
  Connection(boost::asio::io_context& io, Names names, Dial dial, const Sink::Events& events,
             std::chrono::seconds stuck = std::chrono::seconds(30));
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void take(Upward m);
  void add_to(SinkState& s) const;
  // Sends nothing any more. `rested` is called once, perhaps within the call: when what was sent is
  // acknowledged, or its connection is gone.
  void rest(std::function<void()> rested);

 private:
  struct Pending {
    Upward message;
    bool sent = false;  // in this attempt
    bool done = false;
  };
  void hear();
  void hear_one(const Told& t);
  void now_connected(const Told& t);
  void begin_attempt();
  void lose(const std::string& why, bool judged, std::chrono::milliseconds wait = {});
  void say_lost(const std::string& why);
  void send_pending();
  void send_all();
  bool send(std::uint64_t place);
  bool judge_loss();
  std::uint64_t of_another_device(std::uint64_t last) const;
  std::uint64_t next_of_front_device() const;
  void refuse(Pending& p, const std::string& why);
  void acknowledged(const Told& t);
  void finish_front();
  void watch();
  void tell_rested();

  boost::asio::io_context& io_;
  const Names names_;
  const Dial dial_;
  const Sink::Events& events_;
  const std::chrono::seconds stuck_;
  boost::asio::steady_timer timer_;  // until the next attempt
  boost::asio::steady_timer watch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for timers and `hearing_`
  std::shared_ptr<Hearing> hearing_;
  std::unique_ptr<Attempt> attempt_;
  std::uint64_t attempts_ = 0;
  std::deque<Pending> pending_;
  std::uint64_t first_place_ = 1;  // of pending_.front()
  std::uint64_t next_place_ = 1;   // to be sent
  std::size_t unacknowledged_ = 0;
  std::size_t window_ = 1;  // the platform's
  Trial trial_;
  std::chrono::milliseconds pause_;
  std::chrono::steady_clock::time_point progress_{};  // acknowledged or connected last
  std::mt19937 random_{std::random_device{}()};
  bool open_ = false;  // messages may be sent
  struct {
    bool asked = false;
    std::function<void()> rested;  // to be called
  } rest_;
  bool works_ = false;  // as far as is known
  SinkState counts_{};
};

}  // namespace berth::gateway::uplink
