// Samples of all roles as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0 for who
// asks for that; compressed for who takes it. Any thread.
//
//   text         # HELP name help / # TYPE name type / name{label="value"} number
//   OpenMetrics  the same, but a counter's family is named without _total, and # EOF is the end
//
// A family's samples stand together, in the order in which they came. `_created` is not said.
// In OpenMetrics a bucket of berth_command_seconds may have an exemplar:
//
//   berth_command_seconds_bucket{le="0.032768"} 17 # {trace_id="0af7…"} 0.021 1764473167.123
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "metrics/probe.h"

namespace berth::metrics {

enum class Format { text, open_metrics };

struct BuildInfo {
  std::string version;
  std::string revision;
};
std::string exposition(const std::vector<Sample>& samples, const BuildInfo& build, Format format);
const char* content_type(Format format);

// What an Accept header asks for; OpenMetrics only where it is named and not wanted less.
Format format_asked(std::string_view accept);
// Does Accept-Encoding take gzip?
bool takes_gzip(std::string_view accept_encoding);
// Empty: no memory.
std::string gzipped(std::string_view bytes);

}  // namespace berth::metrics
