#include "store/redis_lease.h"

#include "base/bytes.h"
#include "store/redis_script.h"

namespace berth::session {

std::string key_prefix(const RedisAddress& address, const std::string& prefix) {
  return address.cluster && prefix.find('{') == std::string::npos ? "{" + prefix + "}" : prefix;
}

namespace {

std::vector<RedisEdge> decode_edges(const std::string& bytes) {
  std::vector<RedisEdge> all;
  base::RecordReader r(bytes);
  while (r.ok() && !r.done()) {
    const std::uint64_t id = r.varint();
    all.push_back({id, std::string(r.bytes())});
  }
  if (!r.ok()) throw RedisError("not a list of edges");
  return all;
}

}  // namespace

RedisLease read_lease(RedisConnection& redis, const std::string& prefix) {
  redis.connect();
  RedisLease lease;
  const auto number = [&](const char* key) {
    const std::string text = redis.call({"GET", prefix + key}).as_text_or_nil();
    return text.empty() ? 0 : redis_number(text);
  };
  lease.holder = redis.call({"GET", prefix + "lease"}).as_text_or_nil();
  lease.number = number("holders");
  lease.warm = redis.call({"GET", prefix + "warm"}).as_text_or_nil();
  lease.reach = number("reach");
  if (!lease.warm.empty()) lease.warmed = redis.call({"SCARD", prefix + "warmed"}).as_count();
  lease.edges = decode_edges(redis.call({"GET", prefix + "edges"}).as_text_or_nil());
  return lease;
}

void tell_edges(RedisConnection& redis, const std::string& prefix,
                const std::vector<RedisEdge>& edges) {
  redis.connect();
  std::string bytes;
  for (const RedisEdge& e : edges) {
    base::put_varint(bytes, e.id);
    base::put_bytes(bytes, e.name);
  }
  redis.call({"SET", prefix + "edges", bytes, "PX", std::to_string(kEdgesKnown_ms)}).as_ok();
}

void tell_reach(RedisConnection& redis, const std::string& prefix, std::size_t edges) {
  redis.connect();
  redis.call({"SET", prefix + "reach", std::to_string(edges), "PX", "2000"}).as_ok();
}

void begin_warming(RedisConnection& redis, const std::string& prefix, const std::string& name) {
  redis.connect();
  redis.run("warm", kWarmScript, prefix, {name});
}

// A gateway that began without partitions has keys without a number and has not said so.
std::uint64_t agree_on_partitions(RedisConnection& redis, const std::string& prefix,
                                  std::uint64_t partitions) {
  redis.connect();
  const std::string key = prefix + "partitions";
  if (partitions > 1 && redis.call({"EXISTS", prefix + "holders"}).as_count() != 0) return 1;
  if (partitions > 1) redis.call({"SET", key, std::to_string(partitions), "NX"});
  const RedisReply known = redis.call({"GET", key});
  if (known.type == RedisReply::Type::nil) return 1;
  return redis_number(known.as_text());
}

}  // namespace berth::session
