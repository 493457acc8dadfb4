#include "gateway/registry/command_json.h"

#include <openssl/sha.h>

#include <array>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>

#include "platform/command.h"

namespace berth::gateway::registry {

namespace json = boost::json;
using platform::pb::CommandRecord;

namespace {

constexpr std::uint32_t kTtlMax_ms = 7 * 86'400'000;
constexpr std::uint32_t kWaitMax_ms = 30'000;

// The members of an object, each asked for once; what is left over is not known.
class Members {
 public:
  Members(const json::object& o, std::string& fault) : left_(o), fault_(fault) {}
  std::string text(const char* name, std::size_t max) {
    const json::value* const v = take(name);
    if (v == nullptr || v->is_null()) return {};
    if (!v->is_string() || v->get_string().size() > max) {
      say(name, "a text of at most " + std::to_string(max) + " bytes");
      return {};
    }
    return std::string(v->get_string());
  }
  std::uint32_t number(const char* name, std::uint32_t max) {
    const json::value* const v = take(name);
    if (v == nullptr || v->is_null()) return 0;
    boost::system::error_code ec;
    const auto n = v->is_number() ? v->to_number<std::int64_t>(ec) : 0;
    if (ec || !v->is_number() || n < 1 || n > max) {
      say(name, "a number of 1 to " + std::to_string(max));
      return 0;
    }
    return static_cast<std::uint32_t>(n);
  }
  std::int64_t time(const char* name) {
    const json::value* const v = take(name);
    if (v == nullptr || v->is_null()) return 0;
    std::int64_t ms = 0;
    if (!v->is_string() || !read_time(v->get_string(), ms)) {
      say(name, "a time as 2026-01-31T08:00:00+08:00");
      return 0;
    }
    return ms;
  }
  json::value any(const char* name) {
    const json::value* const v = take(name);
    return v == nullptr ? json::value() : *v;
  }
  void end() {
    for (const auto& [key, value] : left_) {
      if (used_.contains(std::string(key))) continue;
      return say(std::string(key), "no such member");
    }
  }

 private:
  const json::value* take(const char* name) {
    used_.emplace(name, true);
    return left_.if_contains(name);
  }
  void say(const std::string& name, const std::string& what) {
    if (fault_.empty()) fault_ = name + ": " + what;
  }
  const json::object& left_;
  std::string& fault_;
  std::map<std::string, bool> used_;
};

const char* name_of_state(std::uint32_t state) {
  return platform::name_of(static_cast<platform::State>(state));
}

}  // namespace

std::string time_text(std::int64_t ms) {
  const std::time_t s = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  ::gmtime_r(&s, &utc);
  char text[96];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                static_cast<int>(ms % 1000));
  return text;
}

bool read_time(std::string_view text, std::int64_t& ms) {
  std::tm t{};
  int used = 0;
  const std::string s(text);
  if (std::sscanf(s.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday,
                  &t.tm_hour, &t.tm_min, &t.tm_sec, &used) != 6)
    return false;
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  const bool good = t.tm_mon >= 0 && t.tm_mon < 12 && t.tm_mday >= 1 && t.tm_mday <= 31 &&
                    t.tm_hour >= 0 && t.tm_hour < 24 && t.tm_min >= 0 && t.tm_min < 60 &&
                    t.tm_sec >= 0 && t.tm_sec <= 60;
  if (!good) return false;
  std::string_view rest = std::string_view(s).substr(static_cast<std::size_t>(used));
  std::int64_t fraction = 0;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    std::int64_t unit = 100;
    std::size_t digits = 0;
    for (; digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9'; ++digits) {
      fraction += (rest[digits] - '0') * unit;
      unit /= 10;
    }
    if (digits == 0 || digits > 9) return false;
    rest.remove_prefix(digits);
  }
  std::int64_t zone_s = 0;
  if (rest != "Z" && rest != "z") {
    int hours = 0;
    int minutes = 0;
    if (rest.size() != 6 || (rest[0] != '+' && rest[0] != '-') || rest[3] != ':' ||
        std::sscanf(std::string(rest.substr(1)).c_str(), "%2d:%2d", &hours, &minutes) != 2)
      return false;
    zone_s = (hours * 3600 + minutes * 60) * (rest[0] == '-' ? -1 : 1);
  }
  ms = (static_cast<std::int64_t>(::timegm(&t)) - zone_s) * 1000 + fraction;
  return ms > 0;
}

