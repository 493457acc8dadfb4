// An IP address as a value: IPv6, or IPv4 as an IPv4-mapped one (RFC 4291 2.5.5.2).
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>

namespace berth::base {

struct Address {
  std::array<std::uint8_t, 16> bytes{};

  static Address v4(const void* four) {
    Address a;
    a.bytes[10] = a.bytes[11] = 0xff;
    std::memcpy(a.bytes.data() + 12, four, 4);
    return a;
  }
  static Address v6(const void* sixteen) {
    Address a;
    std::memcpy(a.bytes.data(), sixteen, 16);
    return a;
  }
  static Address of(const sockaddr_storage& s) {
    if (s.ss_family == AF_INET) return v4(&reinterpret_cast<const sockaddr_in&>(s).sin_addr);
    if (s.ss_family == AF_INET6) return v6(&reinterpret_cast<const sockaddr_in6&>(s).sin6_addr);
    return {};
  }
  bool is_v4() const {
    static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(bytes.data(), kMapped, sizeof kMapped) == 0;
  }
  bool is_loopback() const {
    if (is_v4()) return bytes[12] == 127;
    static constexpr std::uint8_t kLoopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return std::memcmp(bytes.data(), kLoopback, sizeof kLoopback) == 0;
  }
  // The first `bits` of it, the rest 0.
  Address prefix(unsigned bits) const {
    Address a;
    for (unsigned i = 0; i < 16 && i * 8 < bits; ++i) {
      const unsigned here = bits - i * 8;
      a.bytes[i] = here >= 8 ? bytes[i] : bytes[i] & static_cast<std::uint8_t>(0xff << (8 - here));
    }
    return a;
  }
  // Who it is for limits: an IPv4 address, an IPv6 network of 64 bits.
  Address site() const { return is_v4() ? *this : prefix(64); }
  std::string text() const {
    char out[INET6_ADDRSTRLEN] = "";
    if (is_v4()) {
      inet_ntop(AF_INET, bytes.data() + 12, out, sizeof out);
    } else {
      inet_ntop(AF_INET6, bytes.data(), out, sizeof out);
    }
    return out;
  }
  // "192.0.2.1:80", "[2001:db8::1]:80".
  std::string with_port(std::uint16_t port) const {
    return (is_v4() ? text() : "[" + text() + "]") + ":" + std::to_string(port);
  }
  friend auto operator<=>(const Address&, const Address&) = default;
};

struct AddressHash {
  std::size_t operator()(const Address& a) const {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    std::memcpy(&high, a.bytes.data(), 8);
    std::memcpy(&low, a.bytes.data() + 8, 8);
    return static_cast<std::size_t>((high ^ (low * 0x9e3779b97f4a7c15ULL)) * 0xff51afd7ed558ccdULL);
  }
};

}  // namespace berth::base
