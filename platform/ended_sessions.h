// Sessions of the console that were logged out before their time: a session is a sealed cookie that
// is good at each process of the gateway, so each asks the engine of partition 0 for this list
// (docs/adr/0028). In the store, so that the next engine has it. Owned by the Platform. One shard,
// one thread.
//
// Limits: kMostOfOne sessions of an account, kMost in all. Above that all sessions of the account,
// or of everybody, that were begun until now are ended: people log in again, and no session that
// was ended comes back to life.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/string_map.h"
#include "platform/records.h"
#include "platform/sessions.pb.h"

namespace berth::platform {

class EndedSessions {
 public:
  static constexpr std::int64_t kLasts_s = std::int64_t{12} * 3600;  // a session
  static constexpr std::int64_t kSkew_s = 120;  // clocks of processes differ at most so much
  static constexpr std::size_t kMost = 5000;
  static constexpr std::size_t kMostOfOne = 200;
  static constexpr std::size_t kIdBytes = 16;
  static constexpr std::size_t kAccountMax = 300;
  static constexpr const char* kEverybody = "*";

  explicit EndedSessions(Records& records);
  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view record);
  void forget(std::string_view key);

  // EndedSession. False: malformed.
  bool end(std::string_view bytes, std::int64_t wall_ms);
  std::string answer(std::string_view question) const;
  void tick(std::int64_t wall_ms);
  std::size_t size() const { return all_.size(); }

 private:
  void put(const pb::EndedSession& e);
  void remove_all_of(const std::string& account);
  std::size_t count_of(const std::string& account) const;

  Records& records_;
  std::uint64_t version_;
  base::StringMap<pb::EndedSession> all_;  // by key
};

}  // namespace berth::platform