AskedJson read_command(std::string_view body, std::int64_t wall_ms) {
  AskedJson out;
  json::parse_options options;
  options.max_depth = 16;
  boost::system::error_code ec;
  const json::value v =
      body.empty() ? json::value(json::object()) : json::parse(body, ec, {}, options);
  if (ec || !v.is_object()) {
    out.fault = "the body: a JSON object is expected";
    return out;
  }
  Members m(v.get_object(), out.fault);
  CommandRecord& r = out.record;
  r.set_tenant(m.text("tenant", 64));
  r.set_id(m.text("id", 64));
  r.set_device(m.text("device", 64));
  r.set_executor(m.text("executor", 64));
  r.set_child(m.text("child", 64));
  r.set_type(m.text("type", 64));
  const json::value payload = m.any("payload");
  if (!payload.is_null())
    r.set_payload(payload.is_string() ? std::string(payload.get_string())
                                      : json::serialize(payload));
  r.set_slot(m.text("slot", 64));
  r.set_reason(m.text("reason", 256));
  r.set_lot(m.text("lot", 256));
  r.set_lane(m.text("lane", 256));
  r.set_ttl_ms(m.number("ttl_ms", kTtlMax_ms));
  out.wait_ms = m.number("wait_ms", kWaitMax_ms);
  r.set_issued_ms(m.time("issued_at"));
  const std::int64_t expires_ms = m.time("expires_at");
  const json::value operator_ = m.any("operator");
  if (operator_.is_object()) {
    Members who(operator_.get_object(), out.fault);
    r.set_operator_type(who.text("type", 64));
    r.set_operator_id(who.text("id", 64));
    who.end();
  } else if (!operator_.is_null()) {
    out.fault = "operator: an object with type and id";
  }
  m.end();
  if (!out.fault.empty() || expires_ms == 0) return out;
  if (r.ttl_ms() != 0) {
    out.fault = "expires_at: not together with ttl_ms";
  } else if (expires_ms <= wall_ms) {
    out.fault = "expires_at: it has passed";
  } else {
    r.set_ttl_ms(
        static_cast<std::uint32_t>(std::min<std::int64_t>(expires_ms - wall_ms, kTtlMax_ms)));
  }
  return out;
}

std::string content_of(const CommandRecord& r) {
  std::string all;
  const auto put = [&all](std::string_view field) {
    all.append(std::to_string(field.size())).append(":").append(field);
  };
  for (const std::string* field : {&r.device(), &r.executor(), &r.child(), &r.type(), &r.payload(),
                                   &r.slot(), &r.reason(), &r.operator_id(), &r.operator_type()})
    put(*field);
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  ::SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

json::object command_json(const CommandRecord& r) {
  using platform::Delivery;
  using platform::Outcome;
  const auto outcome = static_cast<Outcome>(r.outcome());
  const bool done = outcome != Outcome::none;
  const std::int64_t end_ms = r.log().empty() ? 0 : r.log(r.log_size() - 1).wall_ms();
  json::object o{{"id", r.id()},
                 {"tenant", r.tenant()},
                 {"site", r.site()},
                 {"device", r.device()},
                 {"executor", r.executor().empty() ? r.device() : r.executor()},
                 {"type", r.type()},
                 {"class", platform::name_of(static_cast<Delivery>(r.delivery()))},
                 {"state", done ? platform::name_of(outcome) : name_of_state(r.state())},
                 {"final", done},
                 {"sent", r.sent_ms() != 0},
                 {"acknowledged", r.was_received()},
                 {"accepted_at", time_text(r.accepted_wall_ms())}};
  // A desired state is kept until another one takes its place.
  const bool has_deadline = r.delivery() != static_cast<std::uint32_t>(Delivery::desired);
  if (has_deadline) o["ttl_ms"] = r.ttl_ms();
  if (has_deadline && r.ttl_ms() != 0 && r.deadline_ms() != 0)
    o["expires_at"] = time_text(r.accepted_wall_ms() + r.ttl_ms());
  if (done) {
    o["outcome"] = platform::name_of(outcome);
    o["finished_at"] = time_text(end_ms);
    o["latency_ms"] = end_ms - r.accepted_wall_ms();
    o["safe_to_retry"] = platform::Command{.outcome = outcome, .code = r.code()}.safe_to_repeat();
  }
  const auto put = [&o](const char* name, const std::string& value) {
    if (!value.empty()) o[name] = value;
  };
  put("display_name", r.display_name());
  put("child", r.child());
  put("code", r.code());
  put("text", r.text());
  put("payload", r.payload());
  put("slot", r.slot());
  put("lot", r.lot());
  put("lane", r.lane());
  put("reason", r.reason());
  put("caller", r.caller());
  put("traceparent", r.trace_parent());
  if (r.issued_ms() != 0) o["issued_at"] = time_text(r.issued_ms());
  if (!r.operator_id().empty() || !r.operator_type().empty())
    o["operator"] = {{"type", r.operator_type()}, {"id", r.operator_id()}};
  json::array log;
  for (const auto& t : r.log()) {
    json::object entry{{"at", time_text(t.wall_ms())}, {"state", name_of_state(t.state())}};
    if (!t.note().empty()) entry["note"] = t.note();
    log.push_back(std::move(entry));
  }
  o["transitions"] = std::move(log);
  if (r.closed_ms() != 0)
    o["closed"] = {
        {"at", time_text(r.closed_ms())}, {"by", r.closed_by()}, {"note", r.closed_note()}};
  if (r.has_late_result()) {
    o["late_result"] = {{"outcome", platform::name_of(static_cast<Outcome>(r.late_outcome()))},
                        {"code", r.late_code()},
                        {"text", r.late_text()}};
  }
  return o;
}

}  // namespace berth::gateway::registry
