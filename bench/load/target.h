// Where the load goes, and from which addresses it comes.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bench/load/stream.h"

namespace berth::bench {

struct Target {
  std::string url;
  Via via = Via::tcp;
  bool park = false;
  std::string host;
  std::uint16_t port = 0;
  std::string path = "/mqtt";  // of WebSocket
  sockaddr_storage address{};
  socklen_t address_size = 0;
};

// mqtt://HOST[:PORT], mqtts, ws, wss (with a path), park, parks. Both throw std::runtime_error.
Target parse_target(const std::string& url);
// "127.0.0.2-127.0.0.9,127.0.1.1"; at most 65,536.
std::vector<in_addr> parse_sources(const std::string& text);

}  // namespace berth::bench
