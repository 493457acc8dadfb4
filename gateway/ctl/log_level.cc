#include "gateway/ctl/log_level.h"

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "base/log_levels.h"
#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

std::string log_levels_text(const std::string& text) {
  const json::object o = object_of(text);
  std::string out = "log.level " + text_in(o, "level") + "\n";
  if (const json::array modules = list_in(o, "modules"); !modules.empty())
    out += "\n" + table_of(modules, {"module", "level", "ends_in_s"});
  if (const std::int64_t n = number_in(o, "partitions_without_answer"); n != 0)
    out += "\nThe engines of " + std::to_string(n) +
           " partitions did not answer: their level is as it was.\n";
  if (const std::string whom = text_in(o, "not_asked"); !whom.empty())
    out += "\nIn force in this process and in the engines that serve. Not asked: " + whom + ".\n";
  return out;
}

LogLevelVerb::LogLevelVerb(CLI::App& control) {
  verb_ = control.add_subcommand(
      "log-level", "the levels of the log, or another level of a module for a limited time");
  std::vector<std::string> modules{std::string(base::kAllModules)};
  modules.insert(modules.end(), base::kLogModules.begin(), base::kLogModules.end());
  CLI::Option* const module =
      verb_->add_option("module", module_, "of what; all: of each without a level of its own")
          ->check(CLI::IsMember(modules));
  CLI::Option* const level =
      verb_->add_option("level", level_, "trace, debug, info, warn, error")
          ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}));
  verb_->add_option("--for", for_s_, "seconds [600]; then the level of log.level is back")
      ->check(CLI::Range(1, 86'400));
  verb_->add_flag("--end", end_, "the level of log.level is back now")
      ->needs(module)
      ->excludes(level);
}

int LogLevelVerb::change(const Ctl& admin) const {
  constexpr const char* kTarget = "/api/v1/log-level";
  admin::Ask q;
  q.target = kTarget;
  if (end_) {
    q.method = "DELETE";
    q.target += "?module=" + encoded(module_);
  } else if (!module_.empty()) {
    if (level_.empty()) {
      std::fputs("berth ctl: which level? trace, debug, info, warn, error; or --end\n", stderr);
      return base::kExitUsage;
    }
    q.method = "PUT";
    q.body =
        json::serialize(json::object{{"module", module_}, {"level", level_}, {"for_s", for_s_}});
  }
  return print_answer(admin, ask(admin, q), log_levels_text);
}

std::optional<int> LogLevelVerb::run(const Ctl& admin) const {
  if (!*verb_) return std::nullopt;
  return answered([&] { return change(admin); });
}

}  // namespace berth::gateway
