#include "gateway/ctl/config.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

bool is_same_file(const json::value& v) {
  const json::value* state = v.is_object() ? v.get_object().if_contains("state") : nullptr;
  return state != nullptr && state->is_string() && state->get_string() == "same";
}

json::array changed_files(const json::object& o) {
  json::array changed;
  for (const json::value& v : list_in(o, "files")) {
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

// Seconds since 1970 as a time and its age; 0: never.
std::string since_text(std::int64_t at_s, std::int64_t now_s) {
  if (at_s == 0) return "never";
  const std::time_t at = at_s;
  std::tm t{};
  ::gmtime_r(&at, &t);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &t);
  return with_age(text.data(), now_s);
}

std::string text_of_process(const json::object& answer) {
  json::object o = answer;
  for (const auto& [member, shown] : {std::pair("in_force_since_s", "in_force_since"),
                                      std::pair("last_good_look_s", "last_good_look")}) {
    if (o.contains(member)) o[shown] = since_text(number_in(o, member), std::time(nullptr));
    o.erase(member);
  }
  std::string out = pairs_of(o);
  const bool diff = !o.contains("hash") && !o.contains("result");
  if (diff && list_in(o, "wrong").empty() && list_in(o, "settings").empty() &&
      changed_files(o).empty())
    out += "  no difference: what the files have is in force\n";
  out += block("in the file, but a flag or a variable is in force instead", list_in(o, "beaten"));
  out += block("wrong", list_in(o, "wrong"));
  out += block("pending restart", list_in(o, "pending_restart"));
  out += block("pending, taken by berth ctl restart-engine", list_in(o, "pending_engine"));
  const json::value* settings = o.if_contains("settings");
  if (settings != nullptr && settings->is_object()) {
    out += "\nsettings\n" + pairs_of(settings->get_object());
  } else {
    out += block("settings", list_in(o, "settings"));
  }
  return out + block("files", changed_files(o));
}

int exit_code_of_process(const json::object& o) {
  if (!list_in(o, "wrong").empty()) return base::kExitConfig;
  const bool reload = o.contains("result");
  const bool waits =
      reload ? !list_in(o, "pending_restart").empty() || !list_in(o, "pending_engine").empty()
             : !list_in(o, "settings").empty() || !changed_files(o).empty();
  return waits ? ConfigVerb::kDiffers : 0;
}

// What the answer says of the other processes of a cluster, and of those that it does not know of.
std::string text_of_others(const json::object& o) {
  std::string out;
  for (const json::value& v : list_in(o, "engines")) {
    if (!v.is_object()) continue;
    json::object engine = v.get_object();
    out += "\nengine that serves, host " + text_in(engine, "host") + ", pid " +
           text_in(engine, "pid") + "\n";
    for (const char* said : {"host", "pid", "process"}) engine.erase(said);
    out += text_of_process(engine);
  }
  if (const std::int64_t n = number_in(o, "partitions_without_answer"); n != 0)
    out += "\nThe engines of " + std::to_string(n) + " partitions did not answer.\n";
  if (const std::string whom = text_in(o, "not_asked"); !whom.empty())
    out += "\nNot asked: " + whom + ".\n";
  return out;
}

}  // namespace

std::string config_text(const std::string& text) {
  json::object o = object_of(text);
  if (o.empty()) return without_controls(text, true);
  const std::string others = text_of_others(o);
  o.erase("partitions_without_answer");
  o.erase("not_asked");
  return text_of_process(o) + others;
}

int config_exit_code(const std::string& text) {
  const json::object o = object_of(text);
  int code = exit_code_of_process(o);
  for (const json::value& v : list_in(o, "engines")) {
    if (v.is_object()) code = std::max(code, exit_code_of_process(v.get_object()));
  }
  return code;
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
