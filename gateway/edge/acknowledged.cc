#include "gateway/edge/acknowledged.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

namespace berth::gateway::edge {

std::uint64_t unacknowledged(int fd) {
  int bytes = 0;
  return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<std::uint64_t>(bytes) : 0;
}

// How old the oldest bytes are the kernel does not say, but how often it has tried. With bytes
// under way its timeout doubles with each try, so with the timeouts t, 2t, ... and now 2^n t the
// first try was t + 2t + ... = 2^n t - t before the last. If this machine itself drops what is
// sent, the timeout does not double. With none under way the device's window is closed: the kernel
// asks after t, 2t, 4t, ..., and what it asks is acknowledged.
bool is_unheard(int fd, std::int64_t limit_ms) {
  if (unacknowledged(fd) == 0) return false;
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  const unsigned times = std::min<unsigned>(info.tcpi_backoff, 16);
  const std::int64_t timeout_ms = info.tcpi_rto / 1000;
  if (info.tcpi_unacked == 0) return (timeout_ms << times) - timeout_ms >= limit_ms;
  const std::int64_t before_ms = timeout_ms - (timeout_ms >> times);
  const bool tried = info.tcpi_retransmits >= 2 && info.tcpi_last_ack_recv >= limit_ms;
  return tried || static_cast<std::int64_t>(info.tcpi_last_data_sent) + before_ms >= limit_ms;
}

}  // namespace berth::gateway::edge
