#include "session/cookie_name.h"

#include "session/principal_key.h"
#include "session/records.pb.h"

namespace berth::session {

std::string name_in_cookie(std::string_view identity) {
  pb::ChannelIdentity id;
  if (!id.ParseFromArray(identity.data(), static_cast<int>(identity.size()))) return {};
  std::string name;
  if (id.has_scope()) {
    const pb::Scope& s = id.scope();
    const bool device = s.role() == static_cast<std::uint32_t>(Role::device);
    name = "tenant=" + s.tenant() + (device ? " device=" : " account=") + s.name() + " ";
  } else if (!id.user_name().empty()) {
    name = "user=" + id.user_name() + " ";
  }
  const std::string& key = id.client_id();
  return name + "client_id=" + (id.keyed() ? std::string(client_id_of(key)) : key);
}

}  // namespace berth::session
