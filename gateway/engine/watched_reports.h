// What devices report, in words, while somebody looks at them: a stream of events of one device
// asks again and again (docs/platform.md, "Events as they happen"), and what the device says
// meanwhile is kept for the next question. Of no other device anything is read or kept: bodies have
// plates, which are personal. Held by the EngineShard; its thread.
//
// Limits: kDevices at a time, of each kKept reports of kBodyMax bytes; forgotten kAsked_ms after
// the last question.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/string_map.h"
#include "platform/reports.pb.h"
#include "protocol/messages/envelope.pb.h"
#include "session/principals.h"

namespace berth::gateway::engine {

class WatchedReports {
 public:
  static constexpr std::size_t kDevices = 64;
  static constexpr std::size_t kKept = 50;
  static constexpr std::size_t kBodyMax = 1024;
  static constexpr std::int64_t kAsked_ms = 15'000;

  WatchedReports();
  bool any() const { return !devices_.empty(); }
  void take(const session::Principal& device, std::string_view site, const v1::Envelope& e,
            std::int64_t wall_ms);
  // Nothing: as many as may be watched are.
  std::optional<std::string> answer(std::string_view question, std::int64_t wall_ms);

 private:
  struct Device {
    std::int64_t asked_ms = 0;
    std::uint64_t newest = 0;
    std::deque<platform::pb::WatchedReport> reports;
  };
  void forget(std::int64_t wall_ms);

  const std::uint64_t engine_;
  base::StringMap<Device> devices_;  // by principal key
};

// Without number and time. Nothing: it says nothing for people.
std::optional<platform::pb::WatchedReport> watched_report_of(const v1::Envelope& e);

}  // namespace berth::gateway::engine
