#include "gateway/node/descriptors.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "base/log.h"
#include "gateway/runtime/child_process.h"

namespace berth::gateway {

namespace {
constexpr std::uint64_t kProcess = 96;  // log, listeners, admin, links, two engines being started
constexpr std::uint64_t kShard = 16;    // epoll sets, listeners, links
constexpr std::uint64_t kStore = 64;    // files of the embedded store, in this process
constexpr std::uint64_t kExtraMax =
    1024;  // an eighth of the limit at most: admin, lingering sockets
constexpr std::uint64_t kPlenty = 10'000;  // devices: fewer than the default are no surprise
constexpr std::uint64_t kDevices = 16;     // fewer are not worth a start
}  // namespace

DescriptorShare share_descriptors(std::uint64_t limit, std::uint32_t shards, bool own_store) {
  const std::uint64_t extra = std::min(limit / 8, kExtraMax);
  DescriptorShare s;
  s.reserved = kProcess + kShard * shards + (own_store ? kStore : 0) + extra;
  s.least = (s.reserved - extra + kDevices) * 8 / 7 + 1;
  s.devices = limit >= s.least ? limit - s.reserved : 0;
  s.lingering_max = static_cast<std::uint32_t>(extra / 2 / shards);
  return s;
}

bool short_of_descriptors(const Config& config, std::uint64_t devices) {
  const bool by_default = config.edge.max_connections == Config().edge.max_connections;
  return !by_default || devices < kPlenty;
}

Config fitted_to_descriptors(const Config& config) {
  const std::uint64_t limit = runtime::descriptor_limit();
  const bool own_store = config.single_process && config.store_url.empty();
  const DescriptorShare share = share_descriptors(limit, config.shards, own_store);
  if (share.devices == 0) {
    throw std::runtime_error("the limit of open files is " + std::to_string(limit) + ", at least " +
                             std::to_string(share.least) +
                             " are needed (ulimit -n, LimitNOFILE=, --ulimit nofile)");
  }
  Config fitted = config;
  fitted.edge.lingering_max = share.lingering_max;
  if (config.edge.max_connections > share.devices) {
    fitted.edge.max_connections = static_cast<std::uint32_t>(share.devices);
    const auto level =
        short_of_descriptors(config, share.devices) ? base::LogLevel::warn : base::LogLevel::info;
    if (base::log_wanted(level)) {
      base::log_line(
          __FILE__, level,
          "mqtt.max_connections is {} but {} open files are allowed: {} connections are let in "
          "(ulimit -n)",
          config.edge.max_connections, limit, share.devices);
    }
  }
  return fitted;
}

}  // namespace berth::gateway
