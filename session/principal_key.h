// The keys of sessions, and of the principals that connections and sessions belong to, for all
// sources of identity. Plain functions; any thread.
//
//   session key := principal client_id
//   principal   := tenant NUL role:char name NUL   registered: Principal::key() (scope.h)
//                | NUL 'u' user NUL                user name proven by password file or certificate
//                | NUL '?' NUL                     stored by a release whose keys had no user name
//                | (empty)                         anonymous, or a user name that was not checked
//
// Anonymous clients share one key space. What they hold and do is counted for their address:
//   principal   := NUL 'a' address:byte[16]
// No client id and no user name holds U+0000 (MQTT 5.0 1.5.4-2).
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/address.h"
#include "session/scope.h"

namespace berth::session {

struct Channel;

std::string user_key(std::string_view user_name);
std::string address_key(const base::Address& address);
// The address of such a key, as bytes; what stands before the key does not count.
inline std::string_view address_of_key(std::string_view key) {
  constexpr std::size_t kBytes = sizeof(base::Address::bytes);
  return key.substr(key.size() - std::min(key.size(), kBytes));
}
inline constexpr std::string_view kUnownedKey{"\0?\0", 3};

// True: a registered device's or account's, not a file user's. REQUIRES: a principal's key.
inline bool is_registered(std::string_view principal_key) {
  return !principal_key.empty() && principal_key.front() != '\0';
}
// REQUIRES: is_registered().
inline bool is_device(std::string_view principal_key) {
  return principal_key[principal_key.find('\0') + 1] == '0' + static_cast<int>(Role::device);
}
// The user name of such a key; empty: anonymous, or a registered device's or account's.
inline std::string_view proven_user_of(std::string_view key) {
  if (key.size() < 3 || key[0] != '\0' || key[1] != 'u') return {};
  return key.substr(2, key.size() - 3);
}
// REQUIRES: is_registered().
Principal principal_from(std::string_view principal_key);
// Empty: not registered.
inline std::string_view tenant_of(std::string_view principal_key) {
  return principal_key.substr(0, principal_key.find('\0'));
}

// The principal of a connection: from the answer to its CONNECT or HELLO on, and after a re-attach.
// Before that answer, and for anonymous clients, its address. The address of a connection that an
// engine of the last release let in is not known: all such share one key.
std::string principal_key(const Channel& ch);
// The key of the session that a connection with this client id has. REQUIRES: its login was good.
std::string session_key(const Channel& ch, std::string_view client_id);

}  // namespace berth::session
