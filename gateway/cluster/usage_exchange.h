// Exchanges what tenants use in each partition. Each engine writes it to the registry's store once
// a second and reads what the others wrote: so a quota counts for all partitions together. On the
// io_context's thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "gateway/cluster/partition_server.h"
#include "gateway/node/registry_service.h"
#include "gateway/node/usage.h"

namespace berth::gateway::cluster {

class UsageExchange {
 public:
  using Partitions = std::vector<std::unique_ptr<PartitionServer>>;
  UsageExchange(RegistryService& registry, const Partitions& partitions);
  void beat();          // with every heartbeat
  Usages here() const;  // in the partitions that this process serves
  // Partitions of this process as they are now, others as they were read last.
  Usages everywhere() const;

 private:
  std::map<std::uint32_t, Usages> served() const;  // by partition
  void hear(const registry::RegistryStore::Reports& reports);

  RegistryService& registry_;
  const Partitions& partitions_;
  std::map<std::uint32_t, Usages> heard_;  // by partition, ours too
  std::int64_t told_ns_ = 0;
};

}  // namespace berth::gateway::cluster
