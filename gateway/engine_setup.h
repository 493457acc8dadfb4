// What both shapes need to make an engine: its options, access rules, authenticator and store.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "gateway/config.h"
#include "gateway/engine/engine_shard.h"

namespace berth::gateway {

inline constexpr const char* kVersion = "0.1.0";

session::BrokerOptions broker_options(const Config& config, std::vector<std::uint64_t> edge_ids,
                                      bool replay);
std::unique_ptr<session::AccessPolicy> load_access(const Config& config);  // throws ConfigError

// An engine with its store restored (a damaged one moved aside) and its timers started. Throws
// std::runtime_error when the store is not available, ConfigError for bad password or ACL files.
// `store_lost`: another gateway has taken the store; this engine must end.
std::unique_ptr<engine::EngineShard> make_engine(boost::asio::io_context& io, const Config& config,
                                                 const session::BrokerOptions& options,
                                                 link::EdgePort& edge, metrics::EngineProbe& probe,
                                                 const std::function<void()>& store_lost);

}  // namespace berth::gateway
