// The slot of a device's desired state in its session's queue (DeliveryQueues::append): the newest
// document counts, so an older one that has certainly not been sent is not sent any more. Plain
// functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "session/principal_key.h"
#include "session/session.h"

namespace berth::session {

// Stored in records of queues: never changed. FNV-1a of 64 bits.
inline std::string state_slot(std::string_view topic) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char c : topic) hash = (hash ^ c) * 0x100000001b3;
  std::string slot = "s";
  for (int shift = 60; shift >= 0; shift -= 4) slot.push_back(kDigits[(hash >> shift) & 15]);
  return slot;
}

// Empty: another kind of topic, or a session that is no device's.
inline std::string state_slot_of(const Session& s, std::string_view topic) {
  if (!topic.ends_with("/desired") || s.internal()) return {};
  const std::string_view who = principal_of(s.client_id);
  return is_registered(who) && is_device(who) ? state_slot(topic) : std::string();
}

}  // namespace berth::session
