// Small parts of a packet or record, side by side, for one append to a string: an append for each
// byte costs several times what the byte does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::base {

// REQUIRES: at most kMax bytes are written.
template <std::size_t kMax>
class Pen {
 public:
  void byte(unsigned v) { bytes_[size_++] = static_cast<char>(v); }
  void big16(unsigned v) {
    byte(v >> 8);
    byte(v);
  }
  // 7 bits a byte, low first: at most 10 bytes; of 32 bits 5, of an MQTT length 4.
  void varint(std::uint64_t v) {
    while (v >= 0x80) {
      byte(static_cast<unsigned>(v & 0x7f) | 0x80);
      v >>= 7;
    }
    byte(static_cast<unsigned>(v));
  }
  std::string_view written() const { return {bytes_, size_}; }
  void append_to(std::string& out) const { out.append(bytes_, size_); }

 private:
  char bytes_[kMax];  // not a std::array: its checks cost as much as the bytes
  std::size_t size_ = 0;
};

}  // namespace berth::base
