#include "platform/board.h"

#include <algorithm>

#include "protocol/messages/envelope.pb.h"

namespace berth::platform {

namespace {

constexpr std::string_view kTwins{"!b\0", 3};

std::pair<std::string_view, std::string_view> names_of(std::string_view key) {
  key.remove_prefix(kTwins.size());
  const std::size_t end = key.find('\0');
  return {key.substr(0, end), key.substr(end + 1)};
}

}  // namespace

bool Board::is_key(std::string_view key) {
  return key.starts_with(kTwins) && key.find('\0', kTwins.size()) != std::string_view::npos;
}

void Board::restored(std::string_view key, std::string_view record) {
  pb::TwinRecord t;
  if (!t.ParseFromArray(record.data(), static_cast<int>(record.size()))) return;
  const auto [tenant, device] = names_of(key);
  if (pb::TwinRecord* const there = twin_of(tenant, t.site(), device)) *there = std::move(t);
}

void Board::forget(std::string_view key) {
  const auto [tenant, device] = names_of(key);
  const auto it = standing_.find(joined(tenant, device));
  if (it == standing_.end()) return;
  Site& s = sites_[it->second];
  if (const auto twin = s.twins.find(device); twin != s.twins.end()) s.twins.erase(twin);
  standing_.erase(it);
  touch(s);
}

Board::Place Board::place_of(std::string_view tenant, std::string_view site) {
  if (tenant.empty()) return 0;
  if (sites_.size() > kSitesMax) {
    const auto there = places_.find(joined(tenant, site));
    return there == places_.end() ? 0 : there->second;
  }
  const auto [it, fresh] =
      places_.try_emplace(joined(tenant, site), static_cast<Place>(sites_.size()));
  if (fresh) sites_.push_back({.tenant = std::string(tenant), .site = std::string(site)});
  return it->second;
}

void Board::count(Place p, bool online, Cause cause, int n) {
  if (p == 0) return;
  Site& s = sites_[p];
  std::uint32_t& counted = online ? s.online : s.offline[static_cast<std::size_t>(cause)];
  counted += static_cast<std::uint32_t>(n);
  touch(s);
}

void Board::count_leaving(Place p, int n) {
  if (p == 0) return;
  sites_[p].leaving += static_cast<std::uint32_t>(n);
  touch(sites_[p]);
}

// Null: there are too many. A device that is at another site now leaves the one before.
pb::TwinRecord* Board::twin_of(std::string_view tenant, std::string_view site,
                               std::string_view device) {
  const Place p = place_of(tenant, site);
  if (p == 0) return nullptr;
  std::string key = joined(tenant, device);
  const auto it = standing_.find(key);
  if (it == standing_.end() && standing_.size() >= kTwinsMax) {
    ++left_out_;
    return nullptr;
  }
  if (it != standing_.end() && it->second != p) {
    Site& before = sites_[it->second];
    before.twins.erase(std::string(device));
    touch(before);
  }
  standing_.insert_or_assign(std::move(key), p);
  pb::TwinRecord& t = sites_[p].twins[std::string(device)];
  t.set_site(std::string(site));
  return &t;
}

void Board::put(std::string_view tenant, std::string_view device, const pb::TwinRecord& t) {
  records_.unhurried(
      [&] { records_.put(std::string(kTwins) + joined(tenant, device), t.SerializeAsString()); });
}

// False: what is there matters more.
bool Board::make_room(pb::TwinRecord& t, const StateReport& r) {
  auto& parts = *t.mutable_parts();
  const bool alarm = r.type == "alarm";
  int same = 0;
  auto least = parts.end();
  const auto goes_first = [alarm](const pb::TwinPart& a, const pb::TwinPart& b) {
    if (alarm && a.state() != b.state()) return a.state() < b.state();
    return a.since_ms() < b.since_ms();
  };
  for (auto it = parts.begin(); it != parts.end(); ++it) {
    if (it->type() != r.type) continue;
    ++same;
    if (least == parts.end() || goes_first(*it, *least)) least = it;
  }
  if (same < kPartsMax) return true;
  if (alarm && r.state < least->state()) return false;
  parts.erase(least);
  return true;
}

void Board::reported(std::string_view tenant, std::string_view site, std::string_view device,
                     const StateReport& r, std::int64_t wall_ms) {
  pb::TwinRecord* const t = twin_of(tenant, site, device);
  if (t == nullptr) return;
  const std::string_view body = r.body.size() <= kBodyMax ? std::string_view(r.body) : "{}";
  Site& s = sites_[place_of(tenant, site)];
  s.reported_ms = wall_ms;
  auto& parts = *t->mutable_parts();
  auto it = std::find_if(parts.begin(), parts.end(), [&r](const pb::TwinPart& p) {
    return p.type() == r.type && p.part() == r.part;
  });
  if (r.ended && it == parts.end()) return;
  if (r.ended) {
    parts.erase(it);
    touch(s);
    return put(tenant, device, *t);
  }
  if (it == parts.end()) {
    if (!make_room(*t, r)) {
      ++left_out_;
      return;
    }
    pb::TwinPart& fresh = *parts.Add();
    fresh.set_type(r.type);
    fresh.set_part(r.part);
    it = parts.end() - 1;
  } else if (it->state() == r.state && it->body() == body) {
    it->set_reported_ms(wall_ms);
    return;
  }
  if (it->state() != r.state || it->since_ms() == 0) it->set_since_ms(wall_ms);
  it->set_state(r.state);
  it->set_body(std::string(body));
  it->set_reported_ms(wall_ms);
  touch(s);
  put(tenant, device, *t);
}

void Board::commanded(std::string_view tenant, std::string_view site, std::string_view device,
                      const pb::TwinCommand& c, bool final) {
  pb::TwinRecord* const t = twin_of(tenant, site, device);
  if (t == nullptr) return;
  *t->mutable_command() = c;
  touch(sites_[place_of(tenant, site)]);
  if (final) put(tenant, device, *t);
}

void Board::settled(std::string_view tenant, std::string_view device, std::string_view id,
                    std::string_view state) {
  const auto it = standing_.find(joined(tenant, device));
  if (it == standing_.end()) return;
  Site& s = sites_[it->second];
  const auto twin = s.twins.find(device);
  if (twin == s.twins.end() || twin->second.command().id() != id) return;
  twin->second.mutable_command()->set_state(std::string(state));
  touch(s);
  put(tenant, device, twin->second);
}

void Board::removed(std::string_view tenant, std::string_view device) {
  const std::string key = std::string(kTwins) + joined(tenant, device);
  if (!standing_.contains(joined(tenant, device))) return;
  forget(key);
  records_.remove(key);
}

const Board::Site* Board::find(std::string_view tenant, std::string_view site) const {
  const auto it = places_.find(joined(tenant, site));
  return it == places_.end() ? nullptr : &sites_[it->second];
}

std::vector<const Board::Site*> Board::changed(std::uint64_t since) const {
  std::vector<const Site*> all;
  for (const Site& s : sites_) {
    if (s.version > since) all.push_back(&s);
  }
  std::sort(all.begin(), all.end(),
            [](const Site* a, const Site* b) { return a->version < b->version; });
  return all;
}

const pb::TwinRecord* Board::twin(std::string_view tenant, std::string_view device) const {
  const auto it = standing_.find(joined(tenant, device));
  if (it == standing_.end()) return nullptr;
  const Site& s = sites_[it->second];
  const auto t = s.twins.find(device);
  return t == s.twins.end() ? nullptr : &t->second;
}

void Board::fill(const Site& s, pb::BoardAnswer::Site& out) {
  out.set_tenant(s.tenant);
  out.set_site(s.site);
  out.set_online(s.online);
  out.set_leaving(s.leaving);
  for (const std::uint32_t n : s.offline) out.add_offline(n);
  out.set_reported_ms(s.reported_ms);
  std::array<std::uint32_t, v1::ChargerState_ARRAYSIZE> chargers{};
  std::uint32_t alarms = 0;
  for (const auto& [device, t] : s.twins) {
    pb::BoardAnswer::Lane lane;
    for (const pb::TwinPart& p : t.parts()) {
      if (p.type() == "charger" && p.state() < chargers.size()) ++chargers[p.state()];
      if (p.type() == "alarm") lane.set_alarms(lane.alarms() + 1);
      if (p.type() != "barrier" || p.reported_ms() < lane.reported_ms()) continue;
      lane.set_reports(true);
      lane.set_position(p.state());
      lane.set_since_ms(p.since_ms());
      lane.set_reported_ms(p.reported_ms());
    }
    alarms += lane.alarms();
    if (!lane.reports() && !t.has_command()) continue;
    lane.set_device(device);
    if (t.has_command()) *lane.mutable_command() = t.command();
    *out.add_lanes() = std::move(lane);
  }
  for (const std::uint32_t n : chargers) out.add_chargers(n);
  out.set_alarms(alarms);
}

}  // namespace berth::platform
