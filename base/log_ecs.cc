#include "base/log_ecs.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace berth::base {
namespace {

constexpr std::size_t kFieldsMax = 48;

struct Name {
  std::string_view key;
  std::string_view ecs;
  bool number = false;
};
constexpr std::array kNames{
    Name{"user", "user.name"},
    Name{"reason", "event.reason"},
    Name{"why", "event.reason"},
    Name{"code", "event.code"},
    Name{"error", "error.message"},
    Name{"protocol", "network.protocol"},
    Name{"method", "http.request.method"},
    Name{"path", "url.path"},
    Name{"status", "http.response.status_code", true},
    Name{"trace_id", "trace.id"},
    Name{"rx", "client.bytes", true},
    Name{"tx", "server.bytes", true},
    Name{"client", "berth.client_id"},
    Name{"tenant", "berth.tenant"},
    Name{"site", "berth.site"},
    Name{"device", "berth.device"},
    Name{"account", "berth.account"},
    Name{"topic", "berth.topic"},
    Name{"filter", "berth.filter"},
    Name{"conn", "berth.conn"},
    Name{"listener", "berth.listener"},
    Name{"product", "berth.product"},
};

bool in_key(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_number(std::string_view v) {
  return !v.empty() && v.size() <= 18 && (v[0] != '0' || v.size() == 1) &&
         std::all_of(v.begin(), v.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void append(fmt::memory_buffer& out, std::string_view s) {
  out.append(s.data(), s.data() + s.size());
}

// Writes fields, each name once.
class Fields {
 public:
  explicit Fields(fmt::memory_buffer& out) : out_(out) {}
  void add(std::string_view name, std::string_view value, bool number = false) {
    if (value.empty()) return;
    if (number && !is_number(value)) return;
    if (seen_.size() >= kFieldsMax || std::find(seen_.begin(), seen_.end(), name) != seen_.end())
      return;
    seen_.emplace_back(name);
    append(out_, ",\"");
    append(out_, name);
    append(out_, number ? "\":" : "\":\"");
    append_json(out_, value);
    if (!number) append(out_, "\"");
  }

 private:
  fmt::memory_buffer& out_;
  std::vector<std::string> seen_;
};

// "192.0.2.1:80", "[2001:db8::1]:80", without a port
void add_peer(Fields& fields, std::string_view value) {
  std::string_view ip = value;
  const std::size_t colon = value.rfind(':');
  const bool bracketed = value.starts_with('[');
  if (colon != std::string_view::npos && (bracketed || value.find(':') == colon)) {
    fields.add("client.port", value.substr(colon + 1), true);
    ip = value.substr(0, colon);
  }
  if (bracketed && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
  const bool address = std::all_of(ip.begin(), ip.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '.' || c == ':';
  });
  fields.add(address && !ip.empty() ? "client.ip" : "labels.peer", ip);
}

void add_field(Fields& fields, std::string_view key, std::string_view value) {
  if (key == "peer") return add_peer(fields, value);
  const auto known =
      std::find_if(kNames.begin(), kNames.end(), [key](const Name& n) { return n.key == key; });
  if (known != kNames.end()) return fields.add(known->ecs, value, known->number);
  fields.add("labels." + std::string(key), value);
}

// A value from `at` on; `at` is moved behind it.
std::string value_at(std::string_view line, std::size_t& at) {
  std::string value;
  if (at >= line.size() || line[at] != '"') {
    const std::size_t end = std::min(line.find(' ', at), line.size());
    value = line.substr(at, end - at);
    at = end;
    return value;
  }
  for (++at; at < line.size() && line[at] != '"'; ++at) {
    const bool escaped =
        line[at] == '\\' && at + 1 < line.size() && (line[at + 1] == '"' || line[at + 1] == '\\');
    if (escaped) ++at;
    value.push_back(line[at]);
  }
  at = std::min(at + 1, line.size());
  return value;
}

// The first words, up to what is a value or a second clause: "something listens at 192.0.2.1:8080".
std::string action_of(std::string_view words) {
  std::string action;
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    std::string_view word = words.substr(0, end);
    words.remove_prefix(std::min(end + 1, words.size()));
    const bool last = word.ends_with(',') || word.ends_with(':');
    if (last) word.remove_suffix(1);
    const bool plain = std::all_of(word.begin(), word.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || c == '_' || c == '-';
    });
    if (!plain || word.empty()) break;
    if (!action.empty()) action.push_back('-');
    action.append(word);
    if (last) break;
  }
  return action;
}

}  // namespace

void append_json(fmt::memory_buffer& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
}

void append_ecs_fields(fmt::memory_buffer& out, std::string_view line) {
  Fields fields(out);
  bool in_words = true;
  for (std::size_t at = 0; at < line.size();) {
    std::size_t end = at;
    while (end < line.size() && in_key(line[end])) ++end;
    if (end == at || end >= line.size() || line[end] != '=') {  // a word
      at = line.find(' ', at);
      at = at == std::string_view::npos ? line.size() : at + 1;
      continue;
    }
    const std::string_view key = line.substr(at, end - at);
    if (std::exchange(in_words, false)) fields.add("event.action", action_of(line.substr(0, at)));
    at = end + 1;
    add_field(fields, key, value_at(line, at));
    while (at < line.size() && line[at] == ' ') ++at;
  }
  if (in_words) fields.add("event.action", action_of(line));
}

}  // namespace berth::base
