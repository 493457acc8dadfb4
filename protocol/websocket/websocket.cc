#include "protocol/websocket/websocket.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/give_back.h"
#include "protocol/websocket/handshake.h"

namespace berth::protocol::websocket {

namespace {

enum Opcode : std::uint8_t {
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10
};
constexpr std::uint16_t kNormal = 1000;
constexpr std::uint16_t kProtocolError = 1002;
constexpr std::uint16_t kUnsupportedData = 1003;
constexpr std::size_t kControlMax = 125;

void put_frame(std::string& out, Opcode opcode, std::string_view payload) {
  out.push_back(static_cast<char>(0x80 | opcode));
  out.push_back(static_cast<char>(payload.size()));
  out.append(payload);
}

// Eight bytes at a time; `at`: where in the mask the first one is (5.3).
void unmask(std::uint8_t* p, std::size_t n, const std::uint8_t (&mask)[4], unsigned at) {
  std::uint8_t turned[8];
  for (unsigned i = 0; i < 8; ++i) turned[i] = mask[(at + i) & 3];
  std::uint64_t m = 0;
  std::memcpy(&m, turned, 8);
  for (; n >= 8; n -= 8, p += 8) {
    std::uint64_t v = 0;
    std::memcpy(&v, p, 8);
    v ^= m;
    std::memcpy(p, &v, 8);
  }
  for (std::size_t i = 0; i < n; ++i) p[i] ^= turned[i];
}

}  // namespace

void WebSocket::put_header(std::string& out, std::size_t payload) {
  out.push_back(static_cast<char>(0x80 | binary));
  int width = 0;
  if (payload < 126) {
    out.push_back(static_cast<char>(payload));
  } else if (payload < 65536) {
    out.push_back(126);
    width = 2;
  } else {
    out.push_back(127);
    width = 8;
  }
  for (int i = width; i-- > 0;)
    out.push_back(static_cast<char>(static_cast<std::uint64_t>(payload) >> (8 * i)));
}

void WebSocket::put_close(std::string& out, std::uint16_t status) {
  const char body[2] = {static_cast<char>(status >> 8), static_cast<char>(status)};
  put_frame(out, close, {body, 2});
}

void WebSocket::fail(std::uint16_t status, std::string& reply) {
  put_close(reply, status);
  state_ = State::ended;
  failed_ = true;
}

void WebSocket::refuse(int status, const char* reason, const char* more, std::string& reply) {
  reply.append("HTTP/1.1 ").append(std::to_string(status)).append(" ").append(reason);
  reply.append("\r\nConnection: close\r\nContent-Length: 0\r\n").append(more).append("\r\n");
  state_ = State::ended;
  failed_ = true;
}

std::size_t WebSocket::receive(std::uint8_t* bytes, std::size_t n, std::string& reply) {
  std::size_t from = 0;
  if (state_ == State::request)
    from = take_request({reinterpret_cast<const char*>(bytes), n}, reply);
  return state_ == State::frames ? take_frames(bytes, from, n, reply) : 0;
}

// How many of `bytes` were the request's.
std::size_t WebSocket::take_request(std::string_view bytes, std::string& reply) {
  const std::size_t before = request_.size();
  request_.append(bytes.substr(0, kRequestMax - std::min(kRequestMax, before)));
  const std::size_t end = request_.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (request_.size() >= kRequestMax) refuse(431, "Request Header Fields Too Large", "", reply);
    return bytes.size();
  }
  const Handshake h = parse_request(std::string_view(request_).substr(0, end + 4), path_, origins_);
  base::give_back(request_);
  switch (h.outcome) {
    case Handshake::Outcome::accepted:
      reply.append(h.response);
      state_ = State::frames;
      break;
    case Handshake::Outcome::bad_request:
      refuse(400, "Bad Request", "", reply);
      break;
    case Handshake::Outcome::not_found:
      refuse(404, "Not Found", "", reply);
      break;
    case Handshake::Outcome::forbidden:
      refuse(403, "Forbidden", "", reply);
      break;
    case Handshake::Outcome::upgrade_required:
      refuse(426, "Upgrade Required",
             "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n",
             reply);
      break;
  }
  return end + 4 - before;
}

