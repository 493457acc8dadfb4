// The registry of a cluster: in the Redis that has the sessions. Any engine may write.
//
//   {prefix}registry          hash    key -> record
//   {prefix}registry:changed  sorted  key -> version when it was last written or removed
//   {prefix}registry:version  number  of writes
//   {prefix}registry:removed  sorted  those of `changed` that are gone; kRemovedKept of them
//   {prefix}registry:forgotten  number  version up to which removals may have been forgotten
//   {prefix}registry:gone     sorted  key -> version when it was removed last, also if it is there
//                                     again; kRemovedKept of them
//   {prefix}registry:removals number  of records removed, ever
//   {prefix}usage             hash    partition -> when (seconds of Redis), UsageReport
#pragma once

#include <cstdint>
#include <string>

#include "gateway/registry/registry_store.h"
#include "store/redis_connection.h"

namespace berth::gateway::registry {

class RedisRegistry final : public RegistryStore {
 public:
  struct Copies {  // that must have a write before it counts (WAIT)
    std::uint32_t replicas = 0;
    std::uint32_t wait_ms = 1000;
  };
  RedisRegistry(session::RedisOptions options, std::string prefix, Copies copies);
  Changes read() override;
  bool write(const std::vector<Write>& writes) override;
  Reports exchange(const Reports& ours) override;
  void interrupt() override { redis_.interrupt(); }

 private:
  std::string key(const char* name) const { return prefix_ + name; }
  std::int64_t number(const char* name);
  template <class F>
  auto with_connection(F&& f);
  bool write_script(const std::vector<Write>& writes);
  Changes read_all();
  Changes read_changed();
  void read_returned(Changes& out);

  session::RedisConnection redis_;
  std::string prefix_;
  Copies copies_;
  std::int64_t read_through_ = -1;  // version; -1: nothing yet
};

}  // namespace berth::gateway::registry
