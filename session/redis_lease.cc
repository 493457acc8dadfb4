#include "session/redis_lease.h"

#include <cstdlib>

#include "session/redis_script.h"

namespace berth::session {

std::string key_prefix(const RedisAddress& address, const std::string& prefix) {
  return address.cluster && prefix.find('{') == std::string::npos ? "{" + prefix + "}" : prefix;
}

RedisLease read_lease(RedisConnection& redis, const std::string& prefix) {
  redis.connect();
  RedisLease lease;
  lease.holder = redis.call({"GET", prefix + "lease"}).text;
  const RedisReply number = redis.call({"GET", prefix + "holders"});
  lease.number = std::strtoull(number.text.c_str(), nullptr, 10);
  lease.warm = redis.call({"GET", prefix + "warm"}).text;
  lease.reach = std::strtoull(redis.call({"GET", prefix + "reach"}).text.c_str(), nullptr, 10);
  if (!lease.warm.empty()) {
    lease.warmed = static_cast<std::uint64_t>(redis.call({"SCARD", prefix + "warmed"}).integer);
  }
  return lease;
}

void tell_reach(RedisConnection& redis, const std::string& prefix, std::size_t edges) {
  redis.connect();
  redis.call({"SET", prefix + "reach", std::to_string(edges), "PX", "2000"});
}

void begin_warming(RedisConnection& redis, const std::string& prefix, const std::string& name) {
  redis.connect();
  redis.call({"EVAL", kWarmScript, "1", prefix, name});
}

// A gateway that began without partitions has keys without a number and has not said so.
std::uint64_t agree_on_partitions(RedisConnection& redis, const std::string& prefix,
                                  std::uint64_t partitions) {
  redis.connect();
  const std::string key = prefix + "partitions";
  if (partitions > 1 && redis.call({"EXISTS", prefix + "holders"}).integer != 0) return 1;
  if (partitions > 1) redis.call({"SET", key, std::to_string(partitions), "NX"});
  const RedisReply known = redis.call({"GET", key});
  if (known.type == RedisReply::Type::nil) return 1;
  return std::strtoull(known.text.c_str(), nullptr, 10);
}

}  // namespace berth::session
