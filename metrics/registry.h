// Samples of all roles into Prometheus' text format, by prometheus-cpp's serialiser. Any thread.
#pragma once

#include <string>
#include <vector>

#include "metrics/probe.h"

namespace berth::metrics {

std::string serialize(const std::vector<Sample>& samples, const std::string& version,
                      const std::string& revision);

}  // namespace berth::metrics
