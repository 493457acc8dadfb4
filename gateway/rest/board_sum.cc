#include "gateway/rest/board_sum.h"

#include <algorithm>
#include <boost/json.hpp>

#include "gateway/rest/times.h"
#include "platform/causes.h"
#include "protocol/messages/envelope.pb.h"

namespace berth::gateway::rest {

namespace json = boost::json;
namespace pb = platform::pb;

namespace {

using Lane = pb::BoardAnswer::Lane;

std::string position_of(std::uint32_t state) {
  const int number = static_cast<int>(state);
  return v1::BarrierPosition_Name(v1::BarrierPosition_IsValid(number)
                                      ? static_cast<v1::BarrierPosition>(number)
                                      : v1::BARRIER_UNKNOWN);
}

json::object json_of(const pb::TwinCommand& c) {
  return {
      {"id", c.id()}, {"type", c.type()}, {"state", c.state()}, {"at", text_of_time(c.at_ms())}};
}

// One device may be known in two partitions: by its session, and as the target of commands.
void add(Lane& to, const Lane& more) {
  to.set_online(to.online() || more.online());
  to.set_alarms(to.alarms() + more.alarms());
  if (more.reports() && (!to.reports() || more.reported_ms() > to.reported_ms())) {
    to.set_reports(true);
    to.set_position(more.position());
    to.set_since_ms(more.since_ms());
    to.set_reported_ms(more.reported_ms());
  }
  if (more.has_command() && (!to.has_command() || more.command().at_ms() > to.command().at_ms()))
    *to.mutable_command() = more.command();
}

}  // namespace

json::object json_of(const Lane& lane) {
  json::object o{{"device", lane.device()}, {"online", lane.online()}, {"alarms", lane.alarms()}};
  if (!lane.display_name().empty()) o["display_name"] = lane.display_name();
  if (lane.reports()) {
    o["position"] = position_of(lane.position());
    o["since"] = text_of_time(lane.since_ms());
    if (lane.reported_ms() != 0) o["reported"] = text_of_time(lane.reported_ms());
  }
  if (lane.has_command()) o["command"] = json_of(lane.command());
  return o;
}

json::object json_of(const pb::TwinRecord& twin) {
  json::array parts;
  for (const pb::TwinPart& p : twin.parts()) {
    boost::system::error_code ec;
    json::value body = json::parse(p.body(), ec);
    parts.push_back({{"type", p.type()},
                     {"part", p.part()},
                     {"body", ec ? json::value(json::object()) : std::move(body)},
                     {"since", text_of_time(p.since_ms())},
                     {"reported", text_of_time(std::max(p.reported_ms(), p.since_ms()))}});
  }
  json::object o{{"items", std::move(parts)}};
  if (twin.has_command()) o["command"] = json_of(twin.command());
  return o;
}

pb::BoardQuestion BoardSum::question(std::size_t partition, pb::BoardQuestion base) const {
  const Said& s = said_.at(partition);
  base.set_since(s.version);
  base.set_of(s.of);
  base.set_after(s.after);
  return base;
}

bool BoardSum::take(std::size_t partition, pb::BoardAnswer a) {
  Said& s = said_.at(partition);
  if (!a.whole()) {
    for (Site& site : *a.mutable_sites()) {
      Key key{site.tenant(), site.site()};
      changed_.insert(key);
      s.sites.insert_or_assign(std::move(key), std::move(site));
    }
    s.version = a.version();
    return false;
  }
  // The version is that of the first part: what changes meanwhile is told with the next answer.
  if (s.after.empty()) {
    s.fresh.clear();
    s.version = a.version();
    s.of = a.of();
  }
  for (Site& site : *a.mutable_sites()) {
    Key key{site.tenant(), site.site()};
    s.fresh.insert_or_assign(std::move(key), std::move(site));
  }
  s.after = a.more_after();
  if (!s.after.empty()) return true;
  s.sites = std::move(s.fresh);
  whole_ = true;
  return false;
}

json::object BoardSum::sum(const Key& key) const {
  Site all;
  std::map<std::string, Lane> lanes;
  std::vector<std::uint64_t> offline(platform::kCauses);
  std::vector<std::uint64_t> chargers;
  for (const Said& s : said_) {
    const auto it = s.sites.find(key);
    if (it == s.sites.end()) continue;
    const Site& one = it->second;
    all.set_online(all.online() + one.online());
    all.set_leaving(all.leaving() + one.leaving());
    all.set_alarms(all.alarms() + one.alarms());
    all.set_registered(std::max(all.registered(), one.registered()));
    all.set_reported_ms(std::max(all.reported_ms(), one.reported_ms()));
    if (!one.display_name().empty()) all.set_display_name(one.display_name());
    if (!one.time_zone().empty()) all.set_time_zone(one.time_zone());
    for (int i = 0; i < std::min<int>(one.offline_size(), static_cast<int>(offline.size())); ++i)
      offline[static_cast<std::size_t>(i)] += one.offline(i);
    chargers.resize(std::max<std::size_t>(chargers.size(), one.chargers().size()));
    for (int i = 0; i < one.chargers_size(); ++i)
      chargers[static_cast<std::size_t>(i)] += one.chargers(i);
    for (const Lane& lane : one.lanes()) {
      const auto [at, fresh] = lanes.try_emplace(lane.device(), lane);
      if (!fresh) add(at->second, lane);
    }
  }
  std::uint64_t away = 0;
  json::object causes;
  for (std::size_t i = 0; i < offline.size(); ++i) {
    away += offline[i];
    if (offline[i] != 0) causes[platform::name_of(static_cast<platform::Cause>(i))] = offline[i];
  }
  // A device that came with another client id is known in two partitions.
  const std::uint64_t online = std::min<std::uint64_t>(all.online(), all.registered());
  json::object o{{"tenant", key.first},
                 {"site", key.second},
                 {"registered", all.registered()},
                 {"online", online},
                 {"leaving", std::min<std::uint64_t>(all.leaving(), online)},
                 {"offline", std::min<std::uint64_t>(away, all.registered() - online)},
                 {"causes", std::move(causes)},
                 {"alarms", all.alarms()}};
  if (!all.display_name().empty()) o["display_name"] = all.display_name();
  if (!all.time_zone().empty()) o["time_zone"] = all.time_zone();
  if (all.reported_ms() != 0) o["reported"] = text_of_time(all.reported_ms());
  json::array arms;
  for (const auto& [device, lane] : lanes) arms.push_back(json_of(lane));
  o["lanes"] = std::move(arms);
  json::object by_state;
  for (std::size_t i = 0; i < chargers.size(); ++i) {
    if (chargers[i] != 0)
      by_state[v1::ChargerState_Name(static_cast<v1::ChargerState>(i))] = chargers[i];
  }
  o["chargers"] = std::move(by_state);
  return o;
}

BoardSum::Changes BoardSum::changes() {
  Changes out;
  out.whole = std::exchange(whole_, false);
  std::set<Key> keys = std::exchange(changed_, {});
  if (out.whole) {
    for (const Said& s : said_) {
      for (const auto& [key, site] : s.sites) keys.insert(key);
    }
  }
  for (const Key& key : keys) out.sites.push_back(sum(key));
  return out;
}

}  // namespace berth::gateway::rest
