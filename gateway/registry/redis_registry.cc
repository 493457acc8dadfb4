#include "gateway/registry/redis_registry.h"

#include <algorithm>
#include <set>

namespace berth::gateway::registry {
namespace {

constexpr const char* kScanCount = "1000";
constexpr std::size_t kPerCall = 1000;

// KEYS: hash, changed, version, removed, forgotten, gone, removals. ARGV: kRemovedKept; of each
// write key, what
// ('p' put, 'r' remove), value, ('e' expects, '-' does not), expected.
constexpr const char* kWriteScript =
    "for i=2,#ARGV-1,5 do "
    "if ARGV[i+3]=='e' and (redis.call('HGET',KEYS[1],ARGV[i]) or '')~=ARGV[i+4] then "
    "return {ARGV[#ARGV],0} end "
    "end "
    "local v=redis.call('INCR',KEYS[3]) "
    "for i=2,#ARGV-1,5 do "
    "if ARGV[i+1]=='p' then redis.call('HSET',KEYS[1],ARGV[i],ARGV[i+2]) "
    "redis.call('ZREM',KEYS[4],ARGV[i]) "
    "else if redis.call('HDEL',KEYS[1],ARGV[i])==1 then "
    "redis.call('INCR',KEYS[7]) redis.call('ZADD',KEYS[6],v,ARGV[i]) end "
    "redis.call('ZADD',KEYS[4],v,ARGV[i]) end "
    "redis.call('ZADD',KEYS[2],v,ARGV[i]) "
    "end "
    "local surplus=redis.call('ZCARD',KEYS[4])-ARGV[1] "
    "if surplus>0 then local old=redis.call('ZPOPMIN',KEYS[4],surplus) "
    "for i=1,#old,2 do redis.call('ZREM',KEYS[2],old[i]) end "
    "redis.call('SET',KEYS[5],old[#old]) end "
    "redis.call('ZREMRANGEBYRANK',KEYS[6],0,-1-ARGV[1]) "
    "return {ARGV[#ARGV],1}";

// KEYS: usage. ARGV: partition and report of each of ours. What is older than 5 s counts no more.
constexpr const char* kUsageScript =
    "local now=tonumber(redis.call('TIME')[1]) "
    "for i=1,#ARGV-1,2 do redis.call('HSET',KEYS[1],ARGV[i],string.format('%010d',now)..ARGV[i+1]) "
    "end "
    "local all=redis.call('HGETALL',KEYS[1]) local out={ARGV[#ARGV]} "
    "for i=1,#all,2 do if now-tonumber(string.sub(all[i+1],1,10))<=5 then "
    "out[#out+1]=all[i] out[#out+1]=string.sub(all[i+1],11) end end "
    "return out";

}  // namespace

RedisRegistry::RedisRegistry(session::RedisOptions options, std::string prefix, Copies copies)
    : redis_(std::move(options)), prefix_(std::move(prefix)), copies_(copies) {}

std::int64_t RedisRegistry::number(const char* name) {
  const std::string text = redis_.call({"GET", key(name)}).as_text_or_nil();
  return text.empty() ? 0 : static_cast<std::int64_t>(session::redis_number(text));
}

// After an answer that does not fit its question nothing more is believed of this connection.
template <class F>
auto RedisRegistry::with_connection(F&& f) {
  try {
    redis_.connect();
    return f();
  } catch (const session::RedisError&) {
    redis_.close();
    throw;
  }
}

Changes RedisRegistry::read() {
  return with_connection([this] {
    const std::int64_t now = number("registry:version");
    if (now == read_through_) return Changes{};
    // Below what we have seen: another server, or its copy from before.
    const bool whole = read_through_ < 0 || now < read_through_;
    Changes out = whole ? read_all() : read_changed();
    if (!whole && read_through_ < number("registry:forgotten")) out = read_all();
    if (!out.whole) read_returned(out);
    out.removals = number("registry:removals");
    read_through_ = now;  // what came meanwhile comes again
    return out;
  });
}

Changes RedisRegistry::read_all() {
  Changes out{.whole = true, .list = {}};
  std::string cursor = "0";
  do {
    const session::RedisReply r =
        redis_.call({"HSCAN", key("registry"), cursor, "COUNT", kScanCount});
    cursor = std::to_string(session::redis_number(r.as_array(2)[0].as_text()));
    const auto& found = r.items[1].as_array();
    if (found.size() % 2 != 0) throw session::RedisError("not a hash's fields");
    for (std::size_t i = 0; i < found.size(); i += 2)
      out.list.push_back({found[i].as_text(), found[i + 1].as_text()});
  } while (cursor != "0");
  return out;
}

Changes RedisRegistry::read_changed() {
  Changes out;
  const session::RedisReply answer = redis_.call(
      {"ZRANGEBYSCORE", key("registry:changed"), "(" + std::to_string(read_through_), "+inf"});
  const auto& keys = answer.as_array();
  for (std::size_t at = 0; at < keys.size(); at += kPerCall) {
    const std::size_t end = std::min(keys.size(), at + kPerCall);
    redis_.begin(2 + end - at);
    redis_.add("HMGET");
    redis_.add(key("registry"));
    for (std::size_t i = at; i < end; ++i) redis_.add(keys[i].as_text());
    redis_.ask();
    const session::RedisReply values = redis_.answer();
    values.as_array(end - at);
    for (std::size_t i = at; i < end; ++i) {
      const session::RedisReply& v = values.items[i - at];
      const bool there = v.type != session::RedisReply::Type::nil;
      out.list.push_back({keys[i].text, there ? std::optional(v.as_text()) : std::nullopt});
    }
  }
  return out;
}

// Those that were removed and are there again: readers hear of both. Devices before what they need.
void RedisRegistry::read_returned(Changes& out) {
  const session::RedisReply answer = redis_.call(
      {"ZRANGEBYSCORE", key("registry:gone"), "(" + std::to_string(read_through_), "+inf"});
  std::set<std::string> gone;
  for (const session::RedisReply& k : answer.as_array()) gone.insert(k.as_text());
  if (gone.empty()) return;
  std::vector<Change> all;
  for (const Change& c : out.list) {
    if (!c.value) gone.erase(c.key);
  }
  for (const std::string& k : gone) all.push_back({k, std::nullopt});
  for (Change& c : out.list) all.push_back(std::move(c));
  out.list = std::move(all);
}

RegistryStore::Reports RedisRegistry::exchange(const Reports& ours) {
  return with_connection([&] {
    redis_.begin_script("usage", "EVAL", kUsageScript, {key("usage")}, ours.size() * 2);
    for (const auto& [partition, report] : ours) {
      redis_.add(std::to_string(partition));
      redis_.add(report);
    }
    redis_.end_script();
    redis_.flush();
    const auto found = redis_.script_answer();
    if (found.size() % 2 != 0) throw session::RedisError("not reports of usage");
    Reports all;
    for (std::size_t i = 0; i < found.size(); i += 2)
      all[static_cast<std::uint32_t>(session::redis_number(found[i].as_text()))] =
          found[i + 1].as_text();
    return all;
  });
}

bool RedisRegistry::write_script(const std::vector<Write>& writes) {
  redis_.begin_script(
      "registry", "EVAL", kWriteScript,
      {key("registry"), key("registry:changed"), key("registry:version"), key("registry:removed"),
       key("registry:forgotten"), key("registry:gone"), key("registry:removals")},
      1 + writes.size() * 5);
  redis_.add(std::to_string(kRemovedKept));
  for (const Write& w : writes) {
    redis_.add(w.key);
    redis_.add(w.value ? "p" : "r");
    redis_.add(w.value.value_or(""));
    redis_.add(w.expected ? "e" : "-");
    redis_.add(w.expected.value_or(""));
  }
  redis_.end_script();
  redis_.flush();
  const auto outcome = redis_.script_answer();
  if (outcome.size() != 1) throw session::RedisError("not a write's answer");
  return outcome[0].as_integer() == 1;
}

bool RedisRegistry::write(const std::vector<Write>& writes) {
  return with_connection([&] {
    if (!write_script(writes)) return false;
    if (copies_.replicas == 0) return true;
    const std::string count = std::to_string(copies_.replicas);
    redis_.extend_patience(copies_.wait_ms);  // the answer comes at the end of the wait
    const session::RedisReply got = redis_.call({"WAIT", count, std::to_string(copies_.wait_ms)});
    redis_.extend_patience(0);
    if (got.as_integer() < copies_.replicas) {
      throw session::RedisError("written, but Redis confirms it not: " +
                                std::to_string(got.integer) + " of " + count + " replicas have it");
    }
    return true;
  });
}

}  // namespace berth::gateway::registry
