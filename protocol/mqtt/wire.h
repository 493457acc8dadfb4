// The primitives of MQTT's wire, one file of small functions (MQTT 5.0 section 1.5).
// Reader: views into the packet, valid as long as the packet's bytes. After the first short read
// ok() is false and all reads give zero or empty. Writer: appends to a std::string.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace berth::protocol::mqtt {

class Reader {
 public:
  explicit Reader(base::ByteView in) : p_(in.data()), end_(in.data() + in.size()) {}
  bool ok() const { return ok_; }
  std::size_t left() const { return static_cast<std::size_t>(end_ - p_); }
  const std::uint8_t* pos() const { return p_; }

  std::uint8_t u8() { return need(1) ? *p_++ : 0; }
  std::uint16_t u16() {
    if (!need(2)) return 0;
    const auto v = static_cast<std::uint16_t>((p_[0] << 8) | p_[1]);
    p_ += 2;
    return v;
  }
  std::uint32_t u32() {
    const std::uint32_t hi = u16();
    return (hi << 16) | u16();
  }
  // Variable Byte Integer, at most 4 bytes, shortest form not required of the sender (1.5.5).
  std::uint32_t varint() {
    std::uint32_t v = 0;
    for (int shift = 0; shift < 28; shift += 7) {
      const std::uint8_t b = u8();
      v |= static_cast<std::uint32_t>(b & 0x7f) << shift;
      if ((b & 0x80) == 0) return v;
    }
    ok_ = false;
    return 0;
  }
  std::string_view string() { return take(u16()); }  // UTF-8 string or binary data
  std::string_view take(std::size_t n) {
    if (!need(n)) return {};
    const std::string_view v(reinterpret_cast<const char*>(p_), n);
    p_ += n;
    return v;
  }
  std::string_view rest() { return take(left()); }

 private:
  bool need(std::size_t n) {
    if (left() >= n && ok_) return true;
    ok_ = false;
    p_ = end_;
    return false;
  }
  const std::uint8_t* p_;
  const std::uint8_t* end_;
  bool ok_ = true;
};

inline void put_u8(std::string& o, std::uint8_t v) {
  o.push_back(static_cast<char>(v));
}
inline void put_u16(std::string& o, std::uint16_t v) {
  o.push_back(static_cast<char>(v >> 8));
  o.push_back(static_cast<char>(v));
}
inline void put_u32(std::string& o, std::uint32_t v) {
  put_u16(o, static_cast<std::uint16_t>(v >> 16));
  put_u16(o, static_cast<std::uint16_t>(v));
}
inline void put_string(std::string& o, std::string_view s) {
  put_u16(o, static_cast<std::uint16_t>(s.size()));
  o.append(s);
}
inline void put_wire_varint(std::string& o, std::uint32_t v) {
  while (v >= 0x80) {
    o.push_back(static_cast<char>(v | 0x80));
    v >>= 7;
  }
  o.push_back(static_cast<char>(v));
}
inline constexpr std::size_t wire_varint_size(std::uint32_t v) {
  return v < 0x80 ? 1 : v < 0x4000 ? 2 : v < 0x200000 ? 3 : 4;
}

}  // namespace berth::protocol::mqtt
