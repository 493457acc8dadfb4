// The store's table of records, as the rooms of the platform side use it. Writes go into the open
// batch of the engine, beside the writes of the sessions: what belongs together is committed
// together. One shard, one thread; calls return at once.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "session/store.h"

namespace berth::platform {

class Records {
 public:
  // A key that begins with session::kLiveRecord is restored when the next engine begins; all other
  // records stay in the store until they are read.
  virtual void put(std::string_view key, std::string_view value) = 0;
  virtual void remove(std::string_view key) = 0;
  // Calls `f` once, when all that has been put until now is committed. Not if this engine ends
  // before.
  virtual void when_durable(std::function<void()> f) = 0;
  // What `f` writes and waits for may be committed later, with what comes next (within 20 ms): for
  // facts that are told again when this engine ends before.
  virtual void unhurried(const std::function<void()>& f) { f(); }
  // Of the call under way, by the clock of sessions.
  virtual base::Instant now() const = 0;
  // Of what is committed. Calls `done` once, later, on the shard's thread.
  virtual void read(session::RecordRange range, session::Store::RecordsDone done) = 0;

 protected:
  ~Records() = default;
};

// The keys of a table begin with its prefix. Parts of a key are names, which have no U+0000, with
// U+0000 between them.
inline std::string joined(std::string_view a, std::string_view b) {
  std::string key(a);
  key.push_back('\0');
  return key.append(b);
}
// All records whose keys begin with `prefix`.
inline session::RecordRange all_of(std::string prefix) {
  session::RecordRange r;
  r.from = prefix;
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  r.to = std::move(prefix);
  return r;
}
inline session::RecordRange exactly(std::string key) {
  session::RecordRange r;
  r.from = key;
  r.to = std::move(key);
  r.to.push_back('\0');
  r.count = 1;
  return r;
}
// So that the order of keys is the order of times: 8 bytes, the highest first. Not negative.
inline std::string big_endian(std::int64_t ms) {
  std::string out(8, '\0');
  for (int i = 0; i < 8; ++i) out[7 - i] = static_cast<char>(ms >> (8 * i));
  return out;
}
// Of its 8 bytes.
inline std::int64_t from_big_endian(std::string_view bytes) {
  std::uint64_t n = 0;
  for (const char c : bytes.substr(0, 8)) n = n << 8 | static_cast<unsigned char>(c);
  return static_cast<std::int64_t>(n);
}

}  // namespace berth::platform
