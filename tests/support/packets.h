// What tests of the Broker say to it and find in what it answers.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/wire.h"

namespace berth::test {

// The only packet of `type`, or an empty one.
inline Packet only(const std::vector<Packet>& all, unsigned type) {
  Packet found;
  int n = 0;
  for (const auto& p : all) {
    if (p.type == type) {
      found = p;
      ++n;
    }
  }
  EXPECT_EQ(n, 1) << "packets of type " << type;
  return found;
}
inline std::vector<std::string> payloads(const std::vector<Packet>& all, int version = 5) {
  std::vector<std::string> out;
  for (const auto& p : all) {
    if (p.type == 3) out.push_back(p.payload(version));
  }
  return out;
}
using Strings = std::vector<std::string>;

inline std::string subscribe_to(const std::vector<std::string>& filters, unsigned options) {
  std::string b = u16(1) + std::string(1, '\0');
  for (const std::string& f : filters) b += str(f) + static_cast<char>(options);
  return packet(0x82, b);
}

inline std::string filter_of(std::size_t bytes, int n) {
  std::string f = "v1/" + std::to_string(n) + "/";
  return f.append(bytes - f.size(), 'x');
}

}  // namespace berth::test
