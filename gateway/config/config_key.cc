#include "gateway/config/config_key.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace berth::gateway {
namespace {

bool parse_bool(const std::string& text) {
  if (text == "true" || text == "yes" || text == "on" || text == "1") return true;
  if (text == "false" || text == "no" || text == "off" || text == "0") return false;
  throw ConfigError("'" + text + "' is neither true nor false");
}

std::string format_endpoint(const Endpoint& e) {
  const bool v6 = e.host.find(':') != std::string::npos;
  return (v6 ? "[" + e.host + "]" : e.host) + ":" + std::to_string(e.port);
}

}  // namespace

std::uint64_t parse_number(const std::string& text, std::uint64_t min, std::uint64_t max) {
  std::uint64_t v = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (ec != std::errc() || end != text.data() + text.size() || v < min || v > max) {
    throw ConfigError("'" + text + "' is not a number from " + std::to_string(min) + " to " +
                      std::to_string(max));
  }
  return v;
}

Key text(std::string name, std::string Config::*field) {
  return {std::move(name), [=](Config& c, const std::string& v) { c.*field = v; },
          [=](const Config& c) { return c.*field; }};
}
Key boolean(std::string name, bool Config::*field) {
  return {std::move(name),
          [=](Config& c, const std::string& v) { c.*field = parse_bool(v); },
          [=](const Config& c) { return std::string(c.*field ? "true" : "false"); },
          {.kind = Values::Kind::boolean}};
}
Key boolean_of(std::string name, std::function<bool&(Config&)> field) {
  return {std::move(name),
          [=](Config& c, const std::string& v) { field(c) = parse_bool(v); },
          [=](const Config& c) {
            return std::string(field(const_cast<Config&>(c)) ? "true" : "false");
          },
          {.kind = Values::Kind::boolean}};
}
Key endpoint(std::string name, std::function<Endpoint&(Config&)> field) {
  return {std::move(name), [=](Config& c, const std::string& v) { field(c) = parse_endpoint(v); },
          [=](const Config& c) { return format_endpoint(field(const_cast<Config&>(c))); }};
}
Key choice(std::string name, const std::vector<std::string>& words,
           const std::function<void(Config&, int)>& set,
           const std::function<int(const Config&)>& get) {
  return {std::move(name),
          [=](Config& c, const std::string& v) {
            const auto it = std::find(words.begin(), words.end(), v);
            if (it == words.end()) {
              std::string all;
              for (const auto& w : words) all += (all.empty() ? "" : ", ") + w;
              throw ConfigError("'" + v + "' is not one of: " + all);
            }
            set(c, static_cast<int>(it - words.begin()));
          },
          [=](const Config& c) { return words[static_cast<std::size_t>(get(c))]; },
          {.kind = Values::Kind::word, .words = words}};
}
Key text_of(std::string name, const std::function<std::string&(Config&)>& field) {
  return {std::move(name), [=](Config& c, const std::string& v) { field(c) = v; },
          [=](const Config& c) { return field(const_cast<Config&>(c)); }};
}

}  // namespace berth::gateway
