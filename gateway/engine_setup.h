// What both shapes need to make an engine: its options, access rules, authenticator and store.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "gateway/config.h"
#include "gateway/engine/engine_shard.h"

namespace berth::gateway {

inline constexpr const char* kVersion = "0.1.0";

session::BrokerOptions broker_options(const Config& config, std::uint64_t edge_id, bool replay);
std::unique_ptr<session::AccessPolicy> load_access(const Config& config);  // throws ConfigError

// Opens and restores the store (quarantining a damaged one), starts timers. Throws
// std::runtime_error when the store is not available.
void start_engine(boost::asio::io_context& io, const Config& config, engine::EngineShard& engine);

}  // namespace berth::gateway
