// A connection to RabbitMQ (AMQP 0-9-1), by librabbitmq: persistent messages to a topic exchange,
// with publisher confirms, in order. librabbitmq blocks, so each connection has a thread; one that
// does not end at once is left behind and ends by itself.
#pragma once

#include <memory>
#include <string>

#include "gateway/uplink/attempt.h"
#include "gateway/uplink/uplink_config.h"

namespace berth::gateway::uplink {

std::unique_ptr<Attempt> dial_rabbitmq(const UplinkConfig& config, const std::string& client_id,
                                       Teller tell);

}  // namespace berth::gateway::uplink
