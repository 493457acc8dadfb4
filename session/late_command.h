// When a published command, which a device must not get late, needs a deadline in its edge
// (docs/messages.md, "A slow device"). Plain functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "protocol/link/types.h"
#include "session/command_topic.h"
#include "session/message.h"
#include "session/session.h"

namespace berth::session {

// At its deadline a command with less time left than this ends a connection that holds it up. With
// more, TCP_USER_TIMEOUT ends a dead connection long before.
inline constexpr std::int64_t kCutWithin_ms = 60'000;

// `topic`: as the receiver of the message calls it. What a registered device gets on a topic of its
// vendor is taken for a command; a result is none.
inline bool is_command_for(const Channel& ch, std::string_view topic) {
  if (!ch.scope) return is_devices_command(topic) && !topic.ends_with("/res");
  if (ch.scope->who().role != Role::device) return false;
  return !topic.starts_with("v1/") || is_own_command(topic);
}

// Of a command with `left_ms` to its deadline. With QoS 1 or 2: REQUIRES: the message is the one
// that its session's flow has come to.
inline std::optional<protocol::link::Deadline> edge_deadline(const Channel& ch,
                                                             const MessageView& m, std::uint8_t qos,
                                                             std::int64_t left_ms) {
  if (left_ms > kCutWithin_ms) return std::nullopt;
  return protocol::link::Deadline{.not_after = m.expires_at,
                                  .tag = qos == 0 ? 0 : ch.session->flow().sent_seq};
}

}  // namespace berth::session
