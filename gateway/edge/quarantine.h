// Who has killed engines and is kept out (I12): by principal, not by connection or client id, so a
// new name or connection changes nothing. One of a process, for all its edge shards; any thread.
//
//   death with evidence -> strike(): the second of one principal within the quarantine's length
//   puts it in quarantine for `seconds`; the sixth of one tenant slows the tenant's log-ins down.
//
// Keys are 128 bits of an HMAC of the principal's key (link/principal_id.h): all engines of a store
// agree on them, and nobody can try names against one. Who is not logged in is its address
// (SHA-256, which all edges agree on), apart from anonymous clients of that address.
//
// Limits: 10,000 keys with strikes (the oldest is forgotten), 32 files of killing input of at most
// 64 KiB each (the oldest is removed), 1,000 numbers of strikes that were heard.
#pragma once

#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "protocol/link/types.h"

namespace berth::gateway::edge {

class Quarantine {
 public:
  using Id = protocol::link::PrincipalId;
  using List = std::vector<protocol::link::KeptOut>;
  enum class Kind : std::uint8_t { principal = 0, anonymous = 1, before_login = 2 };
  static constexpr std::size_t kNameMax = 256;  // bytes
  static constexpr int kDeaths = 2;             // of one principal
  static constexpr int kTenantDeaths = 6;       // then its tenant is slowed
  static constexpr std::size_t kKeysMax = 10'000;
  static constexpr std::size_t kInputMax = 64 * 1024;
  static constexpr std::size_t kFilesMax = 32;

  // One proven death, or that an operator has lifted what followed. Edges of a cluster tell it to
  // each other by the bytes of encode().
  struct Strike {
    std::uint64_t number = 0;  // random: heard twice, it counts once
    Id id;
    std::uint64_t tenant = 0;  // 0: none
    Kind kind = Kind::principal;
    bool at_once = false;  // proven by a probation: it has been there at earlier deaths
    std::string peer;      // its address, for people
    std::string name;      // whose it is, for people; empty: it had not logged in
    bool lifted = false;   // nothing but number and id count; a release before knows none of these
    std::string encode() const;
    static std::optional<Strike> decode(std::string_view bytes);
  };
  struct Entry {
    Id id;
    Kind kind = Kind::principal;
    std::uint64_t tenant = 0;
    int deaths = 0;
    std::int64_t until_s = 0;  // 0: not in quarantine (yet)
    std::int64_t last_s = 0;
    std::string peer;
    std::string name;  // tenant, user or device, client id; empty: not known
    std::string file;  // what was worked on; empty: none is kept
  };

  // `directory`: where killing input is kept; empty: nowhere.
  explicit Quarantine(std::string directory, std::uint32_t seconds = 600)
      : directory_(std::move(directory)), seconds_(seconds) {}
  void use_seconds(std::uint32_t s);

  // The principal is in quarantine from now on, or was. `input`: what the engine worked on.
  bool strike(const Strike& s, std::string_view input, std::int64_t now_s);
  // False: there has been no strike, the rest need not be asked. Without a lock.
  bool any() const { return any_.load(std::memory_order_relaxed); }
  bool holds(const Id& id, std::int64_t now_s);
  bool slows(std::uint64_t tenant, std::int64_t now_s);
  // How a connection is called, by its cookie's identity.
  using NameOf = std::string (*)(std::string_view identity);
  void use_names(NameOf f) { name_of_ = f; }  // before the first connection
  std::string name_of(std::string_view identity) const {
    return name_of_ == nullptr ? std::string() : name_of_(identity).substr(0, kNameMax);
  }
  // What engines are to be told: those in quarantine, tenants that are slowed, those just lifted.
  List list(std::int64_t now_s);
  std::vector<Entry> entries(std::int64_t now_s);
  std::size_t size(std::int64_t now_s);
  // By the text of its id. False: there is no such entry.
  bool lift(std::string_view id, std::int64_t now_s);
  // What other edges are to be told of that.
  static Strike lifted(std::string_view id);

  // -- for an edge's successor on the same host
  std::string save(std::int64_t now_s);
  void restore(std::string_view bytes, std::int64_t now_s);

 private:
  std::string keep(const Id& id, std::string_view input) const;
  void make_room();

  NameOf name_of_ = nullptr;
  std::mutex mutex_;
  std::atomic<bool> any_{false};
  const std::string directory_;
  std::uint32_t seconds_;
  boost::unordered_flat_map<Id, Entry, protocol::link::PrincipalIdHash> entries_;
  boost::unordered_flat_map<std::uint64_t, std::pair<int, std::int64_t>> tenants_;  // deaths, last
  std::deque<std::uint64_t> heard_;  // numbers of strikes
  std::vector<std::pair<Id, std::int64_t>> lifted_;
};

// Of a connection that has not logged in.
protocol::link::PrincipalId newcomer_id(const base::Address& address);

}  // namespace berth::gateway::edge