std::size_t WebSocket::take_frames(std::uint8_t* bytes, std::size_t from, std::size_t n,
                                   std::string& reply) {
  std::size_t data = 0;
  while (from < n && state_ == State::frames) {
    if (frame_.left == 0) {
      frame_.header.push_back(static_cast<char>(bytes[from++]));
      if (!begin_frame(reply)) continue;
      if (frame_.left == 0 && frame_.opcode >= close) end_control(reply);
      continue;
    }
    const std::size_t some =
        static_cast<std::size_t>(std::min<std::uint64_t>(n - from, frame_.left));
    unmask(bytes + from, some, frame_.mask, frame_.mask_at);
    frame_.mask_at = static_cast<std::uint8_t>((frame_.mask_at + some) & 3);
    frame_.left -= some;
    if (frame_.opcode >= close) {
      control_.append(reinterpret_cast<const char*>(bytes) + from, some);
      if (frame_.left == 0) end_control(reply);
    } else {
      std::memmove(bytes + data, bytes + from, some);
      data += some;
    }
    from += some;
  }
  return data;
}

// A byte of a frame's header has come (5.2). True: it is whole, and the frame has begun.
bool WebSocket::begin_frame(std::string& reply) {
  const std::string& h = frame_.header;
  const auto at = [&h](std::size_t i) { return static_cast<std::uint8_t>(h[i]); };
  if (h.size() < 2) return false;
  const std::uint8_t opcode = at(0) & 0x0f;
  const bool last = (at(0) & 0x80) != 0;
  const std::uint8_t length = at(1) & 0x7f;
  const bool control = opcode >= close;
  if (h.size() == 2) {
    const bool known = opcode <= binary || (opcode >= close && opcode <= pong);
    const bool in_order = control || (opcode == continuation) == frame_.in_message;
    const bool good = (at(0) & 0x70) == 0 && known && (at(1) & 0x80) != 0 && in_order &&
                      (!control || (last && length <= kControlMax));
    if (!good || opcode == text) {
      fail(good ? kUnsupportedData : kProtocolError, reply);
      return false;
    }
  }
  const std::size_t width = length == 126 ? 2 : length == 127 ? 8 : 0;
  if (h.size() < 2 + width + 4) return false;
  std::uint64_t payload = width == 0 ? length : 0;
  for (std::size_t i = 0; i < width; ++i) payload = (payload << 8) | at(2 + i);
  if ((payload >> 63) != 0) {
    fail(kProtocolError, reply);
    return false;
  }
  std::memcpy(frame_.mask, h.data() + 2 + width, 4);
  frame_.header.clear();
  frame_.mask_at = 0;
  frame_.left = payload;
  frame_.opcode = opcode;
  if (!control) frame_.in_message = !last;
  return true;
}

void WebSocket::end_control(std::string& reply) {
  const std::string payload = std::exchange(control_, {});
  if (frame_.opcode == ping) put_frame(reply, pong, payload);
  if (frame_.opcode != close) return;
  if (payload.size() == 1) return fail(kProtocolError, reply);
  if (payload.empty()) {
    put_close(reply, kNormal);
  } else {
    put_frame(reply, close, std::string_view(payload).substr(0, 2));
  }
  state_ = State::ended;
}

std::string WebSocket::save() const {
  std::string out;
  out.push_back(static_cast<char>(state_));
  out.push_back(static_cast<char>((failed_ ? 1 : 0) | (frame_.in_message ? 2 : 0)));
  base::put_bytes(out, request_);
  base::put_bytes(out, frame_.header);
  base::put_varint(out, frame_.left);
  out.push_back(static_cast<char>(frame_.opcode));
  base::put_bytes(out, {reinterpret_cast<const char*>(frame_.mask), 4});
  out.push_back(static_cast<char>(frame_.mask_at));
  base::put_bytes(out, control_);
  return out;
}

bool WebSocket::go_on_from(std::string_view saved) {
  base::RecordReader r(saved);
  const std::uint8_t state = r.byte();
  const std::uint8_t flags = r.byte();
  request_ = r.bytes();
  frame_.header = r.bytes();
  frame_.left = r.varint();
  frame_.opcode = r.byte();
  const std::string_view mask = r.bytes();
  frame_.mask_at = r.byte() & 3;
  control_ = r.bytes();
  if (!r.ok() || state > static_cast<std::uint8_t>(State::ended) || mask.size() != 4) return false;
  std::memcpy(frame_.mask, mask.data(), 4);
  state_ = static_cast<State>(state);
  failed_ = (flags & 1) != 0;
  frame_.in_message = (flags & 2) != 0;
  return true;
}

}  // namespace berth::protocol::websocket
