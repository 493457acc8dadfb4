#include "store/redis_address.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string_view>

#include "base/text.h"

namespace berth::session {

namespace {

constexpr std::uint16_t kRedisPort = 6379;
constexpr std::uint16_t kSentinelPort = 26379;

[[noreturn]] void bad(const std::string& url, const char* why) {
  throw std::invalid_argument("'" + url.substr(0, url.find("://")) + "://…': " + why);
}

RedisAddress::Node parse_node(const std::string& url, std::string_view text, std::uint16_t port) {
  RedisAddress::Node n{.host = {}, .port = port};
  const std::size_t bracket = text.starts_with('[') ? text.find(']') : std::string_view::npos;
  const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  n.host = bracket != std::string_view::npos ? text.substr(1, bracket - 1) : text.substr(0, colon);
  if (colon != std::string_view::npos) {
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), n.port);
    if (ec != std::errc() || end != digits.data() + digits.size()) bad(url, "not a port");
  }
  if (n.host.empty()) bad(url, "no host");
  return n;
}

// sentinel_user=…&sentinel_password=…
void parse_query(const std::string& url, std::string_view query, RedisAddress& a) {
  while (!query.empty()) {
    const std::string_view one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(one.size() + 1, query.size()));
    const std::size_t equals = one.find('=');
    const std::string_view name = one.substr(0, equals);
    if (equals == std::string_view::npos) bad(url, "a parameter behind ? has no value");
    const std::string value = base::percent_decoded(one.substr(equals + 1));
    if (name == "sentinel_user") {
      a.sentinels.user = value;
    } else if (name == "sentinel_password") {
      a.sentinels.password = value;
    } else {
      bad(url, "behind ? only sentinel_user and sentinel_password are known");
    }
  }
}

}  // namespace

RedisAddress parse_redis_url(const std::string& url) {
  const std::size_t scheme_end = url.find("://");
  if (scheme_end == std::string::npos) bad(url, "no scheme");
  const std::string scheme = url.substr(0, scheme_end);
  RedisAddress a;
  a.tls = scheme.starts_with("rediss");
  const bool sentinel = scheme.ends_with("-sentinel");
  a.cluster = scheme.ends_with("-cluster");
  const bool redis = scheme.starts_with("redis");
  const std::string kind = redis ? scheme.substr(a.tls ? 6 : 5) : "";
  if (!redis || !(kind.empty() || kind == "-sentinel" || kind == "-cluster")) {
    bad(url, "the scheme is redis, redis-sentinel or redis-cluster, or one with rediss for TLS");
  }
  std::string_view rest = std::string_view(url).substr(scheme_end + 3);
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view login = rest.substr(0, at);
    const std::size_t colon = login.find(':');
    a.servers.user = base::percent_decoded(login.substr(0, colon));
    if (colon != std::string_view::npos)
      a.servers.password = base::percent_decoded(login.substr(colon + 1));
    rest = rest.substr(at + 1);
  }
  if (const std::size_t question = rest.find('?'); question != std::string_view::npos) {
    if (!sentinel) bad(url, "parameters behind ? are for sentinels");
    parse_query(url, rest.substr(question + 1), a);
    rest = rest.substr(0, question);
  }
  const std::size_t slash = rest.find('/');
  std::string_view nodes = rest.substr(0, slash);
  std::string_view path = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
  while (!nodes.empty()) {
    const std::size_t comma = nodes.find(',');
    a.nodes.push_back(
        parse_node(url, nodes.substr(0, comma), sentinel ? kSentinelPort : kRedisPort));
    nodes = comma == std::string_view::npos ? "" : nodes.substr(comma + 1);
  }
  if (a.nodes.empty()) bad(url, "no host");
  if (kind.empty() && a.nodes.size() != 1) bad(url, "several hosts are for sentinels or a cluster");
  if (sentinel) {
    const std::size_t end = path.find('/');
    a.master = path.substr(0, end);
    if (a.master.empty()) bad(url, "no master's name after the sentinels");
    path = end == std::string_view::npos ? "" : path.substr(end + 1);
  }
  if (!path.empty()) {
    const auto [end, ec] = std::from_chars(path.data(), path.data() + path.size(), a.database);
    if (ec != std::errc() || end != path.data() + path.size()) bad(url, "not a database number");
    if (a.cluster && a.database != 0) bad(url, "a cluster has one database");
  }
  return a;
}

std::string RedisAddress::text() const {
  std::string out = tls ? "rediss" : "redis";
  if (!master.empty()) out += "-sentinel";
  if (cluster) out += "-cluster";
  out += "://";
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (i != 0) out += ",";
    out += nodes[i].host + ":" + std::to_string(nodes[i].port);
  }
  return master.empty() ? out : out + "/" + master;
}

}  // namespace berth::session
