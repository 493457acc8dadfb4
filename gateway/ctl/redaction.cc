#include "gateway/ctl/redaction.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <utility>

#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

constexpr std::string_view kLeftOut = "(left out)";

bool is_secret(std::string_view member) {
  static constexpr std::array<std::string_view, 13> kWords{
      "password", "passwd",  "secret",  "token",     "authorization", "credential", "private",
      "plate",    "payload", "desired", "signature", "display_name",  "operator"};
  if (member.ends_with("_file") || member.ends_with("_iterations")) return false;  // not it itself
  if (member == "key" || member.ends_with("_key") || member.ends_with(".key")) return true;
  return std::any_of(kWords.begin(), kWords.end(), [member](std::string_view w) {
    return member.find(w) != std::string_view::npos;
  });
}

bool is_name(std::string_view member) {
  static constexpr std::array<std::string_view, 11> kNames{
      "client_id", "device", "account", "user",     "name",     "who",
      "address",   "peer",   "parent",  "executor", "addresses"};
  return std::find(kNames.begin(), kNames.end(), member) != kNames.end();
}

// Where a log-in in a URL begins and ends: "redis://" [user:password] "@".
std::pair<std::size_t, std::size_t> login_in(std::string_view s, std::size_t from) {
  const std::size_t scheme = s.find("://", from);
  if (scheme == std::string_view::npos) return {s.size(), s.size()};
  const std::size_t begin = scheme + 3;
  const std::size_t end = std::min(s.find_first_of(" \t\r\n<>", begin), s.size());
  const std::size_t at = s.substr(0, end).rfind('@');
  if (at == std::string_view::npos || at < begin) return {begin, begin};
  return {begin, at};
}

// A letter or digit at `i`, also a full-width one of Chinese text: its length; 0: something else.
std::size_t alnum_at(std::string_view s, std::size_t i) {
  if (i >= s.size()) return 0;
  if (std::isalnum(static_cast<unsigned char>(s[i])) != 0) return 1;
  if (i + 3 > s.size() || (s.substr(i, 2) != "\xef\xbc" && s.substr(i, 2) != "\xef\xbd")) return 0;
  const auto last = static_cast<unsigned char>(s[i + 2]);
  const bool small = s[i + 1] == '\xbd' && last >= 0x81 && last <= 0x9a;
  const bool other =
      s[i + 1] == '\xbc' && ((last >= 0x90 && last <= 0x99) || (last >= 0xa1 && last <= 0xba));
  return small || other ? 3 : 0;
}

// What people write between the letter and the number.
std::size_t dot_at(std::string_view s, std::size_t i) {
  for (const std::string_view dot :
       {"\xc2\xb7", "\xe2\x80\xa2", "\xe3\x83\xbb", ".", "-", " ", "_"}) {
    if (s.substr(std::min(i, s.size()), dot.size()) == dot) return dot.size();
  }
  return 0;
}

// The length of a Chinese number plate at `i`: a province (or an embassy, the army, the armed
// police), a letter or digit, a dot or two perhaps, four to six letters and digits; 0: none. Other
// countries' plates look like any other word.
std::size_t plate_at(std::string_view s, std::size_t i) {
  static constexpr std::string_view kFirst =
      "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新使领军";
  bool first = false;
  for (std::size_t p = 0; p < kFirst.size() && !first; p += 3)
    first = s.substr(i, 3) == kFirst.substr(p, 3);
  std::size_t at = i + 3;
  const std::size_t letter = first ? alnum_at(s, at) : 0;
  if (letter == 0) return 0;
  at += letter;
  for (int dots = 0; dots < 2; ++dots) at += dot_at(s, at);
  int more = 0;
  for (std::size_t n = 0; more < 6 && (n = alnum_at(s, at)) != 0; ++more) at += n;
  return more >= 4 ? at - i : 0;
}

// An address is the same one with any port: "192.0.2.7:40112", "[2001:db8::7]:40112".
std::string without_port(const std::string& s) {
  const std::size_t colon = s.rfind(':');
  if (colon == std::string::npos || colon + 1 == s.size()) return s;
  const bool port = colon > 0 && s.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  const bool v4 = s.find(':') == colon && s.find('.') < colon;
  return port && (v4 || s[colon - 1] == ']') ? s.substr(0, colon) : s;
}

}  // namespace

