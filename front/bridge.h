// How a partition takes messages from another one (ADR 10): as an MQTT 5 client of it, with the
// session `$peer/N`. Sans-I/O: bytes in, bytes out, time as an argument. Owned by the code that has
// the stream; one for each other partition; lives on the thread of `home`.
//
// Connection: CONNECT (Clean Start 0, no expiry), then SUBSCRIBE for every route of ours under a
// number of this connection, then UNSUBSCRIBE from what has another number. QoS 1 PUBLISHes carry a
// sequence number (peer_tag.h); each is acknowledged when it is durable here.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "front/broker.h"

namespace berth::session {

class Bridge {
 public:
  // `generation`: 1 to 2^28 - 1, another for each connection of this partition to `source`.
  Bridge(Broker& home, std::uint32_t home_partition, std::uint32_t source, std::uint32_t generation,
         std::function<void(std::string_view)> send);

  void start();
  // False: the other side has ended the connection or talks nonsense; begin anew.
  bool received(std::string_view bytes, base::Instant now);
  void route(std::string_view raw, bool added);
  void flush();  // what routes have changed since
  bool connected() const { return connected_; }

 private:
  struct Sent {  // a SUBSCRIBE or UNSUBSCRIBE under way
    std::uint16_t packet_id = 0;
    std::uint64_t routes_through = 0;  // with its acknowledgement these are known
  };
  bool on_packet(const protocol::mqtt::Frame& f, base::Instant now);
  bool on_connack(const protocol::mqtt::Frame& f);
  bool on_publish(const protocol::mqtt::Frame& f, base::Instant now);
  bool on_route_ack(const protocol::mqtt::Frame& f, base::Instant now);
  void send_routes(bool subscribe, const std::vector<std::string>& filters);
  void all_routes_sent();
  void send_all_routes();
  std::uint16_t next_packet_id();

  Broker& home_;
  std::uint32_t home_partition_;
  std::uint32_t source_;
  std::uint32_t generation_;
  std::function<void(std::string_view)> send_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::string in_;
  std::vector<std::pair<std::string, bool>> changes_;
  std::deque<Sent> sent_;
  protocol::mqtt::Scratch scratch_;
  std::uint16_t packet_id_ = 0;
  bool connected_ = false;
};

}  // namespace berth::session
