#include "session/principal_key.h"

#include "session/session.h"

namespace berth::session {

std::string user_key(std::string_view user_name) {
  std::string k("\0u", 2);
  k.append(user_name).push_back('\0');
  return k;
}

std::string address_key(const base::Address& address) {
  std::string k("\0a", 2);
  k.append(reinterpret_cast<const char*>(address.bytes.data()), address.bytes.size());
  return k;
}

Principal principal_from(std::string_view key) {
  const std::size_t tenant_end = key.find('\0');
  const std::size_t name_at = tenant_end + 2;
  return {std::string(key.substr(0, tenant_end)), static_cast<Role>(key[tenant_end + 1] - '0'),
          std::string(key.substr(name_at, key.find('\0', name_at) - name_at))};
}

namespace {

std::string_view user_of(const Channel& ch) {
  if (ch.connect) return ch.connect->user_name;
  return ch.user_name ? std::string_view(*ch.user_name) : std::string_view();
}

}  // namespace

std::string principal_key(const Channel& ch) {
  if (ch.scope) return ch.scope->who().key();
  return ch.user_proven ? user_key(user_of(ch)) : address_key(ch.address);
}

std::string session_key(const Channel& ch, std::string_view client_id) {
  if (ch.scope) return ch.scope->session_key(client_id);
  std::string k = ch.user_proven ? user_key(user_of(ch)) : std::string();
  return k.append(client_id);
}

}  // namespace berth::session
