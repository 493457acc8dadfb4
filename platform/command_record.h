// One command as the ledger keeps it: what was asked for, and how far it is. In the store and in
// notes between partitions it is a pb::CommandRecord (platform.proto). Plain data; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/command.h"

namespace berth::platform {

namespace pb {
class CommandRecord;
}  // namespace pb

inline constexpr std::size_t kPayloadMax = 32 * 1024;  // bytes of a command's payload

// What a platform asks for, checked for its form (names, sizes) before.
struct Asked {
  std::string tenant;
  std::string id;      // the platform's, 1 to 64 characters
  std::string device;  // the target
  std::string executor;
  std::string child;
  std::string type;
  std::string payload;
  std::string content;  // SHA-256 of what was asked for
  std::string slot;
  std::string caller, operator_id, operator_type, reason, trace_parent;
  std::string response_topic, correlation;  // MQTT 5, the topic as it is inside
  std::string lot, lane;                    // as the platform says, kept for people
  std::int64_t issued_ms = 0;               // the same
  std::uint32_t ttl_ms = 0;                 // 0: of the type
  // Clock of messages: when the gateway got the request; its time runs from then, however long the
  // request lay in a socket or store. 0: from the acceptance. Not stored.
  std::int64_t since_ms = 0;
  // The partition, + 1, where the executor is connected, as the caller knows; 0: not known.
  std::uint32_t located = 0;
  bool busy = false;                      // part_locks.h: another command has the part. Not stored
  std::vector<std::string> caller_sites;  // that the caller may see; none: all. Not stored
  bool ttl_is_limit = false;              // ttl_ms is cut to what the type allows. Not stored
  bool is_admin = false;                  // the caller is the gateway's administrator. Not stored
};
// A barrier that is opened by a camera: what counts is the device that is told.
inline const std::string& addressee(const Asked& a) {
  return a.executor.empty() ? a.device : a.executor;
}

struct Entry {
  Asked asked;
  std::string site;
  std::string executor_site;
  std::int64_t accepted_wall_ms = 0;
  std::int64_t durable_wall_ms = 0;  // of the acceptance, if it is traced. 0: not known. Not stored
  std::uint32_t ttl_ms = 0;
  // What a person wrote when closing a finished command. wall_ms 0: the command is not closed.
  struct Closed {
    std::int64_t wall_ms = 0;
    std::string by, note;
  };
  Closed closed;
  std::uint64_t serial = 0;  // of its tags (notes.h); no other open command of the partition has it
  Command command;
};
// One that was asked for over MQTT and not accepted.
inline bool is_refusal(const Entry& e) {
  return e.serial == 0;
}
std::string encode(const Entry& e);
bool decode(std::string_view record, Entry& out);
// What is asked for, into `out`. Which of its names or sizes is not as it must be; empty: none.
std::string fault_of(const pb::CommandRecord& r, Asked& out);
// The same; false: something is.
bool decode_asked(const pb::CommandRecord& r, Asked& out);

}  // namespace berth::platform
