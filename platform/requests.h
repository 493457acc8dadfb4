// Commands that services ask for over MQTT (docs/platform.md, "Over MQTT"): a PUBLISH is taken when
// its request is durable, and the outcome, or why it is refused, comes as an event. Owned by
// Commands, in the partition of the service's session and in the device's home. One shard, one
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "platform/command_ways.h"
#include "platform/ledger.h"
#include "platform/records.h"
#include "session/message.h"
#include "session/scope.h"

namespace berth::platform {

namespace pb {
class Request;
}  // namespace pb

// False: the topic is none of a request, or the names in it are none.
bool read_request(const session::Scope& service, const session::MessageView& m, pb::Request& out);

// Correlation Data as properties that are passed on; empty: none.
std::string correlation_property(std::string_view correlation);

class Requests {
 public:
  static constexpr std::size_t kMax = 10'000;  // that wait for their answer

  // Submits one; the answer comes once.
  using Submit = std::function<void(Asked asked, std::function<void(const Refusal&)> answered)>;
  // Not accepted: the service is to hear of it.
  using Refused = std::function<void(const pb::Request& request, const Refusal& why)>;
  // All outlive it.
  Requests(Records& records, Submit submit, Refused refused)
      : records_(records), submit_(std::move(submit)), refused_(std::move(refused)) {}

  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view value);
  void forget(std::string_view key);

  // At the device's home: into the open batch, then to the ledger.
  void take(const pb::Request& request, const CommandWays* ways, At at);
  // Those that an engine before us has taken and not answered.
  void go_on(const CommandWays* ways, At at);

 private:
  void submit(const std::string& key, const pb::Request& request, const CommandWays* ways, At at);

  Records& records_;
  Submit submit_;
  Refused refused_;
  std::map<std::string, std::string> waiting_;  // as stored, by key
};

}  // namespace berth::platform
