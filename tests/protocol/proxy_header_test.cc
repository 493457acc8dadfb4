#include "protocol/proxy/header.h"

#include <gtest/gtest.h>

namespace berth::protocol::proxy {
namespace {

std::string v2(unsigned version_command, unsigned family, const std::string& addresses) {
  std::string h("\r\n\r\n\0\r\nQUIT\n", 12);
  h.push_back(static_cast<char>(version_command));
  h.push_back(static_cast<char>(family));
  h.push_back(static_cast<char>(addresses.size() >> 8));
  h.push_back(static_cast<char>(addresses.size()));
  return h + addresses;
}
const std::string kV4("\xc0\x00\x02\x01\xc6\x33\x64\x02\xdd\xd5\x07\x5b", 12);
const std::string kV6 = std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16) +
                        std::string(16, '\1') + std::string("\x01\xbb\x07\x5b", 4);

struct Parsed {
  Status status;
  std::size_t used = 0;
  std::string source;
};
Parsed parsed(const std::string& in) {
  Parsed p{};
  Header h;
  p.status = parse(in, p.used, h);
  p.source = h.has_source ? h.source.with_port(h.port) : "own";
  return p;
}

TEST(ProxyHeader, BothVersionsNameTheSource) {
  const std::string behind = "\x10\x20MQTT";
  for (const auto& [header, source] : std::vector<std::pair<std::string, std::string>>{
           {"PROXY TCP4 192.0.2.1 198.51.100.2 56789 1883\r\n", "192.0.2.1:56789"},
           {"PROXY TCP6 2001:db8::1 2001:db8::2 443 1883\r\n", "[2001:db8::1]:443"},
           {"PROXY UNKNOWN\r\n", "own"},
           {"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "own"},
           {v2(0x21, 0x11, kV4), "192.0.2.1:56789"},
           {v2(0x21, 0x11, kV4 + std::string(300, '\4')), "192.0.2.1:56789"},  // TLVs
           {v2(0x21, 0x21, kV6), "[2001:db8::1]:443"},
           {v2(0x20, 0x00, ""), "own"},  // LOCAL: a health check
           {v2(0x20, 0x11, kV4), "own"},
           {v2(0x21, 0x31, std::string(216, '\0')), "own"}}) {  // AF_UNIX
    const Parsed p = parsed(header + behind);
    EXPECT_EQ(p.status, Status::complete) << header;
    EXPECT_EQ(p.used, header.size()) << header;
    EXPECT_EQ(p.source, source);
    for (std::size_t n = 0; n < header.size(); ++n) {
      const Parsed part = parsed(header.substr(0, n));
      EXPECT_EQ(part.status, Status::need_more) << n << header;
      EXPECT_EQ(part.used, n) << "all of it is the header's";
    }
  }
}

TEST(ProxyHeader, NonsenseIsMalformed) {
  for (const std::string& in : {
           std::string("\x10\x20MQTT"),
           std::string("PROXY\r\n"),
           std::string("PROXY TCP4 192.0.2.1 198.51.100.2 56789\r\n"),
           std::string("PROXY TCP4 192.0.2.1 198.51.100.2 56789 1883 more\r\n"),
           std::string("PROXY TCP4 192.0.2.1 198.51.100.2 056789 1883\r\n"),
           std::string("PROXY TCP4 192.0.2.1 198.51.100.2 65536 1883\r\n"),
           std::string("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"),
           std::string("PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n"),
           std::string("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n"),
           std::string("\n"),
           "PROXY UNKNOWN " + std::string(200, 'x'),
           v2(0x11, 0x11, kV4),
           v2(0x22, 0x11, kV4),
           v2(0x21, 0x11, kV4.substr(0, 11)),
           v2(0x21, 0x21, kV6.substr(0, 35)),
           v2(0x21, 0x11, std::string(2049, '\0')),
       }) {
    EXPECT_EQ(parsed(in).status, Status::malformed) << in;
  }
}

}  // namespace
}  // namespace berth::protocol::proxy
