// Which work makes spans. Every process of a gateway decides alike, from what it is told and the
// trace id alone, so that a trace is whole or not there. Immutable; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace berth::gateway::tracing {

class Sampler {
 public:
  Sampler(double share, const std::vector<std::string>& devices);

  // `asked`: the caller has set the flag "sampled".
  bool wants(bool asked, std::string_view trace_id, std::string_view tenant,
             std::string_view device) const {
    return asked || lists(tenant, device) || in_share(trace_id);
  }
  bool lists(std::string_view tenant, std::string_view device) const;
  // By the last 56 bits of the id, which are random in each trace (W3C Trace Context level 2).
  bool in_share(std::string_view trace_id) const;

 private:
  std::uint64_t below_ = 0;  // of 2^56
  std::set<std::string, std::less<>> devices_;
};

}  // namespace berth::gateway::tracing
