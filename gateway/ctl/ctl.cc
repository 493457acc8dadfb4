#include "gateway/ctl/ctl.h"

#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "base/exit_codes.h"
#include "gateway/admin/guard.h"
#include "gateway/admin/http_client.h"
#include "gateway/admin/token_file.h"
#include "gateway/config/config.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

admin::Response ask(const Ctl& to, admin::Ask ask) {
  const Endpoint at = parse_endpoint(to.admin);
  ask.host = at.host.empty() || at.host == "0.0.0.0" ? "127.0.0.1" : at.host;
  ask.port = at.port;
  ask.limit = std::chrono::seconds(to.timeout_s);
  if (!to.token_file.empty()) {
    ask.token = admin::TokenFile::read(to.token_file).current();
    return admin::http_request(ask);
  }
  std::string other_user;
  if (admin::is_loopback_name(ask.host)) {
    try {
      ask.local = true;
      return admin::http_request(ask);
    } catch (const admin::OtherUser& e) {
      other_user = e.what();
    } catch (const admin::Unreachable&) {  // an older one, or its name is taken: over TCP
    }
    ask.local = false;
  }
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

// For people: of an error of the API its message.
std::string shown(const admin::Response& r) {
  if (r.status < 400) return r.body;
  json::error_code ec;
  const json::value v = json::parse(r.body, ec);
  const json::value* message = ec ? nullptr : v.find_pointer("/detail", ec);
  if (message == nullptr || !message->is_string()) return r.body;
  return std::string(message->get_string()) + "\n";
}

int exit_code(const admin::Response& r) {
  if (r.status == 401)
    std::fputs(
        "berth ctl: run it on the gateway's host as the gateway's user, or give the file with its "
        "token: --token-file (the gateway's log says which)\n",
        stderr);
  return r.status / 100 == 2 ? 0 : 1;
}

template <class F>
int answered(F f) {
  try {
    return f();
  } catch (const ConfigError&) {
    throw;
  } catch (const std::runtime_error& e) {
    std::fprintf(stderr, "berth ctl: %s\n", e.what());
    return base::kExitUnavailable;
  }
}

std::string text_of(const json::value& v) {
  return v.is_string() ? std::string(v.get_string()) : json::serialize(v);
}

// Rows of the same width; the first has the headings.
std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i)
      line += " " + row[i] + std::string(widths[i] - row[i].size(), ' ') + " ";
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
      if (rows.size() == 1) rows[0].emplace_back(name);
    }
    std::vector<std::string> row;
    for (const auto& [name, value] : item.get_object()) row.push_back(text_of(value));
    rows.push_back(std::move(row));
  }
  return rows.size() == 1 ? "  none\n" : aligned(rows);
}

std::string pairs_of(const json::object& o) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : o) {
    if (!value.is_structured()) rows.push_back({std::string(name), text_of(value)});
  }
  return aligned(rows);
}

}  // namespace

std::string status_table(const std::string& text) {
  json::error_code ec;
  const json::value v = json::parse(text, ec);
  if (ec || !v.is_object()) return text;
  const json::object& o = v.get_object();
  std::string out = pairs_of(o);
  for (const auto& [name, value] : o) {
    if (value.is_array() && name == "not_ready") {
      for (const json::value& why : value.get_array()) out += "  not ready: " + text_of(why) + "\n";
    } else if (value.is_array()) {
      out += "\n" + std::string(name) + "\n" + table_of(value.get_array());
    } else if (value.is_object()) {
      out += "\n" + std::string(name) + "\n" + pairs_of(value.get_object());
    }
  }
  return out;
}

int ctl(const Ctl& to, const std::string& method, const std::string& target) {
  return answered([&] {
    const admin::Response r = ask(to, method, target);
    const std::string text = shown(r);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return exit_code(r);
  });
}

int ctl_import(const Ctl& to, const std::string& path, bool replace) {
  return answered([&] {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error(path + ": can't be read");
    admin::Ask what;
    what.method = "POST";
    what.target = std::string("/api/v1/registry/import") + (replace ? "?replace=true" : "");
    what.body.assign(std::istreambuf_iterator<char>(in), {});
    what.media_type = path.ends_with(".csv") ? "text/csv" : "application/yaml";
    const admin::Response r = ask(to, std::move(what));
    std::fwrite(r.body.data(), 1, r.body.size(), stdout);
    return exit_code(r);
  });
}

int ctl_status(const Ctl& to) {
  return answered([&] {
    const admin::Response r = ask(to, "GET", "/api/v1/status");
    const bool table = r.status == 200 && !to.json && ::isatty(STDOUT_FILENO) == 1;
    const std::string text = table ? status_table(r.body) : shown(r);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return exit_code(r);
  });
}

}  // namespace berth::gateway
