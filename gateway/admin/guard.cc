#include "gateway/admin/guard.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>

#include "gateway/admin/message.h"

namespace berth::gateway::admin {

namespace asio = boost::asio;

namespace {

std::optional<asio::ip::address> address_of(const std::string& text) {
  boost::system::error_code ec;
  asio::ip::address a = asio::ip::make_address(text, ec);
  if (ec) return std::nullopt;
  if (a.is_v6() && a.to_v6().is_v4_mapped())
    a = asio::ip::make_address_v4(asio::ip::v4_mapped, a.to_v6());
  return a;
}

// For an answer: what a stranger has sent is not repeated beyond what a name can be.
std::string shown(const std::string& host) {
  std::string out = host.substr(0, 100);
  std::replace_if(
      out.begin(), out.end(), [](unsigned char c) { return c < 0x21 || c > 0x7e; }, '?');
  return out;
}

// "http://name:8080" -> "name:8080"; nothing: it is not an origin of HTTP.
std::optional<std::string> authority_of_origin(const std::string& origin) {
  for (const char* scheme : {"http://", "https://"}) {
    const std::string prefix = scheme;
    if (lower_case(origin.substr(0, prefix.size())) == prefix)
      return lower_case(origin.substr(prefix.size()));
  }
  return std::nullopt;
}

}  // namespace

std::string host_of(const std::string& authority) {
  std::string host = lower_case(authority);
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  const std::size_t colon = host.find(':');
  if (colon != std::string::npos && host.rfind(':') == colon) host.resize(colon);
  if (host.size() > 1 && host.ends_with('.')) host.pop_back();
  return host;
}

bool is_loopback_name(const std::string& host) {
  if (host == "localhost") return true;
  const auto address = address_of(host);
  return address && address->is_loopback();
}

Guard::Guard(Options options) : options_(std::move(options)) {
  options_.listen_host = host_of(options_.listen_host);
  for (std::string& host : options_.allowed_hosts) host = host_of(host);
}

bool Guard::is_probe(const std::string& path) {
  return path == "/livez" || path == "/readyz" || path == "/startupz" || path == "/metrics";
}

bool Guard::is_page(const std::string& method, const std::string& path) {
  return (method == "GET" || method == "HEAD") && (path == "/" || path.starts_with("/console/"));
}

bool Guard::known_host(const Peer& peer, const std::string& authority) const {
  const std::string host = host_of(authority);
  if (is_loopback_name(host)) return true;
  if (!options_.listen_host.empty() && host == options_.listen_host) return true;
  const auto& named = options_.allowed_hosts;
  if (std::find(named.begin(), named.end(), host) != named.end()) return true;
  const auto literal = address_of(host);
  return literal && literal == address_of(peer.came_to);
}

bool Guard::token_shown(const std::optional<std::string>& authorization) const {
  constexpr std::size_t kScheme = 6;  // "bearer"
  const std::string wanted = options_.token ? options_.token() : std::string();
  if (!authorization || wanted.empty()) return false;
  if (lower_case(authorization->substr(0, kScheme)) != "bearer") return false;
  const std::size_t at = authorization->find_first_not_of(' ', kScheme);
  if (at == std::string::npos || at == kScheme) return false;
  const std::string token = authorization->substr(at);
  return token.size() == wanted.size() &&
         CRYPTO_memcmp(token.data(), wanted.data(), wanted.size()) == 0;
}

Guard::Verdict Guard::judge(const Peer& peer, const AskedFor& what) const {
  if (what.repeated || (!what.host && !what.old_version))
    return {400, "malformed", "one Host, one Origin, one Authorization\n"};
  for (const auto* authority : {&what.host, &what.authority}) {
    if (*authority && !peer.local_socket && !known_host(peer, **authority))
      return {403, "host",
              "Host '" + shown(**authority) + "' is not known: name it in admin.allowed_hosts\n"};
  }
  if (is_page(what.method, what.path)) return {};
  if (what.fetch_site && *what.fetch_site != "same-origin" && *what.fetch_site != "none")
    return {403, "origin", "not for pages of another site\n"};
  if (what.origin) {
    const auto from = authority_of_origin(*what.origin);
    if (!from || !what.host || *from != lower_case(*what.host))
      return {403, "origin", "not for pages of another origin\n"};
  }
  const bool shown = token_shown(what.authorization);
  Verdict good;
  if (peer.local_socket || shown)
    good.caller = admin_caller(peer.local_socket ? "local_socket" : "admin_token");
  if (is_probe(what.path) || peer.local_socket || shown) return good;
  const bool looks = what.method == "GET" || what.method == "HEAD";
  const bool at_home = peer.loopback && what.host && is_loopback_name(host_of(*what.host));
  if (looks && what.path == "/api/v1/status" && at_home) return good;
  if (what.authorization) {
    return {.status = 401,
            .reason = "token",
            .text =
                "wrong token; the log says which file has the right one; the key of an account is "
                "AUTH_ID@TENANT:PASSWORD\n",
            .other_credential = true};
  }
  return {401, "token", "needs \"Authorization: Bearer TOKEN\"; the log says which file has it\n"};
}

}  // namespace berth::gateway::admin
