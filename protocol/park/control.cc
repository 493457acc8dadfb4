#include "protocol/park/control.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "protocol/messages/parse.h"
#include "protocol/messages/wire.h"
#include "protocol/park/park.pb.h"

namespace berth::protocol::park {

namespace wire = protocol::messages;
using wire::parse;

namespace {

std::string frame_of(FrameType type, std::uint8_t flags, const google::protobuf::MessageLite& m) {
  std::string out;
  put_frame(out, type, flags, 0, m.SerializeAsString());
  return out;
}

}  // namespace

bool is_name(std::string_view s) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  return !s.empty() && s.size() <= kNameMax && std::all_of(s.begin(), s.end(), good);
}

std::string encode_greeting(const Greeting& g, std::uint8_t flags) {
  berth::park::v1::Greeting m;
  m.set_nonce(g.nonce);
  m.set_server_time_ms(g.server_time_ms);
  m.set_version(kVersion);
  m.set_crc_wanted(g.crc_wanted);
  return frame_of(FrameType::greeting, flags, m);
}

bool decode_greeting(std::string_view payload, Greeting& out) {
  berth::park::v1::Greeting m;
  if (!parse(m, payload) || m.nonce().size() != kNonceBytes) return false;
  out = {m.nonce(), m.server_time_ms(), m.crc_wanted()};
  return true;
}

mqtt::Reason decode_hello(std::string_view payload, HelloView& out) {
  berth::park::v1::Hello m;
  if (!parse(m, payload)) return mqtt::Reason::malformed_packet;
  out.client_id = m.client_id();
  out.auth_id = m.auth_id();
  out.version = m.version();
  if (m.version() != kVersion) return mqtt::Reason::unsupported_protocol_version;
  if (!is_name(m.client_id())) return mqtt::Reason::client_identifier_not_valid;
  out.proof = m.proof();
  out.password = m.password();
  out.resume_token = m.resume_token();
  out.firmware = m.firmware();
  out.heartbeat_s = m.heartbeat_s();
  out.max_inflight = m.max_inflight();
  out.max_frame = m.max_frame();
  if (m.has_session_expiry_s()) out.session_expiry_s = m.session_expiry_s();
  out.fresh = m.fresh();
  return mqtt::Reason::success;
}

void peek_names(std::string_view hello_payload, std::string& client_id, std::string& auth_id) {
  berth::park::v1::Hello m;
  if (!parse(m, hello_payload)) return;
  client_id = m.client_id();
  auth_id = m.auth_id();
}

std::string proof_of(std::string_view key, std::string_view nonce, std::string_view auth_id,
                     std::string_view client_id) {
  std::string text = "park1";
  text.append(nonce).append(auth_id).append(1, '\0').append(client_id);
  unsigned char d[32];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), d, &size);
  return {reinterpret_cast<const char*>(d), size};
}

std::string encode_welcome(const WelcomeOut& w, std::uint8_t flags) {
  berth::park::v1::Welcome m;
  m.set_resume_token(w.resume_token);
  m.set_resumed(w.resumed);
  m.set_session_epoch(w.session_epoch);
  m.set_session_expiry_s(w.session_expiry_s);
  m.set_heartbeat_s(w.heartbeat_s);
  m.set_max_inflight(w.max_inflight);
  m.set_max_frame(w.max_frame);
  m.set_server_time_ms(w.server_time_ms);
  return frame_of(FrameType::welcome, flags, m);
}

void put_refused(std::string& ack, std::uint32_t seq, mqtt::Reason code, std::string_view text) {
  berth::park::v1::Ack m;
  auto& r = *m.add_refused();
  r.set_seq(seq);
  r.set_code(static_cast<std::uint32_t>(code));
  r.set_text(std::string(text));
  m.AppendToString(&ack);
}

// By hand: one is made for each heartbeat of each device.
void put_pong(std::string& out, std::uint8_t flags, std::uint32_t seq,
              std::int64_t server_time_ms) {
  std::string payload;
  wire::put_fixed64(payload, berth::park::v1::Pong::kServerTimeMsFieldNumber,
                    static_cast<std::uint64_t>(server_time_ms));
  put_frame(out, FrameType::pong, flags, seq, payload);
}

std::string encode_goaway(mqtt::Reason code, std::uint32_t reconnect_after_ms,
                          std::string_view endpoint, std::uint8_t flags) {
  berth::park::v1::GoAway m;
  m.set_code(static_cast<std::uint32_t>(code));
  m.set_reconnect_after_ms(reconnect_after_ms);
  m.set_endpoint(std::string(endpoint));
  return frame_of(FrameType::goaway, flags, m);
}

std::string encode_error(mqtt::Reason code, std::string_view text, std::string_view quota,
                         std::uint32_t retry_after_ms, std::uint8_t flags) {
  berth::park::v1::Error m;
  m.set_code(static_cast<std::uint32_t>(code));
  m.set_text(std::string(text));
  m.set_quota(std::string(quota));
  m.set_retry_after_ms(retry_after_ms);
  return frame_of(FrameType::error, flags, m);
}

void put_command_head(std::string& out, const CommandOut& c, std::size_t size) {
  using berth::park::v1::Command;
  wire::put_bytes_field(out, Command::kIdFieldNumber, c.id);
  wire::put_bytes_field(out, Command::kNameFieldNumber, c.name);
  if (c.ttl_ms != 0) wire::put_varint_field(out, Command::kTtlMsFieldNumber, c.ttl_ms);
  if (c.deadline_ms != 0)
    wire::put_fixed64(out, Command::kDeadlineMsFieldNumber,
                      static_cast<std::uint64_t>(c.deadline_ms));
  if (!c.child.empty()) wire::put_bytes_field(out, Command::kChildFieldNumber, c.child);
  wire::put_bytes_head(out, Command::kPayloadFieldNumber, size);
}

void put_desired_head(std::string& out, std::string_view child, std::size_t size) {
  using berth::park::v1::Desired;
  if (!child.empty()) wire::put_bytes_field(out, Desired::kChildFieldNumber, child);
  wire::put_bytes_head(out, Desired::kPayloadFieldNumber, size);
}

}  // namespace berth::protocol::park
