// What the peer's kernel has acknowledged of what was sent to it. System calls: for packets of
// commands, not for each packet.
#pragma once

#include <cstdint>

namespace berth::gateway::edge {

// Bytes that this kernel has taken from us and the peer's kernel has not acknowledged (SIOCOUTQ).
// 0: none, or the socket can't say.
std::uint64_t unacknowledged(int fd);

// There are such bytes, and the oldest of them have waited for `limit_ms`, as far as the kernel
// knows. TCP only: false for other sockets.
bool is_unheard(int fd, std::int64_t limit_ms);

}  // namespace berth::gateway::edge
