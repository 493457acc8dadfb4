#include "gateway/ctl/config.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "gateway/ctl/asking.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

json::object parsed(const std::string& text) {
  json::error_code ec;
  const json::value v = json::parse(text, ec);
  return ec || !v.is_object() ? json::object() : v.get_object();
}

json::array list_of(const json::object& o, const char* name) {
  const json::value* v = o.if_contains(name);
  return v != nullptr && v->is_array() ? v->get_array() : json::array();
}

bool is_same_file(const json::value& v) {
  const json::value* state = v.is_object() ? v.get_object().if_contains("state") : nullptr;
  return state != nullptr && state->is_string() && state->get_string() == "same";
}

json::array changed_files(const json::object& o) {
  json::array changed;
  for (const json::value& v : list_of(o, "files")) {
    if (!is_same_file(v)) changed.push_back(v);
  }
  return changed;
}

std::string block(const char* heading, const json::array& list) {
  if (list.empty()) return {};
  std::string out = "\n" + std::string(heading) + "\n";
  if (list.front().is_object()) return out + table_of(list);
  for (const json::value& v : list) out += "  " + text_of(v) + "\n";
  return out;
}

}  // namespace

std::string config_text(const std::string& text) {
  const json::object o = parsed(text);
  if (o.empty()) return without_controls(text, true);
  std::string out = pairs_of(o);
  out += block("wrong", list_of(o, "wrong"));
  out += block("pending restart", list_of(o, "pending_restart"));
  out += block("pending, taken by berth ctl restart-engine", list_of(o, "pending_engine"));
  const json::value* settings = o.if_contains("settings");
  if (settings != nullptr && settings->is_object()) {
    out += "\nsettings\n" + pairs_of(settings->get_object());
  } else {
    out += block("settings", list_of(o, "settings"));
  }
  return out + block("files", changed_files(o));
}

int config_exit_code(const std::string& text) {
  const json::object o = parsed(text);
  if (!list_of(o, "wrong").empty()) return base::kExitConfig;
  const bool reload = o.contains("result");
  const bool waits =
      reload ? !list_of(o, "pending_restart").empty() || !list_of(o, "pending_engine").empty()
             : !list_of(o, "settings").empty() || !changed_files(o).empty();
  return waits ? ConfigVerb::kDiffers : 0;
}

ConfigVerb::ConfigVerb(CLI::App& control) {
  config_ = control.add_subcommand("config", "the configuration in force, and its files");
  config_->require_subcommand(1);
  show_ = config_->add_subcommand("show", "what is in force, without secrets");
  diff_ = config_->add_subcommand(
      "diff",
      "what the files have that is not in force; exit 3 if there is something, 78 if they "
      "are bad");
  reload_ = config_->add_subcommand(
      "reload",
      "read the files now; exit 3 if a key waits for a restart or a new engine, 78 if they are "
      "refused");
}

int ConfigVerb::print(const Ctl& admin, const std::string& method,
                      const std::string& target) const {
  const admin::Response r = ask(admin, method, target);
  const int code = print_answer(admin, r, config_text);
  return code != 0 || *show_ ? code : config_exit_code(r.body);
}

std::optional<int> ConfigVerb::run(const Ctl& admin) const {
  if (*show_) return answered([&] { return print(admin, "GET", "/api/v1/config"); });
  if (*diff_) return answered([&] { return print(admin, "GET", "/api/v1/config/diff"); });
  if (*reload_) return answered([&] { return print(admin, "POST", "/api/v1/config/reload"); });
  return std::nullopt;
}

}  // namespace berth::gateway
