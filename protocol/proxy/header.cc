#include "protocol/proxy/header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace berth::protocol::proxy {

namespace {

constexpr std::string_view kV1("PROXY ");
constexpr std::string_view kV2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kV2Head = 16;

bool begins(std::string_view in, std::string_view with) {
  const std::size_t n = std::min(in.size(), with.size());
  return in.substr(0, n) == with.substr(0, n);
}

// The words of the line, one space between them (2.1); false: too many.
bool split(std::string_view line, std::array<std::string_view, 6>& words, std::size_t& n) {
  for (n = 0; n < words.size();) {
    const std::size_t space = line.find(' ');
    words[n++] = line.substr(0, space);
    if (space == std::string_view::npos) return true;
    line.remove_prefix(space + 1);
  }
  return false;
}

bool read_address(int family, std::string_view text, base::Address& a) {
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(family, std::string(text).c_str(), bytes.data()) != 1) return false;
  a = family == AF_INET ? base::Address::v4(bytes.data()) : base::Address::v6(bytes.data());
  return true;
}

bool read_port(std::string_view text, std::uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() &&
         (text == "0" || text.front() != '0');
}

Status parse_v1(std::string_view in, std::size_t& used, Header& h) {
  const std::size_t end = in.substr(0, kV1Max).find('\n');
  if (end == std::string_view::npos) {
    used = in.size();
    return in.size() >= kV1Max ? Status::malformed : Status::need_more;
  }
  used = end + 1;
  if (end == 0 || in[end - 1] != '\r') return Status::malformed;
  std::array<std::string_view, 6> words;
  std::size_t n = 0;
  const bool few = split(in.substr(0, end - 1), words, n);
  if (n >= 2 && words[1] == "UNKNOWN") return Status::complete;  // the rest is to be ignored
  if (!few || n != words.size()) return Status::malformed;
  const int family = words[1] == "TCP4" ? AF_INET : words[1] == "TCP6" ? AF_INET6 : AF_UNSPEC;
  base::Address to;
  std::uint16_t to_port = 0;
  h.has_source = family != AF_UNSPEC && read_address(family, words[2], h.source) &&
                 read_address(family, words[3], to) && read_port(words[4], h.port) &&
                 read_port(words[5], to_port);
  return h.has_source ? Status::complete : Status::malformed;
}

std::uint16_t u16(std::string_view in, std::size_t at) {
  return static_cast<std::uint16_t>((static_cast<std::uint8_t>(in[at]) << 8) |
                                    static_cast<std::uint8_t>(in[at + 1]));
}

Status parse_v2(std::string_view in, std::size_t& used, Header& h) {
  used = in.size();
  if (in.size() < kV2Head) return Status::need_more;
  const auto version_command = static_cast<std::uint8_t>(in[12]);
  const auto family = static_cast<std::uint8_t>(in[13]);
  const std::size_t length = u16(in, 14);
  if ((version_command >> 4) != 2 || (version_command & 0x0f) > 1 || kV2Head + length > kV2Max)
    return Status::malformed;
  if (in.size() < kV2Head + length) return Status::need_more;
  used = kV2Head + length;
  if ((version_command & 0x0f) == 0) return Status::complete;  // LOCAL
  const std::string_view addresses = in.substr(kV2Head, length);
  const std::size_t width = family == 0x11 ? 4 : family == 0x21 ? 16 : 0;
  if (width == 0) return Status::complete;  // not TCP over IP
  if (length < 2 * width + 4) return Status::malformed;
  h.has_source = true;
  h.source = width == 4 ? base::Address::v4(addresses.data()) : base::Address::v6(addresses.data());
  h.port = u16(addresses, 2 * width);
  return Status::complete;
}

}  // namespace

Status parse(std::string_view in, std::size_t& used, Header& h) {
  h = {};
  used = 0;
  if (begins(in, kV1)) return parse_v1(in, used, h);
  if (begins(in, kV2)) return parse_v2(in, used, h);
  return Status::malformed;
}

}  // namespace berth::protocol::proxy
