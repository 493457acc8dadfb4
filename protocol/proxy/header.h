// What a load balancer says of a connection before its first byte: the PROXY protocol, version 1
// (a line of text) and 2 (binary); https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/address.h"

namespace berth::protocol::proxy {

inline constexpr std::size_t kV1Max = 107;        // bytes of the line with its end (2.1)
inline constexpr std::size_t kV2Max = 16 + 2048;  // with what we let it carry besides (TLVs)

enum class Status : std::uint8_t { need_more, complete, malformed };

struct Header {
  // A health check of the balancer's own (LOCAL), or a source it does not know (UNKNOWN, a family
  // that is not IP): the connection's own address holds.
  bool has_source = false;
  base::Address source;
  std::uint16_t port = 0;
};

// `in`: the stream from its first byte on, perhaps with what follows the header. `used`: how many
// of them are the header's; with need_more all are.
Status parse(std::string_view in, std::size_t& used, Header& h);

}  // namespace berth::protocol::proxy
