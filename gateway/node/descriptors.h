// How many descriptors devices may take, so that some are left for engines to be started, for the
// store, links and operators.
#pragma once

#include <cstdint>

#include "gateway/config/config.h"

namespace berth::gateway {

struct DescriptorShare {
  std::uint64_t reserved = 0;       // not for devices
  std::uint64_t devices = 0;        // what is left; 0: the limit is too low to serve anybody
  std::uint64_t least = 0;          // the limit with which a gateway starts at all
  std::uint32_t lingering_max = 0;  // of `reserved`, for each edge shard
};
DescriptorShare share_descriptors(std::uint64_t limit, std::uint32_t shards, bool own_store);

// False: nobody has set mqtt.max_connections, and there is room for many devices all the same.
bool short_of_descriptors(const Config& config, std::uint64_t devices);

// The configuration with mqtt.max_connections no higher than this process's descriptors allow; a
// lower one is logged. Throws std::runtime_error when not even a few devices would fit.
Config fitted_to_descriptors(const Config& config);

}  // namespace berth::gateway
