// What comes before MQTT: PROXY headers and WebSockets, from anybody. Besides memory and undefined
// behaviour: nothing is taken that is not there, and how the stream is divided makes no difference.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "protocol/proxy/header.h"
#include "protocol/websocket/websocket.h"

namespace {

using berth::protocol::websocket::WebSocket;

constexpr const char* kRequest =
    "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: mqtt\r\n\r\n";

struct Heard {
  std::string data, reply;
  bool ended = false;
  friend bool operator==(const Heard&, const Heard&) = default;
};

Heard listen(const std::string& stream, std::size_t piece) {
  WebSocket ws("/mqtt");
  Heard h;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    std::string part = stream.substr(at, piece);
    const std::size_t n =
        ws.receive(reinterpret_cast<std::uint8_t*>(part.data()), part.size(), h.reply);
    if (n > part.size()) std::abort();
    h.data.append(part, 0, n);
    const std::string saved = ws.save();
    ws = WebSocket("/mqtt");
    if (!ws.go_on_from(saved)) std::abort();
  }
  h.ended = ws.ended();
  return h;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  std::size_t used = 0;
  berth::protocol::proxy::Header header;
  berth::protocol::proxy::parse(bytes, used, header);
  if (used > size) std::abort();
  if (size > 16'384) return 0;
  listen(bytes, 7);
  const std::string frames = kRequest + bytes;
  if (!(listen(frames, 1) == listen(frames, 1 << 20))) std::abort();
  WebSocket ws("/mqtt");
  ws.go_on_from(bytes);
  std::string reply;
  std::string some = bytes;
  ws.receive(reinterpret_cast<std::uint8_t*>(some.data()), some.size(), reply);
  return 0;
}
