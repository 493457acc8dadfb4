#include "platform/traffic.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <string_view>
#include <utility>

#include "platform/insights.h"
#include "platform/insights.pb.h"
#include "platform/records.h"

namespace berth::platform {

namespace {

constexpr std::size_t kOffered = 512;           // connections, of one call
constexpr std::size_t kOfferedOfOne = 16;       // of these, of one tenant
constexpr std::uint32_t kSlotsPassed = 65'536;  // that are empty, of one call

}  // namespace

void Traffic::tick(At at) {
  if (full_) {
    look_again(at);
  } else {
    look(at);
  }
  if (const std::int64_t minute = at.now.ms / 60'000; minute != minute_) {
    minute_ = minute;
    this->minute(at);
  }
}

// Goes on where the last window has ended. One round of all slots ends a window too.
void Traffic::look(At at) {
  const auto links = static_cast<std::uint32_t>(core_.connections.edges().size());
  std::size_t n = 0;
  for (std::uint32_t passed = 0; n < kLooksAtOnce && passed < kSlotsPassed;) {
    if (looks_.size() == kLooks || link_ >= links) {
      full_ = true;
      if (link_ >= links) link_ = slot_ = 0;
      return;
    }
    const auto& slots = core_.connections.of_link(link_);
    if (slot_ >= slots.size()) {
      ++link_;
      slot_ = 0;
      continue;
    }
    ++passed;
    const session::Channel* ch = slots[slot_++].get();
    if (ch == nullptr || !ch->live() || ch->session == nullptr || ch->session->peer != 0) continue;
    looks_.push_back({ch->conn, ch->in_off, at.now.ms});
    if (ch->session->flow().queued >= kDeep && deep_.size() < kDeepTold)
      deep_.push_back(ch->session->id);
    ++n;
  }
}

void Traffic::look_again(At at) {
  struct Seen {
    std::uint64_t bytes_per_s;
    const session::Session* session;
  };
  std::vector<Seen> seen;
  for (std::size_t n = 0; n < kLooksAtOnce && again_ < looks_.size(); ++n) {
    const Look& l = looks_[again_];
    const std::int64_t ms = at.now.ms - l.at_ms;
    if (ms < kWindow_ms) return;
    ++again_;
    const session::Channel* ch = core_.connections.find(l.conn);
    if (ch == nullptr || ch->session == nullptr || ch->in_off <= l.in_off) continue;
    const std::uint64_t rate = (ch->in_off - l.in_off) * 1000 / static_cast<std::uint64_t>(ms);
    if (rate != 0) seen.push_back({rate, ch->session});
  }
  std::sort(seen.begin(), seen.end(),
            [](const Seen& a, const Seen& b) { return a.bytes_per_s > b.bytes_per_s; });
  boost::unordered_flat_map<std::string_view, std::size_t> of_tenant;
  std::size_t offered = 0;
  for (const Seen& s : seen) {
    const session::Account* account = s.session->account;
    const std::string_view tenant = account == nullptr ? std::string_view() : account->tenant();
    if (offered == kOffered || of_tenant[tenant]++ >= kOfferedOfOne) continue;
    ++offered;
    const TopList::Place p = place_of(*s.session);
    const auto rate =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(s.bytes_per_s, UINT32_MAX));
    devices_.count(joined(p.is_account ? "a" + p.name : p.name, p.client_id), p, at, rate)
        .second_count = rate;
  }
  if (again_ < looks_.size()) return;
  looks_.clear();
  again_ = 0;
  full_ = false;
}

void Traffic::minute(At at) {
  core_.usage.accounts().each([&](const session::Account& a) {
    if (a.usage.messages == 0) return;
    const std::string key = joined(a.tenant(), a.site());
    auto it = accounts_.find(key);
    if (it == accounts_.end()) {
      if (accounts_.size() == kAccounts) return;
      it = accounts_.emplace(key, Account{.tenant = a.tenant(), .site = a.site()}).first;
    }
    Account& mine = it->second;
    mine.last = (mine.last + 1) % mine.sums.size();
    mine.sums[mine.last] = {a.usage.messages, a.usage.bytes, at.now.ms};
    mine.count = std::min(mine.count + 1, mine.sums.size());
  });
}

void Traffic::answer(const pb::InsightsQuestion& q, At at, std::vector<pb::Insight>& out) const {
  const auto by = static_cast<TrafficBy>(q.by());
  if (by == TrafficBy::device) {
    devices_.each([&](const TopList::Place& p) {
      if (at.wall_ms - p.last_ms > kKeep_ms || !is_asked_for(q, p.tenant, p.site)) return;
      pb::Insight i = insight_of(p);
      i.set_bytes(p.second_count);
      out.push_back(std::move(i));
    });
    return;
  }
  core_.usage.accounts().each([&](const session::Account& a) {
    const bool site = !a.site().empty();
    if (site != (by == TrafficBy::site) || !is_asked_for(q, a.tenant(), a.site())) return;
    const auto it = accounts_.find(joined(a.tenant(), a.site()));
    if (it == accounts_.end()) return;
    const Account& mine = it->second;
    const Sums& first =
        mine.sums[(mine.last + mine.sums.size() + 1 - mine.count) % mine.sums.size()];
    const auto ms =
        static_cast<std::uint64_t>(std::max<std::int64_t>(at.now.ms - first.at_ms, 1000));
    pb::Insight i;
    i.set_tenant(a.tenant());
    i.set_site(a.site());
    i.set_bytes((a.usage.bytes - first.bytes) * 1000 / ms);
    i.set_messages((a.usage.messages - first.messages) * 1000 / ms);
    if (i.messages() != 0 || i.bytes() != 0) out.push_back(std::move(i));
  });
}

}  // namespace berth::platform
