// Protobuf's wire format, written by hand where a message is made for each packet
// (protobuf.dev/programming-guides/encoding). Appends to a std::string.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace berth::protocol::messages {

inline void put_varint_field(std::string& out, int number, std::uint64_t v) {
  base::put_varint(out, static_cast<std::uint64_t>(number) << 3);
  base::put_varint(out, v);
}
inline void put_fixed64(std::string& out, int number, std::uint64_t v) {
  base::put_varint(out, (static_cast<std::uint64_t>(number) << 3) | 1);
  for (int i = 0; i < 8; ++i, v >>= 8) out.push_back(static_cast<char>(v));
}
// Of a string, bytes or a message: `size` bytes follow.
inline void put_bytes_head(std::string& out, int number, std::size_t size) {
  base::put_varint(out, (static_cast<std::uint64_t>(number) << 3) | 2);
  base::put_varint(out, size);
}
inline void put_bytes_field(std::string& out, int number, std::string_view v) {
  put_bytes_head(out, number, v.size());
  out.append(v);
}

}  // namespace berth::protocol::messages
