// One setting: its dotted name, how it is read and how it is said. config_table.cc has them all.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gateway/config/config.h"

namespace berth::gateway {

// Which values a setting takes, for the schema of settings (schema.h). Some take less: set() says.
struct Values {
  enum class Kind : std::uint8_t { text, number, boolean, word, share };
  Kind kind = Kind::text;
  std::uint64_t min = 0;  // of a number
  std::uint64_t max = 0;
  std::vector<std::string> words = {};
};

struct Key {
  std::string name;
  std::function<void(Config&, const std::string&)> set;
  std::function<std::string(const Config&)> get;
  Values values = {};
};
const std::vector<Key>& keys();  // every one

// All throw ConfigError without a location.
std::uint64_t parse_number(const std::string& text, std::uint64_t min, std::uint64_t max);

template <class T>
Key number(std::string name, std::function<T&(Config&)> field, std::uint64_t min,
           std::uint64_t max = std::numeric_limits<T>::max()) {
  return {std::move(name),
          [=](Config& c, const std::string& v) {
            field(c) = static_cast<T>(parse_number(v, min, max));
          },
          [=](const Config& c) { return std::to_string(field(const_cast<Config&>(c))); },
          {.kind = Values::Kind::number, .min = min, .max = max}};
}
Key text(std::string name, std::string Config::*field);
Key boolean(std::string name, bool Config::*field);
Key boolean_of(std::string name, std::function<bool&(Config&)> field);
Key endpoint(std::string name, std::function<Endpoint&(Config&)> field);
// One of a fixed list of words, by its place in the list.
Key choice(std::string name, const std::vector<std::string>& words,
           const std::function<void(Config&, int)>& set,
           const std::function<int(const Config&)>& get);
Key text_of(std::string name, const std::function<std::string&(Config&)>& field);

}  // namespace berth::gateway
