// Figures of an engine as they cross a link: the answer to a scrape.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/probe.h"

namespace berth::gateway::link {

void put_samples(std::string& out, std::uint64_t id, const std::vector<metrics::Sample>& samples);
// More behind those of put_samples().
void append_samples(std::string& out, const std::vector<metrics::Sample>& samples);
bool get_samples(std::string_view in, std::uint64_t& id, std::vector<metrics::Sample>& samples);

}  // namespace berth::gateway::link
