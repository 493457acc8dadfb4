// What sessions keep of the engine's memory, in bytes and counts: filters and wills of a session,
// of the principal it belongs to (principal_key.h), of that one's tenant, of all together. Asked
// before anything is kept; counted down by the destructor of a Holding and nowhere else. Owned by
// the Broker; one shard.
//
// Limits that are 0 are none. The last tenth of a limit that several share (a tenant's bytes, those
// of all, the number of sessions) is for those who hold less than what is left of it: whoever takes
// all he can get leaves room for newcomers.
//
// What was stored before a limit was lowered is restored all the same, and counted.
#pragma once

#include <boost/unordered/unordered_map.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace berth::session {

struct HoldingLimits {
  std::uint64_t session_bytes = 64u << 10;  // filters and will, as the device has said them
  // Bytes of memory, see Cost.
  std::uint64_t principal_bytes = 128u << 20;
  std::uint64_t tenant_bytes = 512u << 20;
  std::uint64_t total_bytes = 1u << 30;
  // Sessions, of one registered device; of one account; of one user of a password file, or of one
  // address without a user name.
  std::uint32_t per_device = 1;
  std::uint32_t per_account = 1000;
  std::uint32_t per_user = 100'000;
};

// Of something that is kept: what it counts for a session, and what for the memory of the engine.
struct Cost {
  std::uint32_t bytes = 0;
  std::uint32_t memory = 0;
};
// A subscription's memory: its place in the session and in the trie of filters.
Cost cost_of_filter(std::string_view raw_filter);
Cost cost_of_will(std::size_t bytes);

// A principal, a tenant, or all together.
class Holder {
 public:
  Holder(std::string key, Holder* above, std::uint64_t limit)
      : key_(std::move(key)), above_(above), limit_(limit) {}
  std::string_view principal() const { return std::string_view(key_).substr(1); }
  std::uint64_t bytes() const { return bytes_; }
  std::uint32_t sessions() const { return sessions_; }
  // Of a registered device, if their number is limited; else none.
  const std::vector<base::SessionId>& ids() const { return ids_; }
  bool has_room(std::uint64_t bytes) const;  // here and above
  void count(std::int64_t bytes, int sessions);

 private:
  friend class Holdings;
  friend class Holding;
  std::string key_;
  Holder* above_;
  std::uint64_t limit_;
  std::uint64_t bytes_ = 0;
  std::uint32_t sessions_ = 0;
  std::uint32_t users_ = 0;  // Holdings that point here, Holders below
  std::vector<base::SessionId> ids_;
};

class Holdings;

// A share of a Holder: a session with its filters, or a will. Movable; gives back what it has.
class Holding {
 public:
  Holding() = default;
  // `session`: that this is of; value 0: no session counts, a will has a Holding of its own.
  Holding(Holdings& all, std::string_view principal, base::SessionId session = {});
  Holding(Holding&& o) noexcept { *this = std::move(o); }
  Holding& operator=(Holding&& o) noexcept;
  ~Holding() { drop(); }

  // False: there is no room, and nothing is counted.
  bool take(Cost c);
  void keep(Cost c);  // unasked: what is restored
  void give_back(Cost c);
  void give_back_all();
  bool has_room(Cost c) const;
  std::uint32_t bytes() const { return have_.bytes; }
  Cost cost() const { return have_; }
  const Holder* holder() const { return holder_; }  // null: nothing is counted

 private:
  void drop();
  Holdings* all_ = nullptr;
  Holder* holder_ = nullptr;
  Cost have_;
  base::SessionId session_{};
};

class Holdings {
 public:
  explicit Holdings(const HoldingLimits& limits);
  Holdings(const Holdings&) = delete;
  Holdings& operator=(const Holdings&) = delete;
  const HoldingLimits& limits() const { return limits_; }
  const Holder& all() const { return all_; }
  std::uint32_t sessions_of(std::string_view principal) const;
  // The sessions of a device one of which, or more, must end before it begins another; else none.
  std::vector<base::SessionId> full_device(std::string_view principal) const;
  // May this principal begin another session? `now`, `most`: sessions there are, and may be. A
  // device may, in place of one it has.
  bool may_begin(std::string_view principal, std::size_t now, std::size_t most) const;

 private:
  friend class Holding;
  Holder& of(std::string_view principal);
  Holder& make(const std::string& key, Holder& above, std::uint64_t limit);
  void release(Holder& h);
  const Holder* find(std::string_view key) const;
  std::uint32_t sessions_max(std::string_view principal) const;
  bool indexes(std::string_view principal) const;

  HoldingLimits limits_;
  Holder all_;
  boost::unordered_map<std::string, std::unique_ptr<Holder>> by_key_;  // "t" tenant, "p" principal
};

}  // namespace berth::session
