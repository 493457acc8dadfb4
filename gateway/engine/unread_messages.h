// Lines of the log about messages of devices that are no Envelope and match no rule: which device,
// which topic, what is wrong. A device is told nothing of it, so its engineer looks here. On the
// engine's thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "session/scope.h"

namespace berth::gateway::engine {

class UnreadMessages {
 public:
  static constexpr std::int64_t kAgain_ms =
      60'000;                                    // the same fault of a device: once in this time
  enum class Body : std::uint8_t { json, raw };  // in which it is passed on
  void say(const session::Scope& who, std::string_view topic, std::string_view why, Body body,
           base::Instant now);

 private:
  struct Said {
    std::uint64_t what = 0;  // hash of the device, its topic and the fault
    std::int64_t at_ms = 0;
  };
  std::array<Said, 1024> said_;  // by hash of the device: two may share a place
};

// What Protobuf says of JSON that is no Envelope, without its values, which may be plates: where,
// and what is wanted there.
std::string json_fault(std::string_view protobufs);

}  // namespace berth::gateway::engine
