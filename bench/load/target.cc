#include "bench/load/target.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace berth::bench {

namespace {

struct Scheme {
  const char* name;
  Via via;
  bool park;
  std::uint16_t port;
};
constexpr Scheme kSchemes[] = {
    {"mqtt", Via::tcp, false, 1883}, {"mqtts", Via::tls, false, 8883},
    {"ws", Via::ws, false, 8083},    {"wss", Via::wss, false, 8084},
    {"park", Via::tcp, true, 7700},  {"parks", Via::tls, true, 7701},
};
constexpr std::uint32_t kSourcesMax = 65'536;

void resolve(Target& t) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int why = getaddrinfo(t.host.c_str(), std::to_string(t.port).c_str(), &hints, &found);
  if (why != 0) throw std::runtime_error(t.url + ": " + gai_strerror(why));
  std::memcpy(&t.address, found->ai_addr, found->ai_addrlen);
  t.address_size = found->ai_addrlen;
  freeaddrinfo(found);
}

std::uint32_t address(const std::string& text) {
  in_addr a{};
  if (inet_pton(AF_INET, text.c_str(), &a) != 1)
    throw std::runtime_error("no IPv4 address: " + text);
  return ntohl(a.s_addr);
}

}  // namespace

Target parse_target(const std::string& url) {
  Target t;
  t.url = url;
  const std::size_t colon = url.find("://");
  const Scheme* scheme = nullptr;
  for (const Scheme& s : kSchemes) {
    if (url.substr(0, colon) == s.name && colon != std::string::npos) scheme = &s;
  }
  if (scheme == nullptr)
    throw std::runtime_error(url +
                             ": not one of mqtt://, mqtts://, ws://, wss://, park://, parks://");
  t.via = scheme->via;
  t.park = scheme->park;
  t.port = scheme->port;
  std::string rest = url.substr(colon + 3);
  if (const std::size_t slash = rest.find('/'); slash != std::string::npos) {
    if (slash + 1 < rest.size()) t.path = rest.substr(slash);
    rest.resize(slash);
  }
  const std::size_t port = rest.rfind(':');
  if (port != std::string::npos && rest.find(']', port) == std::string::npos) {
    char* end = nullptr;
    const long n = std::strtol(rest.c_str() + port + 1, &end, 10);
    if (*end != '\0' || n < 1 || n > 65'535) throw std::runtime_error(url + ": no good port");
    t.port = static_cast<std::uint16_t>(n);
    rest.resize(port);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  t.host = rest;
  if (t.host.empty()) throw std::runtime_error(url + ": no host");
  resolve(t);
  return t;
}

std::vector<in_addr> parse_sources(const std::string& text) {
  std::vector<in_addr> all;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find(',', from), text.size());
    const std::string one = text.substr(from, end - from);
    const std::size_t dash = one.find('-');
    const std::uint32_t first = address(one.substr(0, dash));
    const std::uint32_t last = dash == std::string::npos ? first : address(one.substr(dash + 1));
    if (last < first || last - first >= kSourcesMax - all.size())
      throw std::runtime_error("no good range of addresses: " + one);
    for (std::uint32_t a = first; a <= last; ++a) all.push_back({htonl(a)});
    from = end + 1;
  }
  return all;
}

}  // namespace berth::bench
