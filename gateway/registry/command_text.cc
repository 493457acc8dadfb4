#include "gateway/registry/command_text.h"

#include <boost/json.hpp>
#include <optional>

#include "gateway/registry/bad_profile.h"
#include "gateway/registry/password_hash.h"

namespace berth::gateway::registry {

namespace json = boost::json;

namespace {

constexpr std::string_view kOfTopic = "dsci";
constexpr std::string_view kOfPayload = "dscipbtnr%";

std::string pointer_at(std::string_view text, std::size_t open) {
  const std::size_t close = text.find('}', open);
  if (close == std::string_view::npos) throw BadProfile("'%{' without '}'");
  std::string pointer(text.substr(open + 1, close - open - 1));
  if (pointer.empty() || pointer.front() != '/')
    throw BadProfile("'" + pointer + "' in %{} is no JSON pointer");
  return pointer;
}

// Is the end of this JSON inside of a string?
bool ends_in_string(std::string_view text) {
  bool inside = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      inside = !inside;
    }
  }
  return inside;
}

// What stands at the pointer, as text; `bare`: a string is none. Nothing: nothing does, or no
// single value.
std::optional<std::string> value_at(std::string_view payload, const std::string& pointer,
                                    bool bare) {
  json::error_code ec;
  const json::value v = json::parse(payload, ec);
  if (ec) return std::nullopt;
  const json::value* at = v.find_pointer(pointer, ec);
  if (at == nullptr || at->is_null() || at->is_structured()) return std::nullopt;
  if (at->is_string() && bare) return std::nullopt;
  return at->is_string() ? std::string(at->get_string()) : json::serialize(*at);
}

}  // namespace

CommandText::CommandText(std::string_view text, Marks marks) {
  const std::string_view known = marks == Marks::all ? kOfPayload : kOfTopic;
  const bool is_json = text.starts_with('{') || text.starts_with('[');
  std::string plain;
  const auto end_plain = [&] {
    if (!plain.empty()) parts_.push_back({0, std::move(plain)});
    plain.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '%' && i + 1 < text.size() ? text[i + 1] : '\0';
    const bool pointer = next == '{' && marks == Marks::all;
    if (!pointer && (next == '\0' || known.find(next) == std::string_view::npos)) {
      plain.push_back(text[i]);
      continue;
    }
    end_plain();
    parts_.push_back({next, pointer ? pointer_at(text, i + 1) : std::string()});
    parts_.back().bare = pointer && is_json && !ends_in_string(text.substr(0, i));
    i += pointer ? parts_.back().text.size() + 2 : 1;
  }
  end_plain();
}

bool CommandText::put(const Part& p, const CommandFill& fill, const How& how, std::string& out,
                      std::string& why) const {
  switch (p.mark) {
    case 0:
      out += p.text;
      return true;
    case 'd':
      out += fill.device;
      return true;
    case 's':
      out += fill.site;
      return true;
    case 'c':
      out += fill.child;
      return true;
    case 'i':
      out += json_inside(fill.id);
      return true;
    case 'p':
      out += json_inside(fill.payload);
      return true;
    case 't':
      out += std::to_string(fill.wall_ms / 1000);
      return true;
    case 'n':
      out += std::to_string(fill.deadline_unix_ms);
      return true;
    case 'r':
      out += std::to_string(fill.ttl_ms);
      return true;
    case '%':
      out += '%';
      return true;
    default:
      break;
  }
  if (p.mark == 'b') {
    const auto bytes = how.charset == base::Charset::utf8
                           ? std::optional(std::string(fill.payload))
                           : base::from_utf8(how.charset, fill.payload);
    if (!bytes) why = "the payload has a character that the device's charset lacks";
    if (bytes) out += encode_base64(*bytes);
    return bytes.has_value();
  }
  const bool mapped = how.values != nullptr && !how.values->empty();
  std::optional<std::string> value = value_at(fill.payload, p.text, p.bare && !mapped);
  if (!value)
    why = "the payload is no JSON with a " + std::string(p.bare ? "number" : "value") + " at " +
          p.text;
  if (!value) return false;
  if (mapped) {
    const auto known = how.values->find(*value);
    if (known == how.values->end())
      why = "the value at " + p.text + " is none that the device knows";
    if (known == how.values->end()) return false;
    value = known->second;
  }
  out += json_inside(*value);
  return true;
}

bool CommandText::fill(const CommandFill& fill, const How& how, std::string& out,
                       std::string& why) const {
  out.clear();
  for (const Part& p : parts_) {
    if (!put(p, fill, how, out, why)) return false;
    if (out.size() <= kFilledMax) continue;
    why = "in the device's words the command has more than 1 MiB";
    return false;
  }
  return true;
}

std::string filter_of_pattern(std::string_view pattern) {
  std::string filter;
  while (true) {
    const std::size_t end = std::min(pattern.find('/'), pattern.size());
    const std::string_view level = pattern.substr(0, end);
    filter.append(level.find('%') == std::string_view::npos ? level : "+");
    if (end == pattern.size()) return filter;
    filter.push_back('/');
    pattern.remove_prefix(end + 1);
  }
}

std::string json_inside(std::string_view text) {
  const std::string quoted = json::serialize(json::string_view(text.data(), text.size()));
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace berth::gateway::registry
