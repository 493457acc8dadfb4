#include "gateway/registry/redis_registry.h"

#include <algorithm>
#include <cstdlib>

namespace berth::gateway::registry {
namespace {

constexpr const char* kScanCount = "1000";
constexpr std::size_t kPerCall = 1000;

// KEYS: hash, changed, version, removed, forgotten. ARGV: kRemovedKept; of each write key, what
// ('p' put, 'r' remove), value, ('e' expects, '-' does not), expected.
constexpr const char* kWriteScript =
    "for i=2,#ARGV,5 do "
    "if ARGV[i+3]=='e' and (redis.call('HGET',KEYS[1],ARGV[i]) or '')~=ARGV[i+4] then return 0 end "
    "end "
    "local v=redis.call('INCR',KEYS[3]) "
    "for i=2,#ARGV,5 do "
    "if ARGV[i+1]=='p' then redis.call('HSET',KEYS[1],ARGV[i],ARGV[i+2]) "
    "redis.call('ZREM',KEYS[4],ARGV[i]) "
    "else redis.call('HDEL',KEYS[1],ARGV[i]) redis.call('ZADD',KEYS[4],v,ARGV[i]) end "
    "redis.call('ZADD',KEYS[2],v,ARGV[i]) "
    "end "
    "local surplus=redis.call('ZCARD',KEYS[4])-ARGV[1] "
    "if surplus>0 then local old=redis.call('ZPOPMIN',KEYS[4],surplus) "
    "for i=1,#old,2 do redis.call('ZREM',KEYS[2],old[i]) end "
    "redis.call('SET',KEYS[5],old[#old]) end "
    "return 1";

// KEYS: usage. ARGV: partition and report of each of ours. What is older than 5 s counts no more.
constexpr const char* kUsageScript =
    "local now=tonumber(redis.call('TIME')[1]) "
    "for i=1,#ARGV,2 do redis.call('HSET',KEYS[1],ARGV[i],string.format('%010d',now)..ARGV[i+1]) "
    "end "
    "local all=redis.call('HGETALL',KEYS[1]) local out={} "
    "for i=1,#all,2 do if now-tonumber(string.sub(all[i+1],1,10))<=5 then "
    "out[#out+1]=all[i] out[#out+1]=string.sub(all[i+1],11) end end "
    "return out";

}  // namespace

RedisRegistry::RedisRegistry(session::RedisOptions options, std::string prefix, Copies copies)
    : redis_(std::move(options)), prefix_(std::move(prefix)), copies_(copies) {}

std::int64_t RedisRegistry::number(const char* name) {
  const session::RedisReply r = redis_.call({"GET", key(name)});
  return r.type == session::RedisReply::Type::text ? std::atoll(r.text.c_str()) : 0;
}

Changes RedisRegistry::read() {
  redis_.connect();
  const std::int64_t now = number("registry:version");
  if (now == read_through_) return {};
  // Below what we have seen: another server, or its copy from before.
  const bool whole = read_through_ < 0 || now < read_through_;
  Changes out = whole ? read_all() : read_changed();
  if (!whole && read_through_ < number("registry:forgotten")) out = read_all();
  read_through_ = now;  // what came meanwhile comes again
  return out;
}

Changes RedisRegistry::read_all() {
  Changes out{.whole = true, .list = {}};
  std::string cursor = "0";
  do {
    const session::RedisReply r =
        redis_.call({"HSCAN", key("registry"), cursor, "COUNT", kScanCount});
    if (r.items.size() != 2) throw session::RedisError("not a scan's answer");
    cursor = r.items[0].text;
    const auto& found = r.items[1].items;
    for (std::size_t i = 0; i + 1 < found.size(); i += 2)
      out.list.push_back({found[i].text, found[i + 1].text});
  } while (cursor != "0");
  return out;
}

Changes RedisRegistry::read_changed() {
  Changes out;
  const session::RedisReply keys = redis_.call(
      {"ZRANGEBYSCORE", key("registry:changed"), "(" + std::to_string(read_through_), "+inf"});
  for (std::size_t at = 0; at < keys.items.size(); at += kPerCall) {
    const std::size_t end = std::min(keys.items.size(), at + kPerCall);
    redis_.begin(2 + end - at);
    redis_.add("HMGET");
    redis_.add(key("registry"));
    for (std::size_t i = at; i < end; ++i) redis_.add(keys.items[i].text);
    redis_.flush();
    const session::RedisReply values = redis_.expect();
    for (std::size_t i = at; i < end && i - at < values.items.size(); ++i) {
      const session::RedisReply& v = values.items[i - at];
      const bool there = v.type == session::RedisReply::Type::text;
      out.list.push_back({keys.items[i].text, there ? std::optional(v.text) : std::nullopt});
    }
  }
  return out;
}

RegistryStore::Reports RedisRegistry::exchange(const Reports& ours) {
  redis_.connect();
  redis_.begin(4 + ours.size() * 2);
  for (const std::string& a :
       {std::string("EVAL"), std::string(kUsageScript), std::string("1"), key("usage")})
    redis_.add(a);
  for (const auto& [partition, report] : ours) {
    redis_.add(std::to_string(partition));
    redis_.add(report);
  }
  redis_.flush();
  const session::RedisReply found = redis_.expect();
  Reports all;
  for (std::size_t i = 0; i + 1 < found.items.size(); i += 2)
    all[static_cast<std::uint32_t>(std::atoi(found.items[i].text.c_str()))] =
        found.items[i + 1].text;
  return all;
}

bool RedisRegistry::write(const std::vector<Write>& writes) {
  redis_.connect();
  redis_.begin(9 + writes.size() * 5);
  for (const std::string& a :
       {std::string("EVAL"), std::string(kWriteScript), std::string("5"), key("registry"),
        key("registry:changed"), key("registry:version"), key("registry:removed"),
        key("registry:forgotten"), std::to_string(kRemovedKept)})
    redis_.add(a);
  for (const Write& w : writes) {
    redis_.add(w.key);
    redis_.add(w.value ? "p" : "r");
    redis_.add(w.value.value_or(""));
    redis_.add(w.expected ? "e" : "-");
    redis_.add(w.expected.value_or(""));
  }
  redis_.flush();
  if (redis_.expect().integer != 1) return false;
  if (copies_.replicas == 0) return true;
  const session::RedisReply got =
      redis_.call({"WAIT", std::to_string(copies_.replicas), std::to_string(copies_.wait_ms)});
  if (got.integer < copies_.replicas)
    throw session::RedisError("written, but too few replicas have it");
  return true;
}

}  // namespace berth::gateway::registry
