// Makes the sink of an uplink by its kind: its connections, among which messages are divided by
// what has to stay in order, and before them the format that the uplink asks for.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "gateway/uplink/sink.h"
#include "gateway/uplink/uplink_config.h"

namespace berth::gateway::uplink {

struct Station {
  std::uint32_t partition = 0;
  std::string who;  // in names that the platform sees, another for each engine and partition
};
// On the thread of sinks.
std::unique_ptr<Sink> make_sink(boost::asio::io_context& io, const UplinkConfig& config,
                                const Station& at, Sink::Events events);

}  // namespace berth::gateway::uplink
