// The event by which the platform hears of a command's outcome (docs/platform.md, "Commands"): an
// Envelope with the body `command_outcome`. Plain functions; any thread.
#pragma once

#include <string>

#include "platform/ledger.h"

namespace berth::platform {

// Inside: $tenant/TENANT/v1/SITE/DEVICE/command/ID/result, of the target.
std::string outcome_topic(const Entry& e);
// `late`: of a result that came after the outcome; null: of the outcome. As JSON, or Protobuf.
std::string outcome_event(const Entry& e, const Result* late, bool json);

}  // namespace berth::platform
