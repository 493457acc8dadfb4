// An uplink to an MQTT broker, by Eclipse Paho: QoS 1, MQTT 5 or 3.1.1, TLS. Messages of one key
// take one of the connections, in order. A connection that is lost is made anew after a pause that
// doubles from 0.5 to 10 s, give or take a quarter; what it had not been acknowledged goes first,
// so a message may come twice then, with the same `berth-id`.
//
// Threads: Paho's threads call back; all else is on the thread of sinks. Time limits: 10 s to
// connect; a connection on which nothing is acknowledged for 30 s is made anew.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <vector>

#include "gateway/uplink/sink.h"
#include "gateway/uplink/uplink_config.h"

namespace berth::gateway::uplink {

class MqttConnection;

class MqttSink final : public Sink {
 public:
  // `who`: behind the client id, another for each engine and partition.
  MqttSink(boost::asio::io_context& io, const UplinkConfig& config, const std::string& who,
           Events events);
  ~MqttSink() override;
  void take(Upward m) override;
  SinkState state() const override;

 private:
  const UplinkConfig config_;
  const Events events_;
  std::vector<std::unique_ptr<MqttConnection>> connections_;
};

}  // namespace berth::gateway::uplink
