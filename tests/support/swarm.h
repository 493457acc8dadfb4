// Oracle devices: many MQTT connections in one thread that check the gateway's promises on their
// own side of the wire. Device i publishes numbered messages to "d/i" and subscribes to its
// neighbour's. QoS by i % 3; every second device has a persistent session. Payload: "<i>
// <sequence>". Each has a will, which a watcher must never see: no device ever goes by itself.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/stream.h"
#include "tests/support/wire.h"

namespace berth::test {

struct SwarmReport {
  std::uint64_t published = 0;  // QoS > 0, acknowledged
  std::uint64_t received = 0;   // first copies of QoS > 0
  std::uint64_t doubled = 0;    // QoS 1 more than once, as new messages
  std::uint64_t qos2_doubled = 0;
  std::uint64_t qos0_doubled = 0;
  std::uint64_t resent_live = 0;  // same packet id again on a live v5 connection
  std::uint64_t lost = 0;         // acknowledged, never received
  std::uint64_t out_of_order = 0;
  std::uint64_t closed = 0;  // connections ended by the other side
  std::uint64_t second_connacks = 0;
  std::uint64_t window_exceeded = 0;  // above our Receive Maximum
  std::uint64_t session_absent = 0;   // Session Present 0 where a session must be
  std::uint64_t wrong_wills = 0;
  std::uint64_t reconnects_peak = 0;  // in one second
  double gap_max_ms = 0;              // longest time between two PUBACKs of anybody
  std::vector<float> answer_ms;       // PUBLISH to PUBACK or PUBREC, each
  std::string first_problem;
};

class Swarm {
 public:
  struct Options {
    std::string name = "d";  // of topics and client ids: several swarms may share a gateway
    std::string host = "127.0.0.1";
    int port = 0;
    std::vector<int> ports;  // instead: of several edges, device by device
    Via via = Via::tcp;
    int devices = 100;
    double publish_per_s = 2000;  // all devices together
    bool reconnect = false;       // after a close, as a device would
    std::uint32_t expiry_s = 3600;
  };
  explicit Swarm(Options o);
  ~Swarm();
  bool connect_all();  // and subscribe; false at the deadline
  // Publishes for `time`, calling `every` between turns.
  void run(std::chrono::milliseconds time, const std::function<void()>& every = {});
  void stop() { running_ = false; }  // run() ends; to be called by `every`
  // No more new messages; waits until all acknowledged ones have arrived.
  bool settle(std::chrono::milliseconds limit = std::chrono::seconds(30));
  SwarmReport report();

 private:
  struct Pending {
    std::uint64_t seq = 0;
    bool released = false;  // QoS 2: PUBREC came
    Clock::time_point sent;
    bool answered = false;
  };
  struct Device {
    std::unique_ptr<Stream> stream;  // null: not connected
    int index = 0;
    unsigned qos = 1;
    bool persistent = false;
    bool connected = false, subscribed = false, dead = false, had_session = false;
    bool wants_write = false;
    Clock::time_point since;  // of the attempt to connect, or when the next is due
    std::string in, out;
    unsigned opened = 0;
    std::uint64_t next_seq = 1;
    std::map<unsigned, Pending> pending;  // by packet id
    unsigned next_id = 1;
    std::set<std::uint64_t> acked;  // QoS > 0, by us as publisher
    // as subscriber, of the neighbour's messages
    std::set<std::uint64_t> got;
    std::uint64_t highest = 0;
    std::map<unsigned, std::uint64_t> live;  // packet id -> seq, unacknowledged on this connection
    std::set<unsigned> qos2_held;            // PUBREC sent, PUBREL not seen
  };
  void open(Device& d);
  void reopen();
  void answered(Pending& p);
  std::string topic_of(int index) const { return options_.name + "/" + std::to_string(index); }
  bool is_watcher(const Device& d) const { return d.index == options_.devices; }
  void turn(int wait_ms);
  void flush(Device& d);
  void on_packet(Device& d, const Packet& p);
  void on_publish(Device& d, const Packet& p);
  void publish_one(Device& d);
  void lost_connection(Device& d);
  void problem(const std::string& what);
  int neighbour(const Device& d) const { return (d.index + 1) % options_.devices; }
  unsigned neighbour_qos(const Device& d) const { return static_cast<unsigned>(neighbour(d)) % 3; }

  Options options_;
  int epoll_ = -1;
  std::vector<Device> devices_;
  std::size_t turn_at_ = 0;
  double credit_ = 0;
  bool publishing_ = false;
  bool running_ = false;
  Clock::time_point last_turn_ = Clock::now();
  Clock::time_point last_ack_ = Clock::now();
  Clock::time_point second_began_ = Clock::now();
  std::uint64_t reconnects_ = 0;  // in this second
  std::minstd_rand random_{1};
  SwarmReport report_;
};

}  // namespace berth::test
