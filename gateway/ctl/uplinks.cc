#include "gateway/ctl/uplinks.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <utility>

#include "base/read_file.h"
#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace {

constexpr const char* kUplinksPath = "/api/v1/uplinks";

const std::vector<std::string> kUplinkColumns{"name",
                                              "kind",
                                              "defined",
                                              "partition",
                                              "connected",
                                              "connections",
                                              "queued",
                                              "lag_s",
                                              "sent",
                                              "dead_letters",
                                              "dead_letters_lost",
                                              "unrouted",
                                              "kept",
                                              "replay_left",
                                              "replayed",
                                              "refused_telemetry",
                                              "refused_events",
                                              "refused_plates_and_results",
                                              "expired",
                                              "unsendable",
                                              "refused_by_platform",
                                              "failures",
                                              "error"};

}  // namespace

UplinksVerb::UplinksVerb(CLI::App& control) {
  verb_ = control.add_subcommand("uplinks", "what goes to platforms, and what waits for them");
  verb_->require_subcommand(0, 1);
  const auto add = [this](const char* name, const char* what) {
    CLI::App* const sub = verb_->add_subcommand(name, what);
    sub->add_option("name", name_, "the uplink's name")->required();
    return sub;
  };
  put_ = add("put", "make or change an uplink that stands in no file");
  put_->add_option("file", file_, "its keys as a JSON object (docs/uplinks.md)")->required();
  get_ = add("get", "an uplink that was made so, as JSON");
  forget_ = add("forget",
                "remove an uplink that was made so, or that is not configured any more; with "
                "its queue");
  replay_ = add("replay", "send again what came in a time and is kept (keep_hours)");
  replay_->add_option("--from", from_, "RFC 3339, 2026-11-30T08:00:00+08:00")->required();
  replay_->add_option("--to", to_, "the same")->required();
  stop_replay_ = add("stop-replay", "end the replay that is under way");
  dead_ = add("dead-letters", "messages that the platform has refused for ever");
  send_dead_ = add("send-dead-letters", "send them once more");
  discard_dead_ = add("discard-dead-letters", "remove them");
}

std::string UplinksVerb::path(const char* below) const {
  return std::string(kUplinksPath) + "/" + encoded(name_) + below;
}

int UplinksVerb::put(const Ctl& admin) const {
  admin::Ask q;
  q.method = "PUT";
  q.target = path();
  q.body = base::read_file(file_);
  return print_answer(admin, ask(admin, std::move(q)),
                      [](const std::string& body) { return without_controls(body, true); });
}

int UplinksVerb::list_dead(const Ctl& admin) const {
  return print_answer(admin, ask(admin, "GET", path("/dead-letters")), [](const std::string& body) {
    return table_of(list_in(object_of(body), "items"),
                    {"partition", "id", "at", "topic", "bytes", "why"});
  });
}

int UplinksVerb::list(const Ctl& admin) const {
  return print_answer(admin, ask(admin, "GET", kUplinksPath), [](const std::string& body) {
    return table_of(list_in(object_of(body), "items"), kUplinkColumns);
  });
}

std::optional<int> UplinksVerb::run(const Ctl& admin) const {
  if (*put_) return answered([&] { return put(admin); });
  if (*get_) return ctl(admin, "GET", path());
  if (*forget_) return ctl(admin, "DELETE", path());
  if (*replay_)
    return ctl(admin, "POST", path("/replay?from=") + encoded(from_) + "&to=" + encoded(to_));
  if (*stop_replay_) return ctl(admin, "DELETE", path("/replay"));
  if (*dead_) return answered([&] { return list_dead(admin); });
  if (*send_dead_) return ctl(admin, "POST", path("/dead-letters/send"));
  if (*discard_dead_) return ctl(admin, "DELETE", path("/dead-letters"));
  if (*verb_) return answered([&] { return list(admin); });
  return std::nullopt;
}

}  // namespace berth::gateway
