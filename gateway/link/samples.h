// The metrics of an engine as bytes on a link: the answer to a scrape. No state; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/probe.h"

namespace berth::gateway::link {

void put_samples(std::string& out, std::uint64_t id, const std::vector<metrics::Sample>& samples);
// Appends more samples to the output of put_samples().
void append_samples(std::string& out, const std::vector<metrics::Sample>& samples);
// Appends to `samples`. False: `in` is malformed; `samples` may have a part of it.
bool get_samples(std::string_view in, std::uint64_t& id, std::vector<metrics::Sample>& samples);

}  // namespace berth::gateway::link
