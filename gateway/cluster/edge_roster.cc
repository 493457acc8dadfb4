#include "gateway/cluster/edge_roster.h"

#include <algorithm>

#include "base/ids.h"

namespace berth::gateway::cluster {

namespace {
constexpr std::int64_t kMinorityWaits = 700'000'000;
}

std::optional<std::uint32_t> EdgeRoster::number_for(std::uint64_t edge_id) {
  std::optional<std::uint32_t> free;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].used && entries_[i].edge_id == edge_id) return i;
    if (!entries_[i].used && !free) free = i;
  }
  if (!free) {
    if (entries_.size() + 1 >= base::ConnId::kLinksMax) return {};
    entries_.emplace_back();
    free = size() - 1;
  }
  entries_[*free] = Entry{.used = true, .edge_id = edge_id};
  return free;
}

std::size_t EdgeRoster::linked() const {
  return static_cast<std::size_t>(std::count_if(
      entries_.begin(), entries_.end(), [](const Entry& e) { return e.linked && !e.internal; }));
}

bool EdgeRoster::is_linked(std::uint64_t edge_id) const {
  return std::any_of(entries_.begin(), entries_.end(), [edge_id](const Entry& e) {
    return e.used && e.linked && e.edge_id == edge_id;
  });
}

std::size_t EdgeRoster::out_of_reach() const {
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(),
                    [](const Entry& e) { return e.used && !e.linked && !e.internal; }));
}

void EdgeRoster::alive(std::uint32_t number, const protocol::link::Alive& a, std::int64_t now_ns) {
  Entry& e = entries_[number];
  e.alive = a;
  if (!a.nominate) {
    e.nominated_ns = 0;
  } else if (e.nominated_ns == 0) {
    e.nominated_ns = now_ns;
  }
}

bool EdgeRoster::elected(std::int64_t now_ns, std::uint64_t reach, std::uint64_t& lost_term) const {
  std::size_t linked = 0;
  std::size_t asking = 0;
  bool patient = false;
  lost_term = 0;
  for (const Entry& e : entries_) {
    if (!e.linked || e.internal) continue;
    ++linked;
    if (e.nominated_ns == 0) continue;
    ++asking;
    patient = patient || now_ns - e.nominated_ns > kMinorityWaits;
    lost_term = std::max(lost_term, e.alive.lost_term);
  }
  return asking != 0 && (2 * asking > linked || (patient && linked > reach));
}

}  // namespace berth::gateway::cluster
