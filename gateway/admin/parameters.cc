#include "gateway/admin/parameters.h"

#include <charconv>
#include <optional>

namespace berth::gateway::admin {
namespace {

std::optional<bool> read_flag(const std::string& text) {
  if (text == "true" || text == "1" || text == "yes") return true;
  if (text == "false" || text == "0" || text == "no") return false;
  return std::nullopt;
}

std::optional<std::size_t> read_number(const std::string& text) {
  std::size_t n = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

}  // namespace

std::string fault_of(const Request& r, const Parameters& known) {
  if (!r.repeated.empty()) return "parameter '" + r.repeated + "' twice";
  for (const auto& [name, value] : r.query) {
    const auto it = known.find(name);
    if (it == known.end()) return "unknown parameter '" + name + "'";
    const Parameter& p = it->second;
    if (p.kind == Parameter::Kind::flag && !read_flag(value))
      return "parameter '" + name + "' is true or false, not '" + value + "'";
    if (p.kind != Parameter::Kind::number) continue;
    const std::optional<std::size_t> n = read_number(value);
    if (!n || *n == 0 || *n > p.max)
      return "parameter '" + name + "' is 1 to " + std::to_string(p.max) + ", not '" + value + "'";
  }
  return {};
}

bool flag(const Request& r, const std::string& name) {
  return read_flag(r.parameter(name)).value_or(false);
}

std::size_t number(const Request& r, const std::string& name, std::size_t otherwise) {
  return read_number(r.parameter(name)).value_or(otherwise);
}

}  // namespace berth::gateway::admin
