#include "gateway/config/config_change.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "gateway/config/config_key.h"

namespace berth::gateway {
namespace {

constexpr std::array<std::string_view, 1> kAtOnce{"log.level"};

}  // namespace

bool takes_effect_at_once(const std::string& key) {
  return std::find(kAtOnce.begin(), kAtOnce.end(), key) != kAtOnce.end();
}

// redis://user:PASSWORD@host: the only value of a setting that holds a secret itself.
std::string redacted(const std::string& key, const std::string& value) {
  if (key != "store.url") return value;
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
      all.push_back(
          {k.name, redacted(k.name, then), redacted(k.name, now), takes_effect_at_once(k.name)});
  }
  return all;
}

void take_at_once(Config& in_force, const Config& fresh, const std::set<std::string>& without) {
  for (const Key& k : keys()) {
    if (takes_effect_at_once(k.name) && !without.contains(k.name)) k.set(in_force, k.get(fresh));
  }
}

std::vector<KeyValue> settings_of(const Config& config) {
  std::vector<KeyValue> all;
  for (const Key& k : keys()) all.push_back({k.name, redacted(k.name, k.get(config))});
  return all;
}

}  // namespace berth::gateway
