// What the core tells the platform side while it takes an input, beside the events of sessions.
// Unlike an observer of these, a port writes into the open batch at once: the acknowledgement of
// the input waits for that. It ends no connection. One shard, one thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "session/message.h"
#include "session/scope.h"

namespace berth::session {

// The topic of what the platform side of one partition tells that of another. No client can
// subscribe or publish to it: PeerIntake passes it on before it is routed.
inline constexpr std::string_view kNoteTopic = "$home";

class PlatformPorts {
 public:
  // A registered device says what has become of a command: `m` as it is published inside,
  // $tenant/TENANT/v1/SITE/DEVICE/.../cmd/ID/res. It may be said again after the death of an
  // engine.
  virtual void result(const Scope& device, const MessageView& m, base::Instant now) = 0;
  // A service asks for a command: `m` as it is published inside,
  // $tenant/TENANT/v1/SITE/DEVICE/command/ID/request/TYPE.
  virtual void request(const Scope& service, const MessageView& m, base::Instant now) = 0;
  // Of partition `source`; once for each.
  virtual void note(std::uint32_t source, std::string_view bytes, base::Instant now) = 0;

 protected:
  ~PlatformPorts() = default;
};

inline bool may_be_result(std::string_view inside) {
  return inside.ends_with("/res");
}
inline bool may_be_request(std::string_view inside) {
  return inside.find("/request/") != std::string_view::npos;
}

}  // namespace berth::session
