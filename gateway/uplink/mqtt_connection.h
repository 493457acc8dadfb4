// One connection of an MqttSink: a Paho client for each attempt, and what has not been
// acknowledged.
//
// A message may be one for which the platform ends the connection, and would hold up all others
// then. After two connections that ended without any acknowledgement messages go one at a time. One
// that ends its connection alone, twice, waits until another one has been acknowledged, which shows
// that the platform works, and is tried again. When it has ended its connection twice in this way,
// the message is dropped and counted: one restart of the platform at the wrong moment is no proof.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "gateway/uplink/sink.h"
#include "gateway/uplink/uplink_config.h"

namespace berth::gateway::uplink {

class MqttConnection {
 public:
  // References outlive it. `events.ready` is not called.
  MqttConnection(boost::asio::io_context& io, const UplinkConfig& config, std::string client_id,
                 const Sink::Events& events);
  ~MqttConnection();
  MqttConnection(const MqttConnection&) = delete;
  MqttConnection& operator=(const MqttConnection&) = delete;

  void take(Upward m);
  bool connected() const { return connected_; }
  void add_to(SinkState& s) const;

 private:
  class Attempt;
  struct Pending {
    Upward message;
    bool sent = false;  // in this attempt
    bool done = false;
  };
  // What Paho's threads have said.
  struct Told {
    std::uint64_t attempt = 0;
    enum class What : std::uint8_t { connected, lost, acknowledged, failed } what{};
    std::uint64_t place = 0;  // of a message
    int code = 0;             // reason code
    std::string why;
  };
  struct Shared {  // with Paho's threads
    std::mutex mutex;
    std::vector<Told> told;
    bool posted = false;
    MqttConnection* owner = nullptr;  // null: gone
    boost::asio::io_context* io = nullptr;
    static void tell(const std::shared_ptr<Shared>& s, Told t);
  };
  void hear();
  void hear_one(const Told& t);
  void begin_attempt();
  void lose(const std::string& why);
  void send_pending();
  bool send(std::uint64_t place);
  void judge_loss();
  std::uint64_t another_than_front() const;
  void refuse(Pending& p, const std::string& why);
  void acknowledged(const Told& t);
  void finish_front();
  void watch();

  boost::asio::io_context& io_;
  const UplinkConfig& config_;
  const std::string client_id_;
  const Sink::Events& events_;
  boost::asio::steady_timer timer_;  // until the next attempt
  boost::asio::steady_timer watch_;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for timers
  std::unique_ptr<Attempt> attempt_;
  std::uint64_t attempts_ = 0;
  std::deque<Pending> pending_;
  std::uint64_t first_place_ = 1;  // of pending_.front()
  std::uint64_t next_place_ = 1;   // to be sent
  std::chrono::milliseconds pause_;
  std::chrono::steady_clock::time_point progress_{};  // acknowledged or connected last
  // See above.
  struct {
    std::size_t at_once = SIZE_MAX;  // messages that may be unacknowledged
    std::size_t unacknowledged = 0;
    int fruitless = 0;          // connections in a row that ended without an acknowledgement
    std::uint64_t suspect = 0;  // a place; 0: none
    int strikes = 0;            // connections that it has ended alone
    std::uint64_t other = 0;    // that is to show whether the platform works; 0: none
    bool works = false;         // it has shown that, since the suspect's last strike
    int proofs = 0;             // strikes after the platform had shown that it works
  } trial_;
  std::mt19937 random_{std::random_device{}()};
  bool connected_ = false;
  std::size_t receive_maximum_ = 1;  // the platform's
  std::uint64_t failures_ = 0, refused_ = 0, expired_ = 0;
  std::string error_;
};

}  // namespace berth::gateway::uplink
