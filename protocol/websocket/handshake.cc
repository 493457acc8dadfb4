#include "protocol/websocket/handshake.h"

#include <openssl/evp.h>

#include <algorithm>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <iterator>

namespace berth::protocol::websocket {

namespace http = boost::beast::http;

namespace {

constexpr std::size_t kKeyLength = 24;  // 16 bytes in base64 (4.1)

// SHA-1 of the key and a GUID (1.3).
std::string accept_key(std::string_view key) {
  std::string text(key);
  text.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr);
  unsigned char encoded[2 * EVP_MAX_MD_SIZE];
  const int n = EVP_EncodeBlock(encoded, digest, static_cast<int>(size));
  return {reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(n)};
}

bool is_key(std::string_view key) {
  unsigned char bytes[kKeyLength];
  return key.size() == kKeyLength && key.ends_with("==") &&
         EVP_DecodeBlock(bytes, reinterpret_cast<const unsigned char*>(key.data()),
                         static_cast<int>(key.size())) > 0;
}

std::string_view view(boost::beast::string_view s) {
  return {s.data(), s.size()};
}

bool same_letters(std::string_view a, std::string_view b) {
  return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

bool is_listed(std::string_view origins, std::string_view origin) {
  for (std::size_t at = 0; at < origins.size();) {
    const std::size_t end = std::min(origins.find_first_of(", ", at), origins.size());
    const std::string_view each = origins.substr(at, end - at);
    if (each == "*" || (!each.empty() && same_letters(each, origin))) return true;
    at = end + 1;
  }
  return false;
}

// "https://name:1" and "name:1" -> "name"
std::string_view host_in(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme != std::string_view::npos) text.remove_prefix(scheme + 3);
  if (text.starts_with('[')) return text.substr(0, text.find(']'));
  return text.substr(0, text.find(':'));
}

template <class Request>
bool may_come(const Request& r, std::string_view origins) {
  const auto [begin, end] = r.equal_range(http::field::origin);
  if (begin == end) return true;
  if (std::next(begin) != end) return false;
  const std::string_view origin = view(begin->value());
  if (is_listed(origins, origin)) return true;
  const std::string_view host = host_in(view(r[http::field::host]));
  return r.count(http::field::user_agent) == 0 && !host.empty() &&
         same_letters(host_in(origin), host);
}

}  // namespace

Handshake parse_request(std::string_view request, std::string_view path, std::string_view origins) {
  using Outcome = Handshake::Outcome;
  http::request_parser<http::empty_body> parser;
  boost::system::error_code ec;
  parser.put(boost::asio::buffer(request.data(), request.size()), ec);
  if (ec || !parser.is_header_done()) return {};
  const auto& r = parser.get();
  const std::string_view target = view(r.target());
  if (r.method() != http::verb::get || r.version() != 11) return {};
  if (target.substr(0, target.find('?')) != path) return {Outcome::not_found, {}};
  if (!may_come(r, origins)) return {Outcome::forbidden, {}};
  const bool upgrade = http::token_list{r[http::field::connection]}.exists("upgrade") &&
                       http::token_list{r[http::field::upgrade]}.exists("websocket");
  const bool version = r[http::field::sec_websocket_version] == "13";
  http::token_list offered{r[http::field::sec_websocket_protocol]};
  const char* const old_name = offered.exists("mqttv3.1") ? "mqttv3.1" : nullptr;  // of MQTT 3.1
  const char* const mqtt = offered.exists("mqtt") ? "mqtt" : old_name;
  if (!upgrade || !version || mqtt == nullptr) return {Outcome::upgrade_required, {}};
  const std::string_view key = view(r[http::field::sec_websocket_key]);
  if (!is_key(key)) return {};
  return {Outcome::accepted,
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Accept: " +
              accept_key(key) + "\r\nSec-WebSocket-Protocol: " + mqtt + "\r\n\r\n"};
}

}  // namespace berth::protocol::websocket
