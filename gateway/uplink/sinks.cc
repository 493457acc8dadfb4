#include "gateway/uplink/sinks.h"

#include <chrono>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/uplink/connection.h"
#include "gateway/uplink/kafka_attempt.h"
#include "gateway/uplink/mqtt_attempt.h"
#include "gateway/uplink/rabbitmq_attempt.h"
#include "gateway/uplink/reformat.h"
#include "gateway/uplink/secrets.h"
#include "gateway/uplink/webhook_attempt.h"

namespace berth::gateway::uplink {

namespace asio = boost::asio;

namespace {

Dial dial_of(asio::io_context& io, const UplinkConfig& c, const std::string& client,
             const Commands& commands) {
  switch (c.kind) {
    case Kind::mqtt:
      return
          [&c, client, commands](Teller t) { return dial_mqtt(c, client, commands, std::move(t)); };
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
  ConnectionsSink(asio::io_context& io, UplinkConfig config, const Station& at, Events events)
      : config_(std::move(config)), events_(std::move(events)) {
    for (std::uint32_t i = 0; i < config_.connections; ++i) {
      const std::string client = config_.client_id + "-" + at.who + "-" + std::to_string(i);
      // One of all partitions' and processes': each command is for one of them.
      Commands commands;
      if (config_.commands && at.partition == 0 && i == 0)
        commands = {command_filter(config_), events_.command};
      connections_.push_back(std::make_unique<Connection>(
          io, Connection::Names{config_.name, client, config_.url},
          checked(dial_of(io, config_, client, commands)), events_,
          std::chrono::seconds(config_.kind == Kind::webhook ? config_.timeout_s + 15 : 30)));
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
  void rest() override {
    resting_ = connections_.size();
    for (const auto& c : connections_) {
      c->rest([this] {
        if (--resting_ == 0 && events_.rested) events_.rested();
      });
    }
  }

 private:
  // What a library would open is looked at before, each time.
  Dial checked(Dial dial) const {
    return [this, dial = std::move(dial)](Teller t) {
      check_files(config_);
      return dial(std::move(t));
    };
  }

  std::size_t resting_ = 0;  // connections that are not at rest yet
  const UplinkConfig config_;
  const Events events_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace

std::unique_ptr<Sink> make_sink(asio::io_context& io, const UplinkConfig& config, const Station& at,
                                Sink::Events events) {
  return std::make_unique<ConnectionsSink>(io, config, at, std::move(events));
}

}  // namespace berth::gateway::uplink
