// One HTML file of a run, or of the runs of a sweep: figures and plots, nothing from elsewhere.
#pragma once

#include <string>
#include <vector>

#include "bench/load/result.h"

namespace berth::bench {

// `command`: how it was asked for. Of one run, or of a sweep's, by rising rate.
std::string page_of(const std::vector<Result>& runs, const std::string& command);

}  // namespace berth::bench
