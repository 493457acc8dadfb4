#include "gateway/uplink/sinks.h"

#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/uplink/connection.h"
#include "gateway/uplink/kafka_attempt.h"
#include "gateway/uplink/mqtt_attempt.h"
#include "gateway/uplink/rabbitmq_attempt.h"
#include "gateway/uplink/reformat.h"
#include "gateway/uplink/webhook_attempt.h"

namespace berth::gateway::uplink {

namespace asio = boost::asio;

namespace {

Dial dial_of(asio::io_context& io, const UplinkConfig& c, const std::string& client) {
  switch (c.kind) {
    case Kind::mqtt:
      return [&c, client](Teller t) { return dial_mqtt(c, client, std::move(t)); };
    case Kind::webhook:
      return [&io, &c](Teller t) { return dial_webhook(io, c, std::move(t)); };
    case Kind::rabbitmq:
      return [&c, client](Teller t) { return dial_rabbitmq(c, client, std::move(t)); };
    case Kind::kafka:
      break;
  }
  return [&io, &c, client](Teller t) { return dial_kafka(io, c, client, std::move(t)); };
}

class ConnectionsSink final : public Sink {
 public:
  ConnectionsSink(asio::io_context& io, UplinkConfig config, const std::string& who, Events events)
      : config_(std::move(config)), events_(std::move(events)) {
    for (std::uint32_t i = 0; i < config_.connections; ++i) {
      const std::string client = config_.client_id + "-" + who + "-" + std::to_string(i);
      connections_.push_back(
          std::make_unique<Connection>(io, Connection::Names{config_.name, client, config_.url},
                                       dial_of(io, config_, client), events_));
    }
    events_.ready(true);
  }
  void take(Upward m) override {
    reformat(config_.format, m);
    const std::size_t at = std::hash<std::string_view>{}(order_key(m.inside)) % connections_.size();
    connections_[at]->take(std::move(m));
  }
  SinkState state() const override {
    SinkState s;
    for (const auto& c : connections_) c->add_to(s);
    return s;
  }

 private:
  const UplinkConfig config_;
  const Events events_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace

std::unique_ptr<Sink> make_sink(asio::io_context& io, const UplinkConfig& config,
                                const std::string& who, Sink::Events events) {
  return std::make_unique<ConnectionsSink>(io, config, who, std::move(events));
}

}  // namespace berth::gateway::uplink
