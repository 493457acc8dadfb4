// A producer of Kafka, by librdkafka: idempotent, acks=all, order by key within a partition. It
// connects again by itself; a new one is made after an error that it does not get over.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "gateway/uplink/attempt.h"
#include "gateway/uplink/uplink_config.h"

namespace berth::gateway::uplink {

// Throws std::runtime_error with librdkafka's word.
std::unique_ptr<Attempt> dial_kafka(boost::asio::io_context& io, const UplinkConfig& config,
                                    const std::string& client_id, Teller tell);

}  // namespace berth::gateway::uplink
