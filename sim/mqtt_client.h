// An MQTT 3.1.1 client without a socket or a clock: bytes in, bytes out. QoS 1 is kept until it is
// acknowledged and said again on the next connection. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace berth::sim {

class MqttClient {
 public:
  struct Options {
    std::string client_id;
    std::string user_name;
    std::string password;
    std::uint16_t keep_alive_s = 30;
    std::vector<std::string> filters;  // QoS 1
  };
  struct Events {
    std::function<void(std::string_view topic, std::string_view payload)> message;
    std::function<void(std::uint64_t number)> acked;
  };
  MqttClient(Options o, Events e) : options_(std::move(o)), events_(std::move(e)) {}

  void opened();  // the socket is connected
  void closed();
  bool receive(base::ByteView bytes);  // false: close the connection
  std::string& out() { return out_; }
  // Its number, by which `acked` names it; 0: QoS 0, which is dropped while there is no connection,
  // or kKeptMax wait already.
  std::uint64_t publish(std::string topic, std::string payload, int qos);
  void ping() { out_.append("\xc0\x00", 2); }
  bool ready() const { return ready_; }
  std::size_t unacknowledged() const { return kept_.size(); }

 private:
  struct Kept {
    std::uint64_t number = 0;
    std::string topic, payload;
    std::uint16_t packet_id = 0;
    bool said = false;  // on some connection
  };
  static constexpr std::size_t kWindow = 100;
  static constexpr std::size_t kKeptMax = 10'000;
  bool on_packet(std::uint8_t header, std::string_view body);
  void on_message(std::uint8_t header, std::string_view body);
  void send_kept();
  void put(std::uint8_t header, std::string_view body);

  Options options_;
  Events events_;
  std::string in_;
  std::string out_;
  std::deque<Kept> kept_;
  std::size_t sent_ = 0;  // of kept_, on this connection
  std::uint64_t numbers_ = 0;
  std::uint16_t next_id_ = 0;
  bool connected_ = false;
  bool ready_ = false;
};

}  // namespace berth::sim
