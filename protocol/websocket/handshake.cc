#include "protocol/websocket/handshake.h"

#include <openssl/evp.h>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>

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

}  // namespace

Handshake parse_request(std::string_view request, std::string_view path) {
  using Outcome = Handshake::Outcome;
  http::request_parser<http::empty_body> parser;
  boost::system::error_code ec;
  parser.put(boost::asio::buffer(request.data(), request.size()), ec);
  if (ec || !parser.is_header_done()) return {};
  const auto& r = parser.get();
  const std::string_view target = view(r.target());
  if (r.method() != http::verb::get || r.version() != 11) return {};
  if (target.substr(0, target.find('?')) != path) return {Outcome::not_found, {}};
  const bool upgrade = http::token_list{r[http::field::connection]}.exists("upgrade") &&
                       http::token_list{r[http::field::upgrade]}.exists("websocket");
  const bool version = r[http::field::sec_websocket_version] == "13";
  const bool mqtt = http::token_list{r[http::field::sec_websocket_protocol]}.exists("mqtt");
  if (!upgrade || !version || !mqtt) return {Outcome::upgrade_required, {}};
  const std::string_view key = view(r[http::field::sec_websocket_key]);
  if (!is_key(key)) return {};
  return {Outcome::accepted,
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Accept: " +
              accept_key(key) + "\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"};
}

}  // namespace berth::protocol::websocket
