#include "gateway/uplink/mqtt_sink.h"

#include <functional>
#include <utility>

#include "gateway/uplink/mqtt_connection.h"

namespace berth::gateway::uplink {

MqttSink::MqttSink(boost::asio::io_context& io, const UplinkConfig& config, const std::string& who,
                   Events events)
    : config_(config), events_(std::move(events)) {
  for (std::uint32_t i = 0; i < config_.connections; ++i)
    connections_.push_back(std::make_unique<MqttConnection>(
        io, config_, config_.client_id + "-" + who + "-" + std::to_string(i), events_));
  events_.ready(true);
}

MqttSink::~MqttSink() = default;

void MqttSink::take(Upward m) {
  const std::size_t at = std::hash<std::string>{}(m.key) % connections_.size();
  connections_[at]->take(std::move(m));
}

SinkState MqttSink::state() const {
  SinkState s;
  for (const auto& c : connections_) c->add_to(s);
  return s;
}

}  // namespace berth::gateway::uplink
