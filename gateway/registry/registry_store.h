// Where the registry is kept: a map from keys to records (registry.proto, serialized), with a
// memory of what has changed. Blocking; one thread at a time. Throws std::runtime_error when it
// can't be reached or has nothing good to say; then the next call tries anew.
//
//   key := kind '/' tenant ['/' name]      kind: t, s (site), p (product), d (device), a (account)
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::gateway::registry {

// Removals that are remembered, so that readers hear of them. Who has missed older ones reads
// everything again.
inline constexpr int kRemovedKept = 10'000;

struct Change {
  std::string key;
  std::optional<std::string> value;  // nothing: removed
};
struct Changes {
  bool whole = false;  // all there is: what is not among them has been removed
  std::vector<Change> list = {};
  bool pending = false;  // there is more, which can't be read yet: a file that may be half written
  // Records that write() has removed from this store since it was made; -1: it does not say.
  std::int64_t removals = -1;
  std::int64_t noted_removals = -1;  // what note_removals() has noted; -1: nothing
};

struct Write {
  std::string key;
  std::optional<std::string> value;     // nothing: remove
  std::optional<std::string> expected;  // what must be there now; "": nothing must be
};

class RegistryStore {
 public:
  virtual ~RegistryStore() = default;
  // What has changed since the last call; at first, and when that can't be told, everything there
  // is. A record that was removed and is there again is among them twice: removed, then anew.
  virtual Changes read() = 0;
  // All of them or, if one finds what it does not expect, none (false).
  virtual bool write(const std::vector<Write>& writes) = 0;
  virtual bool read_only() const { return false; }
  // Of a copy: `removals` of the store that it is a copy of.
  virtual void note_removals(std::int64_t /*removals*/) {}
  // What partitions say of their usage (UsageReport): puts down that of ours, gets that of all that
  // have said something in the last seconds. Where there is one engine there is nothing to
  // exchange.
  using Reports = std::map<std::uint32_t, std::string>;  // by partition
  virtual Reports exchange(const Reports& /*ours*/) { return {}; }
  // From any thread: a call that waits for a server fails now.
  virtual void interrupt() {}
};

}  // namespace berth::gateway::registry
