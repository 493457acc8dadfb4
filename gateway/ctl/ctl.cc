#include "gateway/ctl/ctl.h"

#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

// A file, or a program behind a pipe, gets the bytes: an export is read again.
std::string as_it_is(const std::string& body) {
  return ::isatty(STDOUT_FILENO) == 1 ? without_controls(body, true) : body;
}

}  // namespace

bool Ctl::as_json() const {
  return json || (!table && ::isatty(STDOUT_FILENO) != 1);
}

void take_output_of_environment(Ctl& to) {
  const char* const value = std::getenv("BERTH_CTL_OUTPUT");
  if (value == nullptr || *value == '\0' || to.json || to.table) return;
  const std::string wanted = value;
  to.json = wanted == "json";
  to.table = wanted == "table";
  if (!to.json && !to.table)
    std::fprintf(stderr, "berth ctl: warning: BERTH_CTL_OUTPUT is neither table nor json\n");
}

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
  return answered([&] { return print_answer(to, ask(to, method, target), as_it_is); });
}

int ctl_table(const Ctl& to, const std::string& target, const char* member,
              const std::vector<std::string>& columns) {
  return answered([&] {
    return print_answer(to, ask(to, "GET", target), [&](const std::string& body) {
      const json::array items = list_in(object_of(body), member);
      return items.empty() ? std::string("none\n") : table_of(items, columns);
    });
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
    return print_answer(to, ask(to, std::move(what)), as_it_is);
  });
}

int ctl_status(const Ctl& to) {
  return answered([&] { return print_answer(to, ask(to, "GET", "/api/v1/status"), status_table); });
}

}  // namespace berth::gateway
