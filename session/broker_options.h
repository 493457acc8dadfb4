// The options of a Broker, given once to its constructor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "session/holdings.h"

namespace berth::session {

enum class QueuePolicy : std::uint8_t { drop_oldest, drop_new, disconnect };

struct BrokerOptions {
  std::uint32_t partition = 0;  // of this engine, of `partitions` (ADR 10)
  std::uint32_t partitions = 1;
  std::vector<std::uint64_t> edge_ids{
      0};  // by link: edge shards that are there from the beginning and as long as we
  std::vector<std::uint64_t> internal_edges = {};  // of these, see edge_came()
  bool replay = false;                  // edges outlive the engine: cookies, applied records, spill
  std::uint32_t packet_max = 10 << 20;  // bytes, announced as Maximum Packet Size
  std::uint16_t receive_maximum = 1024;            // announced; PUBLISHes in flight from one device
  std::uint16_t inflight_max = 65535;              // PUBLISHes in flight to one device
  std::uint16_t alias_maximum = 16;                // announced
  std::uint16_t park_heartbeat_s = 30;             // of Park devices, at most
  std::uint16_t keep_alive_max_s = 0;              // 0: the device's own Keep Alive
  std::uint32_t session_expiry_max_s = 7 * 86400;  // greater requests are lowered and told so
  std::uint32_t queue_messages_max = 10'000;       // of each session
  std::uint64_t queue_bytes_max = 16u << 20;       // bytes of each session
  QueuePolicy queue_policy = QueuePolicy::drop_oldest;
  std::uint32_t subscriptions_max = 1000;  // per session
  std::uint32_t sessions_max = 1'000'000;  // of this engine, in all
  HoldingLimits holdings;
  std::size_t retained_messages_max = 1'000'000;  // in all, also the bytes
  std::size_t retained_bytes_max = std::size_t{1} << 30;
  std::uint32_t restart_grace_s = 60;    // wills of devices that our own restart cut off
  std::uint32_t command_keep_days = 90;  // records of commands that have their outcome
  std::uint64_t command_keep_bytes = std::uint64_t{4} << 30;
  std::uint32_t commands_per_service = 200;  // a second, of an account; 0: no limit
  std::uint32_t commands_per_device = 5;     // a second; 0: no limit
  std::uint32_t sys_interval_s = 10;         // $SYS, 0: off
  // There are user names that a password file or certificates prove: sessions stored without one
  // (by the last release) are only for those (principal_key.h).
  bool users_proven = false;
  std::string version = "0";
};

}  // namespace berth::session
