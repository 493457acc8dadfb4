// The scripts of redis_store.cc and redis_restore.cc, run inside Redis (Lua 5.1). KEYS[1] is the
// prefix of all keys. The last argument of each is its tag (redis_connection.h), which is the first
// element of its answer; it is not named below.
#pragma once

#include <string>

#include "base/bytes.h"
#include "session/store.h"
#include "store/redis_connection.h"

namespace berth::session {

// ARGV: owner, lease in ms, expected, floor. Takes the lease if it is free, a predecessor's of the
// same owner, or that of number `expected`, whose holder is given up. Answers the holder's number,
// above `floor` and all before it, or who else has the lease. The lease's value is owner#number.
inline constexpr const char kTakeScript[] = R"lua(
local p = KEYS[1]
local holder = redis.call('GET', p .. 'lease')
local ours = ARGV[1] .. '#'
local expected = '#' .. ARGV[3]
if holder and string.sub(holder, 1, #ours) ~= ours
    and string.sub(holder, -#expected) ~= expected then
  return {ARGV[#ARGV], holder}
end
local number = redis.call('INCR', p .. 'holders')
if number <= tonumber(ARGV[4]) then
  number = tonumber(ARGV[4]) + 1
  redis.call('SET', p .. 'holders', number)
end
redis.call('SET', p .. 'lease', ours .. number, 'PX', ARGV[2])
return {ARGV[#ARGV], number}
)lua";

// ARGV: owner#number, lease in ms, number, then six of each write: kind session seq epoch key
// value. seq is 8 bytes big-endian; for a queue entry key is that of seq + 1. Answers 'ok' and the
// sessions whose epoch is newer, or 'fenced' and who has the lease.
inline constexpr const char kCommitScript[] = R"lua(
local p = KEYS[1]
local holder = redis.call('GET', p .. 'lease')
local last = redis.call('GET', p .. 'holders')
if holder ~= ARGV[1] and (holder or last ~= ARGV[3]) then
  local gone = last and 'nobody, a later one has ended'
      or 'nobody: Redis was emptied, or has started without its data'
  return {ARGV[#ARGV], 'fenced', holder or gone}
end
redis.call('SET', p .. 'lease', ARGV[1], 'PX', ARGV[2])
local warming = redis.call('EXISTS', p .. 'warm') == 1
local refused = {ARGV[#ARGV], 'ok'}
for i = 4, #ARGV - 1, 6 do
  local kind, id, seq, epoch, key, value =
      ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  if warming then
    local what = string.find(kind, 'retained') and 'r' .. key
        or string.find(kind, 'applied') and 'a' .. key
        or string.find(kind, 'record') and 'e' .. key or 's' .. id
    if string.sub(what, 1, 1) ~= 'e' or string.sub(key, 1, 1) == '!' then
      redis.call('SADD', p .. 'changed', what)
    end
  end
  local stale = false
  if epoch ~= '0' then
    local known = redis.call('HGET', p .. 'epochs', id)
    stale = known and tonumber(known) > tonumber(epoch)
  end
  if stale then
    refused[#refused + 1] = id
  elseif kind == 'append' then
    local q = p .. 'q:' .. id
    redis.call('ZREMRANGEBYLEX', q, '[' .. seq, '(' .. key)
    redis.call('ZADD', q, 0, seq .. value)
    redis.call('SADD', p .. 'queues', id)
  elseif kind == 'remove' then
    redis.call('ZREMRANGEBYLEX', p .. 'q:' .. id, '[' .. seq, '(' .. key)
  elseif kind == 'remove_through' then
    redis.call('ZREMRANGEBYLEX', p .. 'q:' .. id, '-', '(' .. key)
  elseif kind == 'put_session' then
    redis.call('HSET', p .. 'sessions', id, value)
    redis.call('HSET', p .. 'epochs', id, epoch)
  elseif kind == 'delete_session' then
    redis.call('HDEL', p .. 'sessions', id)
    redis.call('HDEL', p .. 'epochs', id)
    redis.call('DEL', p .. 'q:' .. id, p .. 'r:' .. id)
    redis.call('SREM', p .. 'queues', id)
    redis.call('SREM', p .. 'receivers', id)
  elseif kind == 'put_received' then
    redis.call('HSET', p .. 'r:' .. id, key, value)
    redis.call('SADD', p .. 'receivers', id)
  elseif kind == 'remove_received' then
    redis.call('HDEL', p .. 'r:' .. id, key)
  elseif kind == 'put_retained' then
    redis.call('HSET', p .. 'retained', key, value)
  elseif kind == 'remove_retained' then
    redis.call('HDEL', p .. 'retained', key)
  elseif kind == 'put_applied' then
    redis.call('HSET', p .. 'applied', key, value)
  elseif kind == 'remove_applied' then
    redis.call('HDEL', p .. 'applied', key)
  elseif kind == 'put_record' then
    redis.call('HSET', p .. 'records', key, value)
    redis.call('ZADD', p .. 'keys', 0, key)
  elseif kind == 'remove_record' then
    redis.call('HDEL', p .. 'records', key)
    redis.call('ZREM', p .. 'keys', key)
  end
end
return refused
)lua";

// A successor may read everything while we go on (warm, named by ARGV[1]); what changes from here
// on is noted in `changed`, so that it has to read only that when it takes the lease.
inline constexpr const char kWarmScript[] = R"lua(
redis.call('DEL', KEYS[1] .. 'changed', KEYS[1] .. 'warmed')
redis.call('SET', KEYS[1] .. 'warm', ARGV[1])
return {ARGV[#ARGV]}
)lua";

// ARGV: the name of the warming, ours as one that has read all; both empty: only end it. By the new
// holder of the lease: answers what has changed, nothing if the warming was another.
inline constexpr const char kChangedScript[] = R"lua(
local p = KEYS[1]
local name = redis.call('GET', p .. 'warm')
local changed = nil
if name and name == ARGV[1] then changed = redis.call('SMEMBERS', p .. 'changed') end
redis.call('DEL', p .. 'warm', p .. 'changed', p .. 'warmed')
return {ARGV[#ARGV], changed}
)lua";

// ARGV: sessions. For restoring: of each that has a queue, three of it: session, first, last entry.
inline constexpr const char kQueuesScript[] = R"lua(
local found = {ARGV[#ARGV]}
for i = 1, #ARGV - 1 do
  local q = KEYS[1] .. 'q:' .. ARGV[i]
  local first = redis.call('ZRANGE', q, 0, 0)[1]
  if first then
    found[#found + 1] = ARGV[i]
    found[#found + 1] = first
    found[#found + 1] = redis.call('ZRANGE', q, -1, -1)[1]
  end
end
return found
)lua";

// ARGV: sessions. For restoring: three of each QoS 2 PUBLISH received: session, packet id, value.
inline constexpr const char kReceivedScript[] = R"lua(
local found = {ARGV[#ARGV]}
for i = 1, #ARGV - 1 do
  local all = redis.call('HGETALL', KEYS[1] .. 'r:' .. ARGV[i])
  for j = 1, #all, 2 do
    found[#found + 1] = ARGV[i]
    found[#found + 1] = all[j]
    found[#found + 1] = all[j + 1]
  end
end
return found
)lua";

// ARGV: owner#number. Gives the lease back if it is theirs.
inline constexpr const char kReleaseScript[] = R"lua(
if redis.call('GET', KEYS[1] .. 'lease') == ARGV[1] then redis.call('DEL', KEYS[1] .. 'lease') end
return {ARGV[#ARGV]}
)lua";

// A queue's member, and a session's id as it is written in keys. They throw RedisError.
inline StoredEntry entry_of(const std::string& member) {
  if (member.size() < 8) throw RedisError("not a queue's entry");
  return {base::get_key64(member), member.substr(8)};
}

inline base::SessionId session_of(const std::string& text) {
  return {redis_number(text)};
}

}  // namespace berth::session
