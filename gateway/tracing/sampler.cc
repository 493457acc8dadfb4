#include "gateway/tracing/sampler.h"

#include <charconv>
#include <cmath>

namespace berth::gateway::tracing {
namespace {

constexpr std::size_t kRandomDigits = 14;     // 56 bits
constexpr double kAll = 72057594037927936.0;  // 2^56

}  // namespace

Sampler::Sampler(double share, const std::vector<std::string>& devices)
    : below_(static_cast<std::uint64_t>(std::llround(share * kAll))),
      devices_(devices.begin(), devices.end()) {}

bool Sampler::lists(std::string_view tenant, std::string_view device) const {
  if (devices_.empty()) return false;
  std::string name(tenant);
  name.append("/").append(device);
  return devices_.contains(name);
}

bool Sampler::in_share(std::string_view trace_id) const {
  if (below_ == 0 || trace_id.size() < kRandomDigits) return false;
  const std::string_view digits = trace_id.substr(trace_id.size() - kRandomDigits);
  std::uint64_t v = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), v, 16);
  return ec == std::errc() && end == digits.data() + digits.size() && v < below_;
}

}  // namespace berth::gateway::tracing
