// How processes of Berth end, beside 0 and 1: sysexits.h's numbers.
#pragma once

namespace berth::base {

inline constexpr int kExitUsage = 64;        // a flag or a file on the command line is wrong
inline constexpr int kExitUnavailable = 69;  // a port, the store or the gateway is out of reach
// An engine's memory is used up: proof of nothing against the device that it happened to work for.
inline constexpr int kExitOutOfMemory = 71;
// An engine can't begin now and may be able to later: no room on the store's disk.
inline constexpr int kExitTryAgain = 75;
inline constexpr int kExitForbidden = 77;  // files of the store belong to another user
inline constexpr int kExitConfig = 78;     // the configuration or a file that it names is bad

}  // namespace berth::base
