#include "gateway/uplink/url.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string_view>

namespace berth::gateway::uplink {
namespace {

// HOST[:PORT], [V6][:PORT].
bool read_authority(std::string_view text, Url& u, std::uint16_t default_port) {
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    u.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
  } else {
    const std::size_t colon = text.find(':');
    u.host = text.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
  }
  u.port = default_port;
  if (u.host.empty() || u.host.find_first_of("/?#, \t[]") != std::string::npos) return false;
  if (port.empty()) return true;
  if (port.size() < 2 || port.size() > 6 || port.front() != ':') return false;
  unsigned number = 0;
  const auto r = std::from_chars(port.data() + 1, port.data() + port.size(), number);
  if (r.ec != std::errc() || r.ptr != port.data() + port.size() || number == 0 || number > 65535)
    return false;
  u.port = static_cast<std::uint16_t>(number);
  return true;
}

struct Scheme {
  const char* plain;
  std::uint16_t plain_port;
  const char* tls;
  std::uint16_t tls_port;
  const char* like;
};

const Scheme& scheme_of(Kind kind) {
  static constexpr Scheme kSchemes[] = {
      {"mqtt://", 1883, "mqtts://", 8883, "mqtt://HOST:PORT or mqtts://HOST:PORT"},
      {"kafka://", 9092, "kafkas://", 9093,
       "kafka://HOST:PORT,HOST:PORT or kafkas://HOST:PORT,HOST:PORT"},
      {"amqp://", 5672, "amqps://", 5671, "amqp://HOST:PORT/VHOST or amqps://HOST:PORT/VHOST"},
      {"http://", 80, "https://", 443, "http://HOST:PORT/PATH or https://HOST:PORT/PATH"}};
  return kSchemes[static_cast<std::size_t>(kind)];
}

}  // namespace

const char* name_of(Kind kind) {
  static constexpr const char* kNames[] = {"mqtt", "kafka", "rabbitmq", "webhook"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string Url::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Url url_of(Kind kind, const std::string& text) {
  const Scheme& s = scheme_of(kind);
  Url u;
  u.tls = text.starts_with(s.tls);
  if (!u.tls && !text.starts_with(s.plain)) throw std::invalid_argument(s.like);
  std::string_view rest(text);
  rest.remove_prefix(std::string_view(u.tls ? s.tls : s.plain).size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  u.path = rest.substr(slash);
  rest = rest.substr(0, slash);
  const bool no_path = kind == Kind::mqtt || kind == Kind::kafka;
  if (no_path && u.path.find_first_not_of('/') != std::string::npos)
    throw std::invalid_argument(s.like);
  while (!rest.empty() || u.hosts.empty()) {
    const std::size_t comma =
        kind == Kind::kafka ? std::min(rest.find(','), rest.size()) : rest.size();
    if (!read_authority(rest.substr(0, comma), u, u.tls ? s.tls_port : s.plain_port))
      throw std::invalid_argument(s.like);
    u.hosts += (u.hosts.empty() ? "" : ",") + u.authority();
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return u;
}

}  // namespace berth::gateway::uplink
