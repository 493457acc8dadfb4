#include "gateway/ctl/asking.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "gateway/admin/guard.h"
#include "gateway/admin/token_file.h"

namespace berth::gateway {

namespace json = boost::json;

admin::Response ask(const Ctl& to, admin::Ask ask) {
  const Endpoint at = parse_endpoint(to.admin);
  ask.host = at.host.empty() || at.host == "0.0.0.0" ? "127.0.0.1" : at.host;
  ask.port = at.port;
  ask.limit = std::chrono::seconds(to.timeout_s);
  if (!to.socket.empty()) {
    ask.local = true;
    ask.socket = to.socket;
    return admin::http_request(ask);
  }
  if (!to.token_file.empty()) {
    ask.token = admin::TokenFile::read(to.token_file).current();
    return admin::http_request(ask);
  }
  std::string other_user;
  try {  // its address may be this host's, loopback or not
    ask.local = true;
    return admin::http_request(ask);
  } catch (const admin::OtherUser& e) {
    other_user = e.what();
  } catch (const admin::Unreachable&) {  // another host's, or its name is taken: over TCP
  }
  ask.local = false;
  admin::Response r = admin::http_request(ask);
  if (r.status == 401 && !other_user.empty())
    std::fprintf(stderr, "berth ctl: %s\n", other_user.c_str());
  return r;
}

admin::Response ask(const Ctl& to, const std::string& method, const std::string& target) {
  admin::Ask what;
  what.method = method;
  what.target = target;
  return ask(to, std::move(what));
}

std::string encoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      std::array<char, 4> hex{};
      std::snprintf(hex.data(), hex.size(), "%%%02X", byte);
      out += hex.data();
    }
  }
  return out;
}

std::string parameter(const char* name, const std::string& value) {
  return value.empty() ? "" : std::string("&") + name + "=" + encoded(value);
}

std::string shown(const admin::Response& r) {
  if (r.status < 400) return without_controls(r.body, true);
  json::error_code ec;
  const json::value v = json::parse(r.body, ec);
  const json::value* message = ec ? nullptr : v.find_pointer("/detail", ec);
  if (message == nullptr || !message->is_string()) return without_controls(r.body, true);
  return text_of(*message) + "\n";
}

int exit_code(const admin::Response& r) {
  if (r.status == 401)
    std::fputs(
        "berth ctl: run it on the gateway's host as the gateway's user, or give the file with its "
        "token: --token-file (the gateway's log says which)\n",
        stderr);
  return r.status / 100 == 2 ? 0 : 1;
}

int print_refusal(const Ctl& to, const admin::Response& r) {
  json::error_code ec;
  const json::value v = json::parse(r.body, ec);
  if (ec || !v.is_object() ||
      to.as_json())  // a page of text, as that of /readyz, is what was asked for
    std::fwrite(r.body.data(), 1, r.body.size(), stdout);
  else
    std::fprintf(stderr, "berth ctl: %s", shown(r).c_str());
  return exit_code(r);
}

int print_answer(const Ctl& to, const admin::Response& r,
                 const std::function<std::string(const std::string& body)>& text) {
  if (r.status >= 400) return print_refusal(to, r);
  const std::string out = to.as_json() ? r.body : text(r.body);
  std::fwrite(out.data(), 1, out.size(), stdout);
  return exit_code(r);
}

// U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069: what follows is shown in another
// order than it is written. In UTF-8, at `s`; 0: something else.
static std::size_t bidi_mark(std::string_view s) {
  if (s.starts_with("\xd8\x9c")) return 2;
  if (s.size() < 3 || (!s.starts_with("\xe2\x80") && !s.starts_with("\xe2\x81"))) return 0;
  const auto last = static_cast<unsigned char>(s[2]);
  const bool mark = s[1] == '\x80' ? last == 0x8e || last == 0x8f || (last >= 0xaa && last <= 0xae)
                                   : last >= 0xa6 && last <= 0xa9;
  return mark ? 3 : 0;
}

std::string without_controls(std::string text, bool lines) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool c1 =  // U+0080 to U+009F, in UTF-8
        c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if ((c < 0x20 && !(lines && (c == '\n' || c == '\t'))) || c == 0x7f) text[i] = '?';
    if (c1) text[i] = text[i + 1] = '?';
    if (const std::size_t n = bidi_mark(std::string_view(text).substr(i)); n != 0)
      text.replace(i, n, "?");
  }
  return text;
}

// Devices and callers choose some of the words: none of them drives the terminal.
std::string text_of(const json::value& v) {
  return without_controls(v.is_string() ? std::string(v.get_string()) : json::serialize(v), false);
}

namespace {

// Columns that a terminal takes for it: two for each character of Chinese, Japanese or Korean.
std::size_t width_of(const std::string& text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c & 0xc0) == 0x80) continue;  // within a character
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool wide = (c == 0xe1 && next < 0x86 && next >= 0x84) || (c == 0xe2 && next >= 0xba) ||
                      (c >= 0xe3 && c <= 0xed && c != 0xea) ||
                      (c == 0xef && ((next >= 0xa4 && next <= 0xab) || next == 0xbc)) ||
                      (c == 0xea && (next < 0x93 || next >= 0xb0)) || (c == 0xf0 && next >= 0x9f);
    width += wide ? 2 : 1;
  }
  return width;
}

}  // namespace

std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i)
      line += " " + row[i] + std::string(widths[i] - width_of(row[i]), ' ') + " ";
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string table_of(const json::array& list) {
  std::vector<std::vector<std::string>> rows(1);
  for (const json::value& item : list) {
    if (!item.is_object()) continue;
    for (const auto& [name, value] : item.get_object()) {
      if (rows.size() == 1) rows[0].push_back(text_of(json::string(name)));
    }
    std::vector<std::string> row;
    for (const auto& [name, value] : item.get_object()) row.push_back(text_of(value));
    rows.push_back(std::move(row));
  }
  return rows.size() == 1 ? "  none\n" : aligned(rows);
}

std::string table_of(const json::array& list, const std::vector<std::string>& columns) {
  if (list.empty()) return "  none\n";
  std::vector<std::vector<std::string>> rows{columns};
  for (const json::value& v : list) {
    if (!v.is_object()) continue;
    std::vector<std::string> row;
    for (const std::string& column : columns) {
      const json::value* value = v.get_object().if_contains(column);
      row.push_back(value == nullptr ? "" : text_of(*value));
    }
    rows.push_back(std::move(row));
  }
  return aligned(rows);
}

std::string pairs_of(const json::object& o) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : o) {
    if (!value.is_structured()) rows.push_back({text_of(json::string(name)), text_of(value)});
  }
  return aligned(rows);
}

}  // namespace berth::gateway
