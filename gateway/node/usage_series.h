// Which tenants and sites have series of their own in /metrics, and what the others use together
// (label value `_other`, no tenant's name): a bound on what Prometheus has to keep, whoever comes.
//
// Half of the places are for tenants, half for sites. A place is taken by whoever has most
// connections, and kept: by its tenant or site while that is there, and for an hour after. Somebody
// with four times as many connections as the least of those with a place takes that one's place,
// one a minute. Counters of `_other` never fall: what is counted in them stays, what somebody with
// a place counts from then on is in its own series. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/node/usage.h"
#include "metrics/probe.h"

namespace berth::gateway {

class UsageSeries {
 public:
  static constexpr std::size_t kOfTheProcess = 600;  // series that are of no tenant or site
  static constexpr std::int64_t kAbsentMax_s = 3600;
  static constexpr std::int64_t kSwap_s = 60;
  // `series_max`: of a process in all (metrics.max_series).
  explicit UsageSeries(std::size_t series_max);
  // berth_tenant_*{tenant} and berth_site_*{site="TENANT/SITE"}. `now_s`: a steady clock.
  std::vector<metrics::Sample> samples(const Usages& all, std::int64_t now_s);
  std::size_t places() const { return places_; }  // of tenants, and as many of sites

 private:
  struct Place {
    std::int64_t seen_s = 0;
    const session::UsageOf* now = nullptr;  // in the call under way
  };
  struct Kind {
    std::unordered_map<std::string, Place> chosen;
    std::unordered_map<std::string, session::Usage> last;  // as of the call before, of all
    session::Usage others;                                 // counters
    bool any_others = false;
    std::int64_t swapped_s = 0;
  };
  void choose(Kind& kind, std::vector<const session::UsageOf*>& rest, std::int64_t now_s) const;
  void put(Kind& kind, bool sites, const Usages& all, std::int64_t now_s,
           std::vector<metrics::Sample>& out) const;

  std::size_t places_;
  Kind tenants_;
  Kind sites_;
};

}  // namespace berth::gateway
