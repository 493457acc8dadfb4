// A connection to an MQTT broker, by a client of Eclipse Paho: QoS 1, MQTT 5 or 3.1.1, TLS. 10 s to
// connect.
#pragma once

#include <memory>
#include <string>

#include "gateway/uplink/attempt.h"
#include "gateway/uplink/uplink_config.h"

namespace berth::gateway::uplink {

// `config` outlives it. `commands`: a filter of what the platform asks for; empty: nothing. What
// comes is acknowledged when it is stored, or after kStoreLimit.
std::unique_ptr<Attempt> dial_mqtt(const UplinkConfig& config, const std::string& client_id,
                                   const std::string& commands, Teller tell);

}  // namespace berth::gateway::uplink
