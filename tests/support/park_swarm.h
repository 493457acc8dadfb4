// Oracle devices of the Park protocol, and the platform that hears them and commands them over
// MQTT: many connections in one thread that check the gateway's promises on their own side of the
// wire. Device i reports numbered events ("<i>-<n>"); the platform sends it numbered commands.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "protocol/park/device.h"
#include "tests/support/process.h"
#include "tests/support/stream.h"

namespace berth::test {

struct ParkReport {
  std::uint64_t acked = 0;         // events
  std::uint64_t commanded = 0;     // commands the gateway has acknowledged to the platform
  std::uint64_t doubled = 0;       // events or commands that came twice, as new messages
  std::uint64_t lost = 0;          // acknowledged, never received
  std::uint64_t out_of_order = 0;  // first copies
  std::uint64_t resent_live = 0;   // a command's number twice on one connection, or with AGAIN
  std::uint64_t closed = 0;        // connections that others ended
  std::uint64_t second_welcomes = 0;
  std::uint64_t refused = 0;
  std::uint64_t session_absent = 0;   // WELCOME or CONNACK that does not know its session
  std::uint64_t reconnects_peak = 0;  // in one second
  double gap_max_ms = 0;              // longest time between two ACKs of anybody
  std::vector<float> answer_ms;       // event to ACK, each
  std::string first_problem;
};

class ParkSwarm {
 public:
  struct Options {
    std::string name = "p";  // of client ids: several swarms may share a gateway
    std::string host = "127.0.0.1";
    int park_port = 0;
    int mqtt_port = 0;
    std::vector<int> park_ports;  // instead: of several edges, device by device
    Via via = Via::tcp;           // of the devices: tcp, tls
    int devices = 200;
    double events_per_s = 1500;  // all devices together
    double commands_per_s = 300;
    bool reconnect = false;  // after a close, as devices and platforms do
  };
  explicit ParkSwarm(Options o);
  ~ParkSwarm();
  bool connect_all();  // false at the deadline
  void run(std::chrono::milliseconds time, const std::function<void()>& every = {});
  void stop() { running_ = false; }  // run() ends; to be called by `every`
  bool settle(std::chrono::milliseconds limit = std::chrono::seconds(30));
  ParkReport report() const;

 private:
  class Peer;      // one connection
  class Reporter;  // a device
  class Platform;
  void turn(int wait_ms);
  void reopen();
  void say_more();
  std::string client_id(std::size_t index) const {
    return options_.name + "-" + std::to_string(index);
  }
  void problem(const std::string& what);
  void reconnected();
  bool all_there() const;

  Options options_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Reporter>> devices_;
  std::unique_ptr<Platform> platform_;
  double event_credit_ = 0;
  double command_credit_ = 0;
  std::size_t event_at_ = 0;
  std::size_t command_at_ = 0;
  bool running_ = false;  // and saying new things
  Clock::time_point last_turn_ = Clock::now();
  Clock::time_point last_ack_ = Clock::now();
  Clock::time_point second_began_ = Clock::now();
  std::uint64_t reconnects_ = 0;  // in this second
  std::minstd_rand random_{1};
  ParkReport report_;
};

}  // namespace berth::test
