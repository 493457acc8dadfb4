// What a store tells of each try to write.
#pragma once

#include <functional>
#include <string>

namespace berth::session {

// `why` says what failed, for people. On a store's own thread.
using HealthTold = std::function<void(bool healthy, const std::string& why)>;

}  // namespace berth::session
