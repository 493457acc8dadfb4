// Which program the engine is that serves: an edge and its engines are of different releases while
// one of them is upgraded.
#pragma once

#include <string>

#include "gateway/node/engine_setup.h"
#include "metrics/probe.h"

namespace berth::gateway {

inline constexpr const char kEngineBuild[] = "berth_engine_build_info";

// Of this process: "VERSION (REVISION)".
inline std::string build_text() {
  return std::string(kVersion) + " (" + revision() + ")";
}

inline metrics::Sample engine_build_sample() {
  return {kEngineBuild, "build", build_text(), "1: version and revision of the engine that serves",
          false,        1};
}

}  // namespace berth::gateway
