// What differs between two configurations, by key, in words that may be logged and shown. Any
// thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "gateway/config/config.h"

namespace berth::gateway {

// By what a changed value takes effect.
enum class Applies : std::uint8_t {
  reload,  // of the files
  engine,  // a new engine process, while the edge and its connections stay
  restart  // of the process
};

struct KeyChange {
  std::string key;
  std::string before;  // redacted
  std::string after;
  Applies applies = Applies::restart;
};

std::vector<KeyChange> changes_between(const Config& before, const Config& after);
// Takes over the values of all keys that apply by `by`, but for those of `without`.
void take_over(Config& in_force, const Config& fresh, Applies by,
               const std::set<std::string>& without = {});
Applies how_applied(const std::string& key);

// A value without the password that may be in it.
std::string redacted(const std::string& key, const std::string& value);
struct KeyValue {
  std::string key;
  std::string value;  // redacted
};
std::vector<KeyValue> settings_of(const Config& config);

}  // namespace berth::gateway