Redaction::Redaction(bool anonymous, std::vector<std::string> secrets)
    : anonymous_(anonymous), secrets_(std::move(secrets)) {
  std::erase(secrets_, "");
}

std::string Redaction::text(std::string s) {
  for (std::size_t from = 0; from < s.size();) {
    const auto [begin, end] = login_in(s, from);
    if (begin < end && s.substr(begin, end - begin) != "***") {
      s.replace(begin, end - begin, "***");
      ++replaced_;
      from = begin + 4;
    } else {
      from = std::max(begin, end);
    }
  }
  for (const std::string& secret : secrets_) {
    for (std::size_t at = 0; (at = s.find(secret, at)) != std::string::npos; at += 3) {
      s.replace(at, secret.size(), "***");
      ++replaced_;
    }
  }
  std::string out;
  for (std::size_t i = 0; i < s.size();) {
    const std::size_t plate = static_cast<unsigned char>(s[i]) >= 0xe4 ? plate_at(s, i) : 0;
    out += plate == 0 ? s.substr(i, 1) : "(plate)";
    replaced_ += plate == 0 ? 0 : 1;
    i += plate == 0 ? 1 : plate;
  }
  return out;
}

std::string Redaction::number_of(const std::string& name) {
  ++replaced_;
  const auto [it, fresh] = numbers_.emplace(without_port(name), numbers_.size() + 1);
  return "name-" + std::to_string(it->second);
}

json::value Redaction::cleaned(const json::value& v, bool names) {
  if (v.is_string()) return json::value(text(std::string(v.get_string())));
  if (v.is_array()) {
    json::array out;
    for (const json::value& item : v.get_array()) out.push_back(cleaned(item, names));
    return out;
  }
  if (!v.is_object()) return v;
  json::object out;
  for (const auto& [key, value] : v.get_object()) {
    const bool plain = value.is_number() || value.is_bool() || value.is_null();
    const std::string shown = text(std::string(key));  // a name may be one: usage by site
    if (is_secret(key) && !plain) {
      out[shown] = kLeftOut;
      ++replaced_;
    } else if (names && is_name(key) && value.is_string()) {
      out[shown] = number_of(std::string(value.get_string()));
    } else if (names && is_name(key) && value.is_array()) {
      json::array all;
      for (const json::value& item : value.get_array())
        all.emplace_back(
            number_of(item.is_string() ? std::string(item.get_string()) : json::serialize(item)));
      out[shown] = std::move(all);
    } else {
      out[shown] = cleaned(value, names);
    }
  }
  return out;
}

json::value Redaction::json(const json::value& v) {
  return cleaned(v, false);
}

json::value Redaction::json_of_devices(const json::value& v) {
  return cleaned(v, anonymous_);
}

json::value Redaction::json_of_refused(const json::value& v) {
  json::value out = v;
  if (json::value* items = out.is_object() ? out.get_object().if_contains("items") : nullptr;
      items != nullptr && items->is_array()) {
    for (json::value& item : items->get_array()) {
      if (!item.is_object() || item.get_object().contains("site")) continue;
      for (const char* member : {"name", "client_id"}) {
        if (const std::string name = text_in(item.get_object(), member); !name.empty())
          item.get_object()[member] = number_of(name);
      }
    }
  }
  return cleaned(out, anonymous_);
}

json::object Redaction::event(const json::object& e) {
  json::object out;
  const std::string type = text_in(e, "type");
  for (const char* member : {"at", "type", "site", "device", "cause", "client_id", "address",
                             "protocol", "epoch", "left_out"}) {
    if (const json::value* v = e.if_contains(member)) out[member] = *v;
  }
  // Of a command it is the outcome, a space, and a code that the device has chosen.
  const std::string detail = text_in(e, "detail");
  if (!detail.empty())
    out["detail"] = type == "command" ? detail.substr(0, detail.find(' ')) : detail;
  return cleaned(out, anonymous_).as_object();
}

}  // namespace berth::gateway
