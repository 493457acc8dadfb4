#include "gateway/engine/packet_words.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "protocol/mqtt/types.h"
#include "protocol/mqtt/wire.h"
#include "protocol/park/frame.h"

namespace berth::gateway::engine {

namespace park = protocol::park;
using protocol::mqtt::Reader;

namespace {

constexpr std::size_t kFixedMax = 5;  // of MQTT: a byte and a Variable Byte Integer of 4
constexpr std::size_t kNamesMax = 4;  // filters that are named

constexpr std::array<const char*, 16> kPackets{"RESERVED",  "CONNECT",  "CONNACK",     "PUBLISH",
                                               "PUBACK",    "PUBREC",   "PUBREL",      "PUBCOMP",
                                               "SUBSCRIBE", "SUBACK",   "UNSUBSCRIBE", "UNSUBACK",
                                               "PINGREQ",   "PINGRESP", "DISCONNECT",  "AUTH"};

constexpr std::array<const char*, 17> kFrames{
    "?",      "GREETING", "HELLO",   "WELCOME", "PING",     "PONG",   "EVENT", "TELEMETRY", "STATE",
    "RESULT", "ACK",      "COMMAND", "DESIRED", "RECEIVED", "GOAWAY", "ERROR", "BYE"};

std::string code(unsigned value) {
  constexpr const char* kHex = "0123456789abcdef";
  return {'0', 'x', kHex[value >> 4 & 15], kHex[value & 15]};
}

void add(std::string& out, const char* name, const std::string& value) {
  out.append(" ").append(name).append("=").append(value);
}

void skip_properties(Reader& r, bool v5) {
  if (v5) r.take(r.varint());
}

void add_filters(std::string& out, Reader& r, bool options) {
  std::size_t n = 0;
  while (r.ok() && r.left() != 0) {
    const std::string_view filter = r.string();
    const unsigned o = options ? r.u8() : 0;
    if (!r.ok()) break;
    if (++n > kNamesMax) continue;
    add(out, "filter", std::string(filter));
    if (options) add(out, "qos", std::to_string(o & 3));
  }
  if (n > kNamesMax || !r.ok()) out += " ...";
}

}  // namespace

void PacketCutter::take(std::string_view& bytes) {
  const bool park = protocol_ == Protocol::park;
  const std::size_t header = park ? park::kHeaderBytes : kFixedMax;
  std::size_t n =
      size_ == 0 ? std::min<std::size_t>(1, bytes.size()) : std::min(bytes.size(), size_ - have_);
  if (size_ == 0 && park) n = std::min(bytes.size(), header - have_);
  head_.append(bytes.substr(0, std::min(n, kHead - std::min(head_.size(), kHead))));
  have_ += n;
  bytes.remove_prefix(n);
  if (size_ != 0) return;
  find_size();
  lost_ = size_ == 0 && have_ >= header;
}

void PacketCutter::find_size() {
  if (protocol_ == Protocol::park) {
    if (have_ < park::kHeaderBytes) return;
    const auto at = [this](std::size_t i) { return static_cast<std::uint8_t>(head_[i]); };
    const std::size_t length =
        static_cast<std::size_t>(at(4)) << 24 | at(5) << 16 | at(6) << 8 | at(7);
    size_ = park::kHeaderBytes + length + ((at(3) & park::kCrc) != 0 ? park::kCrcBytes : 0);
    return;
  }
  std::size_t length = 0;
  for (std::size_t i = 1; i < head_.size(); ++i) {
    const auto b = static_cast<std::uint8_t>(head_[i]);
    length |= static_cast<std::size_t>(b & 0x7f) << (7 * (i - 1));
    if ((b & 0x80) == 0) size_ = 1 + i + length;
    if (size_ != 0) return;
  }
}

std::string PacketCutter::words() const {
  std::string out = protocol_ == Protocol::park ? park_words() : mqtt_words();
  add(out, "size", std::to_string(size_));
  return out;
}

std::string PacketCutter::park_words() const {
  const auto at = [this](std::size_t i) { return static_cast<std::uint8_t>(head_[i]); };
  std::string out = kFrames[at(2) < kFrames.size() ? at(2) : 0];
  const unsigned seq = static_cast<unsigned>(at(8)) << 24 | at(9) << 16 | at(10) << 8 | at(11);
  if (seq != 0) add(out, "seq", std::to_string(seq));
  if ((at(3) & park::kAgain) != 0) out += " again";
  return out;
}

std::string PacketCutter::mqtt_words() const {
  Reader r(base::as_bytes(head_));
  const std::uint8_t first = r.u8();
  r.varint();
  const bool v5 = protocol_ == Protocol::mqtt5;
  const unsigned type = first >> 4;
  std::string out = kPackets[type];
  switch (type) {
    case 2:  // CONNACK
      if ((r.u8() & 1) != 0) out += " session_present";
      add(out, "code", code(r.u8()));
      break;
    case 3: {
      const unsigned qos = first >> 1 & 3;
      const std::string_view topic = r.string();
      add(out, "topic", r.ok() ? std::string(topic) : "...");
      add(out, "qos", std::to_string(qos));
      if (qos != 0 && r.ok()) add(out, "id", std::to_string(r.u16()));
      if ((first & 8) != 0) out += " dup";
      if ((first & 1) != 0) out += " retain";
      break;
    }
    case 4:
    case 5:
    case 6:
    case 7:  // PUBACK, PUBREC, PUBREL, PUBCOMP
      add(out, "id", std::to_string(r.u16()));
      if (r.left() != 0) add(out, "code", code(r.u8()));
      break;
    case 8:
    case 10:  // SUBSCRIBE, UNSUBSCRIBE
      add(out, "id", std::to_string(r.u16()));
      skip_properties(r, v5);
      add_filters(out, r, type == 8);
      break;
    case 9:
    case 11:  // SUBACK, UNSUBACK
      add(out, "id", std::to_string(r.u16()));
      skip_properties(r, v5);
      for (std::size_t n = 0; r.left() != 0 && n < kNamesMax; ++n) add(out, "code", code(r.u8()));
      if (r.left() != 0) out += " ...";
      break;
    case 14:
      add(out, "code", code(r.left() != 0 ? r.u8() : 0));
      break;
    default:
      break;
  }
  return out;
}

}  // namespace berth::gateway::engine
