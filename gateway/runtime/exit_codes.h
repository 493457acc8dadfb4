// How processes of the gateway end, beside 0, 64 (usage), 69 (process.h), 71 and 75
// (child_process.h).
#pragma once

namespace berth::gateway {

inline constexpr int kExitForbidden = 77;  // files of the store belong to another user

}  // namespace berth::gateway
