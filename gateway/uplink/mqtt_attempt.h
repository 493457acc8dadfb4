// A connection to an MQTT broker, by a client of Eclipse Paho: QoS 1, MQTT 5 or 3.1.1, TLS. 10 s to
// connect.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "gateway/uplink/attempt.h"
#include "gateway/uplink/uplink_config.h"

namespace berth::gateway::uplink {

// What the platform asks for.
struct Commands {
  std::string filter;                  // empty: nothing
  std::function<void(Downward)> take;  // Sink::Events
};

// `config` outlives it. A command is acknowledged when it is on its way into the store.
std::unique_ptr<Attempt> dial_mqtt(const UplinkConfig& config, const std::string& client_id,
                                   Commands commands, Teller tell);

}  // namespace berth::gateway::uplink
