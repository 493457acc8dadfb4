// What a collector wants with each request beside the spans, mostly a token: the lines
// `Name: value` of tracing.headers_file. Lines that are empty or begin with # say nothing. Values
// are secrets: no error has one. Plain functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace berth::gateway::tracing {

using Headers = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::size_t kHeadersFileMax = 16 * 1024;  // bytes
inline constexpr std::size_t kHeadersMax = 32;

// What is wrong with the text; empty: nothing, and they are in `out`.
std::string read_headers(const std::string& text, Headers& out);
// Of a regular file, read anew with each request. Throws std::runtime_error.
Headers headers_in(const std::string& path);

}  // namespace berth::gateway::tracing
