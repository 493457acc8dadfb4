#include "gateway/config/config_change.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "gateway/config/config_key.h"

namespace berth::gateway {
namespace {

constexpr std::array<std::string_view, 4> kReload{"log.level", "mqtt.accept_per_s",
                                                  "mqtt.connects_per_s_per_address",
                                                  "mqtt.max_connections_per_address"};
// Keys that only an engine reads.
constexpr std::array<std::string_view, 5> kEngineGroups{"session.", "retained.", "commands.",
                                                        "presence.", "history."};
constexpr std::array<std::string_view, 12> kEngine{
    "mqtt.receive_maximum",  "mqtt.max_inflight", "mqtt.topic_alias_maximum",
    "mqtt.keep_alive_max_s", "park.heartbeat_s",  "auth.unbound_proofs",
    "uplinks.max_bytes",     "uplinks.files_dir", "store.durability",
    "store.backups_kept",    "engine.memory_mb",  "sys_interval_s"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& keys, const std::string& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

}  // namespace

Applies how_applied(const std::string& key) {
  if (is_one_of(kReload, key)) return Applies::reload;
  const bool group = std::any_of(kEngineGroups.begin(), kEngineGroups.end(),
                                 [&](std::string_view g) { return key.starts_with(g); });
  return group || is_one_of(kEngine, key) ? Applies::engine : Applies::restart;
}

// redis://user:PASSWORD@host/master?sentinel_password=PASSWORD: the only value of a setting that
// holds secrets itself.
std::string redacted(const std::string& key, const std::string& whole) {
  if (key != "store.url") return whole;
  const std::size_t query =
      whole.find('?', whole.rfind('@') == std::string::npos ? 0 : whole.rfind('@'));
  if (query != std::string::npos) return redacted(key, whole.substr(0, query)) + "?***";
  const std::string& value = whole;
  const std::size_t login = value.find("://");
  const std::size_t end = value.rfind('@');
  if (login == std::string::npos || end == std::string::npos || end < login + 3) return value;
  const std::size_t colon = value.find(':', login + 3);
  if (colon == std::string::npos || colon > end) return value;
  return value.substr(0, colon + 1) + "***" + value.substr(end);
}

std::vector<KeyChange> changes_between(const Config& before, const Config& after) {
  std::vector<KeyChange> all;
  for (const Key& k : keys()) {
    const std::string then = k.get(before);
    const std::string now = k.get(after);
    if (then != now)
      all.push_back({k.name, redacted(k.name, then), redacted(k.name, now), how_applied(k.name)});
  }
  return all;
}

void take_over(Config& in_force, const Config& fresh, Applies by,
               const std::set<std::string>& without) {
  for (const Key& k : keys()) {
    if (how_applied(k.name) == by && !without.contains(k.name)) k.set(in_force, k.get(fresh));
  }
}

std::vector<KeyValue> settings_of(const Config& config) {
  std::vector<KeyValue> all;
  for (const Key& k : keys()) all.push_back({k.name, redacted(k.name, k.get(config))});
  return all;
}

}  // namespace berth::gateway
