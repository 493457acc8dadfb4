#include "gateway/ctl/uplinks.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace {

constexpr const char* kUplinksPath = "/api/v1/uplinks";

}  // namespace

UplinksVerb::UplinksVerb(CLI::App& control) {
  verb_ = control.add_subcommand("uplinks", "what goes to platforms, and what waits for them");
  verb_->add_flag("--json", json_, "as JSON; so too where the output is no terminal");
  verb_->require_subcommand(0, 1);
  forget_ = verb_->add_subcommand("forget",
                                  "remove the queue of an uplink that is not configured any more");
  forget_->add_option("name", name_, "its name")->required();
}

int UplinksVerb::list(const Ctl& admin) const {
  const admin::Response r = ask(admin, "GET", kUplinksPath);
  const bool table = r.status == 200 && !json_ && ::isatty(STDOUT_FILENO) == 1;
  const std::string text =
      table ? table_of(list_in(object_of(r.body), "items"),
                       {"name", "partition", "connected", "connections", "queued", "lag_s", "sent",
                        "refused_telemetry", "refused_events", "refused_plates_and_results",
                        "expired", "unsendable", "refused_by_platform", "failures", "error"})
            : shown(r);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return exit_code(r);
}

std::optional<int> UplinksVerb::run(const Ctl& admin) const {
  if (*forget_) return ctl(admin, "DELETE", std::string(kUplinksPath) + "/" + encoded(name_));
  if (*verb_) return answered([&] { return list(admin); });
  return std::nullopt;
}

}  // namespace berth::gateway
