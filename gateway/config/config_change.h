// What differs between two configurations, by key, in words that may be logged and shown. Any
// thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "gateway/config/config.h"

namespace berth::gateway {

struct KeyChange {
  std::string key;
  std::string before;  // redacted
  std::string after;
  bool at_once = false;  // takes effect by a reload; else by a restart of the process
};

std::vector<KeyChange> changes_between(const Config& before, const Config& after);
// Takes over the values of all keys that take effect by a reload, but for those of `without`.
void take_at_once(Config& in_force, const Config& fresh, const std::set<std::string>& without = {});
bool takes_effect_at_once(const std::string& key);

// A value without the password that may be in it.
std::string redacted(const std::string& key, const std::string& value);
struct KeyValue {
  std::string key;
  std::string value;  // redacted
};
std::vector<KeyValue> settings_of(const Config& config);

}  // namespace berth::gateway
