// Which client may publish and subscribe to which topics. Called on the packet path: must not
// block. One shard, one thread.
#pragma once

#include <string_view>

namespace berth::session {

struct Identity {
  std::string_view user_name;  // empty: anonymous
  std::string_view client_id;
};

class AccessPolicy {
 public:
  virtual ~AccessPolicy() = default;
  virtual bool may_publish(const Identity& who, std::string_view topic) const = 0;
  virtual bool may_subscribe(const Identity& who, std::string_view filter) const = 0;
};

}  // namespace berth::session
