#include "gateway/ctl/words.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <map>

#include "gateway/ctl/asking.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

using Words = std::map<std::string, const char*>;

std::string found(const Words& words, const std::string& word, const std::string& otherwise) {
  const auto it = words.find(word);
  return it == words.end() ? otherwise : it->second;
}

}  // namespace

std::string meaning_of_cause(const std::string& cause) {
  static const Words kMeanings{
      {"goodbye", "The device said goodbye (DISCONNECT or BYE)."},
      {"keep_alive", "The gateway heard nothing from the device within its Keep Alive."},
      {"connection_lost", "The connection was reset, or closed without a goodbye."},
      {"protocol_error", "The device sent a packet that was malformed or too large."},
      {"slow_consumer", "The device did not read what the gateway sent."},
      {"taken_over", "Another connection used the same client id."},
      {"disabled", "The registry has disabled or removed the device, its site or its tenant."},
      {"policy", "A limit ended the connection."},
      {"operator", "An operator ended the connection (berth ctl kick)."},
      {"quarantine", "The device is in quarantine: what it sent has killed engines."},
      {"gateway", "The gateway ended the connection: a drain, a lost edge, or no engine."},
      {"parent", "The device that it is behind has gone."}};
  return found(kMeanings, cause, cause);
}

std::string meaning_of_evidence(const std::string& evidence, const std::string& cause) {
  // On the link between edge and engine `client` is also an end without DISCONNECT.
  if (evidence == "client" && cause == "connection_lost")
    return meaning_of_evidence("peer_closed", cause);
  static const Words kMeanings{
      {"client", "the edge received DISCONNECT or BYE"},
      {"peer_closed", "the other end closed the connection without DISCONNECT (FIN)"},
      {"peer_reset", "the other end, or a router between, reset the connection (RST)"},
      {"keepalive_timeout", "no byte came until the time had passed"},
      {"handshake_timeout", "the log-in was not complete in time"},
      {"protocol_error", "the edge or the engine could not decode a packet"},
      {"frame_too_large", "a packet was larger than the limit"},
      {"taken_over", "a newer connection with this client id logged in"},
      {"refused", "the log-in was refused"},
      {"drained", "the gateway's process was ended on purpose"},
      {"slow_consumer", "the device's output queue was full"},
      {"policy", "a quota, changed rights, or a decision of an operator"},
      {"engine_absent", "no engine served for too long"},
      {"session_lost", "the engine did not have the session any more"},
      {"poison", "an input of the device killed engines: quarantine"},
      {"tls_failed", "TLS failed"},
      {"cut_off", "a command's packet was not acknowledged by its deadline"}};
  return found(kMeanings, evidence, evidence);
}

std::string advice_for_cause(const std::string& cause) {
  static const Words kAdvice{
      {"keep_alive", "Look at the device's power and at the network between (NAT, mobile radio)."},
      {"connection_lost", "Look at the device's restarts and at the network between."},
      {"protocol_error", "Look at the gateway's log for this client, and at its firmware."},
      {"slow_consumer", "Look at the device's load and at what it subscribes to."},
      {"taken_over", "Look for a second device with the same client id or a copied setting."},
      {"disabled", "Look at its record: berth ctl registry get device NAME --tenant T."},
      {"policy", "The log line of that end says which limit, in reason=."},
      {"operator", "The log has a line \"admin change\" of that moment: it says who."},
      {"quarantine", "Look at berth ctl quarantine; --lift lets the device in again."},
      {"gateway", "Look at berth ctl status and at the gateway's log of that time."}};
  return found(kAdvice, cause, "");
}

std::string advice_for_refusal(const std::string& reason) {
  static const Words kAdvice{
      {"bad user name or password", "Compare the device's user name and password with its record."},
      {"not authorized", "Look at the device's record, and at the listener that it used."},
      {"disabled or in quarantine", "Look at its record, and at berth ctl quarantine."},
      {"too many failed log-ins",
       "Stop the log-ins that fail; one is forgiven after some seconds."},
      {"a limit is reached", "Look at the limits of its tenant and site."}};
  return found(kAdvice, reason, "");
}

json::object object_of(const std::string& text) {
  json::error_code ec;
  const json::value v = json::parse(text, ec);
  return ec || !v.is_object() ? json::object() : v.get_object();
}

std::string text_in(const json::object& o, const char* name) {
  const json::value* v = o.if_contains(name);
  return v == nullptr ? "" : text_of(*v);
}

std::int64_t number_in(const json::object& o, const char* name) {
  const json::value* v = o.if_contains(name);
  return v != nullptr && v->is_int64() ? v->get_int64() : 0;
}

bool is_true(const json::object& o, const char* name) {
  const json::value* v = o.if_contains(name);
  return v != nullptr && v->is_bool() && v->get_bool();
}

json::array list_in(const json::object& o, const char* name) {
  const json::value* v = o.if_contains(name);
  return v != nullptr && v->is_array() ? v->get_array() : json::array();
}

json::object object_in(const json::object& o, const char* name) {
  const json::value* v = o.if_contains(name);
  return v != nullptr && v->is_object() ? v->get_object() : json::object();
}

std::optional<std::int64_t> seconds_of(const std::string& time) {
  std::tm t{};
  const char* const rest = ::strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &t);
  if (rest == nullptr || time.back() != 'Z') return std::nullopt;
  return ::timegm(&t);
}

std::string duration_of(std::int64_t seconds) {
  struct Unit {
    std::int64_t seconds;
    const char* name;
  };
  static constexpr std::array<Unit, 4> kUnits{
      {{86'400, "days"}, {3600, "h"}, {60, "min"}, {1, "s"}}};
  std::string out;
  int left = 2;
  for (const Unit& u : kUnits) {
    const std::int64_t n = seconds / u.seconds;
    if (n == 0 && (out.empty() && u.seconds != 1)) continue;
    if (left-- == 0) break;
    seconds -= n * u.seconds;
    if (n == 0 && !out.empty()) continue;
    const char* const name = u.seconds == 86'400 && n == 1 ? "day" : u.name;
    out += (out.empty() ? "" : " ") + std::to_string(n) + " " + name;
  }
  return out;
}

std::string with_age(const std::string& time, std::int64_t now_s) {
  const auto at = seconds_of(time);
  if (!at) return time;
  const std::string shown = time.substr(0, 10) + " " + time.substr(11, 8) + " UTC";
  return now_s < *at ? shown : shown + ", " + duration_of(now_s - *at) + " ago";
}

}  // namespace berth::gateway
