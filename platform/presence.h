// Which registered devices are there, in one partition: what their platform has been told, and what
// is to be told. Owned by DeviceWatch; calls in, PresencePorts out, time as an argument. One shard,
// one thread.
//
// A device is online while a session of it has a connection, and offline when none has had one for
// PresenceOptions::offline_after_s: a device that comes back earlier has never been away. An end
// that was the gateway's doing is no event for PresenceOptions::ours_after_s. State and event are
// in one batch: the event is published again after a crash, never without the state, and the state
// never without the event. An end that is older than the newest connection changes nothing.
//
// Memory: 24 bytes in a hash table for each device that was ever seen (44 at most, as the table
// grows), connected or not; what goes offline needs its record until that is told. The other facts
// of a connected device are its session's, those of another one are in its record only.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/siphash.h"
#include "metrics/histogram.h"
#include "platform/board.h"
#include "platform/causes.h"
#include "platform/command.h"
#include "platform/options.h"
#include "platform/records.h"

namespace berth::platform {

// A connection of a registered device.
struct Visit {
  std::string tenant;
  std::string site;
  std::string device;
  std::string product;
  std::string client_id;
  std::string address;  // with its port
  std::string protocol;
  std::uint64_t epoch = 0;  // its session's
};

namespace pb {
class PresenceRecord;
}  // namespace pb

struct PresenceEvent {
  Visit visit;  // as far as is known
  bool online = false;
  std::int64_t since_ms = 0;  // Unix time
  Cause cause = Cause::none;
  std::vector<std::string> children = {};  // devices behind it, for which the same holds
};

class PresencePorts {
 public:
  // To the platform. `staged` is called, once, when what must be durable of it is in the open
  // batch.
  virtual void publish(const PresenceEvent& e, std::function<void()> staged) = 0;
  virtual bool is_registered(const Visit& v) const = 0;  // it may be disabled

 protected:
  ~PresencePorts() = default;
};

class Presence {
 public:
  enum class State : std::uint8_t { never = 0, online = 1, offline = 2 };  // stored
  using Id = std::uint64_t;
  static constexpr std::size_t kFirmwares = 63;    // different ones
  static constexpr std::size_t kFirmwareMax = 64;  // bytes

  // All three outlive it. `board` is told how many are at each site.
  Presence(PresenceOptions options, Records& records, PresencePorts& ports, Board& board);
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;

  // Of a device's principal key (session/scope.h); of this process only.
  Id id_of(std::string_view principal_key) const { return base::siphash(secret_, principal_key); }

  // -- restored, before attached_all()
  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view record);
  void forget(std::string_view key);

  // -- connections of the device, counted in the middle of calls of the core. begins(): true if
  // came() is to follow when the turn ends: the state or the record has to change. left() follows
  // ends() at once; it writes, and publishes nothing.
  bool begins(Id id, std::uint64_t epoch);
  void came(Id id, const Visit& v, At at);
  void ends(Id id);
  // `record`: false: without one; after a crash the cause is not known then.
  void left(Id id, const Visit& v, Cause cause, At at, bool record = true);
  // The device is registered at another site now: there it is counted, and its record says so.
  // `connected`: its connection, as it was begun; null: it has none.
  void moved(std::string_view tenant, std::string_view device, const std::string& site,
             const Visit* connected = nullptr);
  // Its record goes, without an event: what is retained of a removed device is removed with it.
  void removed(std::string_view tenant, std::string_view device);
  // The device, whose connection is `v`, says which firmware it has.
  void reports(Id id, const Visit& v, std::string_view firmware);
  // As it has reported; empty: it has not, or kFirmwares others have.
  std::string_view firmware_of(Id id) const;
  // Connections that the engine before us had are known, or their edges are out of reach.
  void attached_all(At at);
  // Tells what is due, so much at a time. True: there is more.
  bool tell_due(At at);

  // 16 bytes. An epoch is a time in ms: 44 bits last until the year 2527.
  struct Known {
    std::uint64_t epoch : 44 = 0;    // of the newest connection
    std::uint64_t here : 16 = 0;     // sessions with a connection
    Cause cause : 4 = Cause::none;   // of `offline`
    std::uint64_t since_s : 32 = 0;  // of the state, Unix time
    std::uint64_t place : 16 = 0;    // where it is counted: Board::Place
    std::uint64_t events : 8 = 0;    // of its history, since it was trimmed
    State state : 2 = State::never;
    std::uint8_t firmware : 6 = 0;  // 1 + its place in firmwares_; 0: not reported
  };
  static_assert(sizeof(Known) == 16 && kCauses <= 16);
  // An event of its history has been written. True: as many as `most` have since the last time.
  bool count_event(Id id, std::uint8_t most) {
    const auto it = known_.find(id);
    if (it == known_.end() || ++it->second.events < most) return false;
    it->second.events = 0;
    return true;
  }
  const Known* find(Id id) const {
    const auto it = known_.find(id);
    return it == known_.end() ? nullptr : &it->second;
  }
  bool is_leaving(Id id) const { return leaving_.contains(id); }
  std::size_t known() const { return known_.size(); }
  std::size_t leaving() const { return leaving_.size(); }
  std::uint64_t online() const { return online_; }  // as the platform has been told
  struct Counts {
    std::uint64_t told_online = 0;
    std::uint64_t told_offline = 0;
    std::uint64_t came_back = 0;  // before it was told that they had gone
    metrics::Histogram gaps;      // of devices whose connection the gateway had ended
  };
  const Counts& counts() const { return counts_; }

  static std::string key_of(std::string_view tenant, std::string_view device);
  static pb::PresenceRecord record_of(const Visit& v);  // without its state

 private:
  struct Leaving {
    Visit visit;
    Cause cause{};
    std::int64_t left_ms = 0;
    base::Instant due;
    Board::Place place = 0;  // where it is counted as leaving
  };
  void leave(Id id, Leaving l);
  void count_gap(const Known& k, const Leaving* leaving, At at);
  bool stay(Id id);
  void set_state(Known& k, State s, std::int64_t since_ms, Board::Place place, Cause cause);
  void tell(const PresenceEvent& e, std::string record);
  std::string encode(const Known& k, const Visit& v, std::int64_t left_ms, Cause cause) const;
  std::uint8_t place_of(std::string_view firmware);
  Id id_of_key(std::string_view key) const;

  PresenceOptions options_;
  Records& records_;
  PresencePorts& ports_;
  Board& board_;
  base::SipKey secret_;
  boost::unordered_flat_map<Id, Known> known_;
  boost::unordered_flat_map<Id, Leaving> leaving_;
  std::set<std::pair<base::Instant, Id>> due_;
  std::map<std::string, std::string, std::less<>> doubtful_;  // restored as online, by key
  std::vector<std::string> firmwares_;                        // of all devices
  std::uint64_t online_ = 0;
  Counts counts_;
  bool attached_ = false;
};

}  // namespace berth::platform
