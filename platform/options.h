// The settings of the platform side of an engine, given once.
#pragma once

#include <cstdint>

namespace berth::platform {

class Traces;

struct PresenceOptions {
  std::uint32_t offline_after_s = 30;
  std::uint32_t ours_after_s = 60;  // session.restart_grace_s
};

struct HistoryOptions {
  std::int64_t max_bytes = 1 << 30;  // of one engine
};

struct PlatformOptions {
  PresenceOptions presence;
  HistoryOptions history;
  Traces* traces = nullptr;  // null: no command is traced. Not a setting; outlives the engine
};

}  // namespace berth::platform
