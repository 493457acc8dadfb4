// What sessions keep of the engine's memory, in bytes and counts: filters and wills of a session,
// of its principal (principal_key.h), of the principal's tenant, of all together. A caller asks for
// room before it keeps anything; the destructor of a Holding gives back what it has. The Holder of
// a principal is also the head of the list of its sessions (SessionTable::each_of). Owned by the
// core; one shard, one thread.
//
// A limit of 0 is no limit. Several holders share a tenant's bytes, the bytes of all and the number
// of sessions. When less than a tenth of a shared limit is free, only holders whose own use is
// below the free rest may take more: so one holder cannot take the room of newcomers.
//
// Restoring ignores limits: what was stored before a limit was lowered is restored and counted.
#pragma once

#include <boost/unordered/unordered_map.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

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

class Holdings;
struct Session;

// A principal, a tenant, or all together.
class Holder {
 public:
  // `key` outlives this. `above`: null for all together.
  Holder(Holdings& all, std::string_view key, Holder* above, std::uint64_t limit);
  ~Holder();
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  // REQUIRES: a principal's or a tenant's.
  std::string_view principal() const { return key_.substr(1); }
  std::uint64_t bytes() const { return bytes_; }
  std::uint32_t sessions() const { return sessions_; }
  bool has_room(std::uint64_t bytes) const;  // here and above
  void count(std::int64_t bytes, int sessions);
  // Of a principal: its sessions, the newest first, by Session::own_older.
  Session* newest() const { return newest_; }
  void use_newest(Session* s) { newest_ = s; }
  // Of a tenant: its principals, by next().
  const Holder* first() const { return first_; }
  const Holder* next() const { return next_; }

 private:
  friend class Holdings;
  friend class Holding;
  Holdings& all_;
  std::string_view key_;
  Holder* above_;
  Holder* first_ = nullptr;
  Holder* next_ = nullptr;
  Holder* previous_ = nullptr;
  Session* newest_ = nullptr;
  std::uint64_t limit_;
  std::uint64_t bytes_ = 0;
  std::uint32_t sessions_ = 0;
  std::uint32_t users_ = 0;  // Holdings that point here, Holders below
};

// A share of a Holder: the filters of a session, or a will. Movable; gives back what it has.
class Holding {
 public:
  Holding() = default;
  Holding(Holdings& all, std::string_view principal);
  Holding(Holding&& o) noexcept { *this = std::move(o); }
  Holding& operator=(Holding&& o) noexcept;
  ~Holding() { drop(); }

  // False: there is no room, and nothing is counted.
  bool take(Cost c);
  void keep(Cost c);  // counts without a limit: what is restored
  // REQUIRES: at most what was taken or kept.
  void give_back(Cost c);
  void give_back_all();
  bool has_room(Cost c) const;
  std::uint32_t bytes() const { return have_.bytes; }
  Cost cost() const { return have_; }
  Holder* holder() const { return holder_; }  // null: nothing is counted

 private:
  void drop();
  Holder* holder_ = nullptr;
  Cost have_;
};

class Holdings {
 public:
  explicit Holdings(const HoldingLimits& limits);
  Holdings(const Holdings&) = delete;
  Holdings& operator=(const Holdings&) = delete;
  const HoldingLimits& limits() const { return limits_; }
  const Holder& all() const { return all_; }
  std::uint32_t sessions_of(std::string_view principal) const;
  // True: a device that must end one of its sessions, or more, before it begins another.
  bool is_full_device(std::string_view principal) const;
  // May this principal begin another session? `now`, `most`: sessions there are, and may be. A
  // device may, in place of one it has.
  bool may_begin(std::string_view principal, std::size_t now, std::size_t most) const;
  // Null: holds nothing and has no session.
  const Holder* principal(std::string_view key) const;
  // Null: no principal of it has a session. `name` empty: of those that are not registered.
  const Holder* tenant(std::string_view name) const;

 private:
  friend class Holding;
  Holder& of(std::string_view principal_key);
  Holder& make(const std::string& key, Holder& above, std::uint64_t limit);
  void release(Holder& h);
  std::uint32_t sessions_max(std::string_view principal) const;
  bool replaces(std::string_view principal) const;

  HoldingLimits limits_;
  Holder all_;
  boost::unordered_map<std::string, std::unique_ptr<Holder>> by_key_;  // "t" tenant, "p" principal
};

}  // namespace berth::session
