#include "gateway/ctl/ctl.h"

#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <utility>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

std::string status_table(const std::string& text) {
  json::error_code ec;
  const json::value v = json::parse(text, ec);
  if (ec || !v.is_object()) return without_controls(text, true);
  const json::object& o = v.get_object();
  std::string out = pairs_of(o);
  for (const auto& [name, value] : o) {
    if (value.is_array() && name == "not_ready") {
      for (const json::value& why : value.get_array()) out += "  not ready: " + text_of(why) + "\n";
    } else if (value.is_array()) {
      out += "\n" + text_of(json::string(name)) + "\n" + table_of(value.get_array());
    } else if (value.is_object()) {
      out += "\n" + text_of(json::string(name)) + "\n" + pairs_of(value.get_object());
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

int ctl_table(const Ctl& to, const std::string& target, const char* member,
              const std::vector<std::string>& columns) {
  return answered([&] {
    const admin::Response r = ask(to, "GET", target);
    const bool table = r.status == 200 && !to.json && ::isatty(STDOUT_FILENO) == 1;
    const boost::json::array items = list_in(object_of(r.body), member);
    const std::string text = !table          ? shown(r)
                             : items.empty() ? std::string("none\n")
                                             : table_of(items, columns);
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
