// The gateway's control frames as bytes, and what it reads of a HELLO. Keeps Protobuf out of the
// headers of edge and engine. Values and bytes; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/mqtt/types.h"
#include "protocol/park/frame.h"

namespace berth::protocol::park {

inline constexpr std::size_t kNonceBytes = 16;
inline constexpr std::size_t kNameMax = 64;

// The one alphabet of a client id, a child and a command's id: is_name() checks it, texts for
// devices, platforms and operators say it.
#define BERTH_PARK_NAME "1 to 64 letters, digits, '_', '.', '-'"
inline constexpr const char* kBadClientId = "a client id is " BERTH_PARK_NAME;
inline constexpr const char* kBadChild = "a child is " BERTH_PARK_NAME;
inline constexpr const char* kBadCommandId = "the id of a command is " BERTH_PARK_NAME;
bool is_name(std::string_view s);

struct Greeting {
  std::string nonce;
  std::int64_t server_time_ms = 0;
  bool crc_wanted = false;
};
std::string encode_greeting(const Greeting& g, std::uint8_t flags);  // a whole frame
bool decode_greeting(std::string_view payload, Greeting& out);

struct HelloView {
  std::string client_id;
  std::string auth_id;
  std::string proof;
  std::string password;
  std::string resume_token;
  std::string firmware;
  std::uint32_t version = 0;
  std::uint32_t heartbeat_s = 0;
  std::uint32_t max_inflight = 0;
  std::uint32_t max_frame = 0;
  std::optional<std::uint32_t> session_expiry_s;
  bool fresh = false;
};
// `out` has the names and the version also of one that is refused, unless it is malformed.
mqtt::Reason decode_hello(std::string_view payload, HelloView& out);
// Empty: it has none, or is none.
void peek_names(std::string_view hello_payload, std::string& client_id, std::string& auth_id);
// What a device that has the key puts into HELLO.proof: 32 bytes.
std::string proof_of(std::string_view key, std::string_view nonce, std::string_view auth_id,
                     std::string_view client_id);

struct WelcomeOut {
  std::string resume_token;
  bool resumed = false;
  std::uint64_t session_epoch = 0;
  std::uint32_t session_expiry_s = 0;
  std::uint32_t heartbeat_s = 0;
  std::uint32_t max_inflight = 0;
  std::uint32_t max_frame = 0;
  std::int64_t server_time_ms = 0;
};
std::string encode_welcome(const WelcomeOut& w, std::uint8_t flags);

// Appends to an ACK's payload.
void put_refused(std::string& ack, std::uint32_t seq, mqtt::Reason code, std::string_view text);
void put_pong(std::string& out, std::uint8_t flags, std::uint32_t seq, std::int64_t server_time_ms);
std::string encode_goaway(mqtt::Reason code, std::uint32_t reconnect_after_ms,
                          std::string_view endpoint, std::uint8_t flags);
std::string encode_error(mqtt::Reason code, std::string_view text, std::string_view quota,
                         std::uint32_t retry_after_ms, std::uint8_t flags);

// The payload of a COMMAND or DESIRED up to the bytes that were published, `size` of them.
struct CommandOut {
  std::string_view id;
  std::string_view name;
  std::string_view child;
  std::uint32_t ttl_ms = 0;
  std::int64_t deadline_ms = 0;  // since 1970
};
void put_command_head(std::string& out, const CommandOut& c, std::size_t size);
void put_desired_head(std::string& out, std::string_view child, std::size_t size);

}  // namespace berth::protocol::park
