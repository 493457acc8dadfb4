#include "gateway/ctl/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/random_id.h"
#include "gateway/ctl/asking.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

constexpr const char* kPath = "/api/v1/commands";
constexpr std::uint32_t kAnswerS = 10;  // beside what the server waits for

bool succeeded(const std::string& body) {
  json::error_code ec;
  const json::value v = json::parse(body, ec);
  const json::value* outcome = ec ? nullptr : v.find_pointer("/outcome", ec);
  return outcome != nullptr && outcome->is_string() && outcome->get_string() == "SUCCEEDED";
}

}  // namespace

std::string commands_table(const std::string& text) {
  static const std::vector<std::string> kCommands{"accepted_at", "id",   "device",     "type",
                                                  "state",       "code", "latency_ms", "reason"};
  static const std::vector<std::string> kTransitions{"at", "state", "note"};
  json::error_code ec;
  const json::value v = json::parse(text, ec);
  if (ec || !v.is_object()) return without_controls(text, true);
  const json::object& o = v.get_object();
  if (const json::value* list = o.if_contains("commands"); list != nullptr && list->is_array()) {
    const json::value* next = o.if_contains("next");
    return table_of(list->get_array(), kCommands) +
           (next == nullptr ? "" : "\nolder ones: --cursor " + text_of(*next) + "\n");
  }
  std::string out = pairs_of(o);
  for (const auto& [name, value] : o) {
    if (value.is_object())
      out += "\n" + std::string(name) + "\n" + pairs_of(value.get_object());
    else if (value.is_array())
      out += "\n" + std::string(name) + "\n" + table_of(value.get_array(), kTransitions);
  }
  return out;
}

CommandsVerb::CommandsVerb(CLI::App& control) {
  CLI::App* all = control.add_subcommand(
      "commands", "commands to devices: list, show, send, cancel (docs/platform.md)");
  all->require_subcommand(1);
  all->fallthrough();
  all->add_option("--tenant", tenant_, "whose devices")->required();
  add_list(*all);
  add_one(*all);
  add_send(*all);
}

void CommandsVerb::add_list(CLI::App& all) {
  list_ = all.add_subcommand("list", "the newest first");
  list_->add_option("--device", device_, "of this device");
  list_->add_option("--site", site_, "of this site");
  list_->add_option("--state", state_, "a state or an outcome, as SENT or UNCERTAIN");
  list_->add_option("--from", from_, "accepted since, as 2026-01-31T08:00:00+08:00");
  list_->add_option("--to", to_, "accepted before");
  list_->add_option("--limit", limit_, "how many [50]")->check(CLI::Range(1, 200));
  list_->add_option("--cursor", cursor_, "goes on behind the page that named it");
}

void CommandsVerb::add_one(CLI::App& all) {
  show_ = all.add_subcommand("show", "one command and its transitions");
  show_->add_option("id", id_, "its id")->required();
  cancel_ = all.add_subcommand("cancel", "ends one that was not sent yet");
  cancel_->add_option("id", id_, "its id")->required();
  show_->add_option("--wait-ms", wait_ms_, "so long for its outcome")->check(CLI::Range(0, 30'000));
}

void CommandsVerb::add_send(CLI::App& all) {
  send_ = all.add_subcommand("send", "commands a device now");
  send_->add_option("type", type_, "its type, as open")->required();
  send_->add_option("--device", device_, "the target")->required();
  send_->add_option("--id", id_, "once for each command; a repeated one is the same command");
  send_->add_option("--ttl-ms", ttl_ms_, "until its deadline; default and maximum are the type's")
      ->check(CLI::PositiveNumber);
  send_->add_option("--payload", payload_, "its argument: JSON, or else a text");
  send_->add_option("--reason", reason_, "for the audit");
  send_
      ->add_option("--wait-ms", wait_ms_,
                   "so long for its outcome; then exit 0 means that it SUCCEEDED")
      ->check(CLI::Range(0, 30'000));
}

std::string CommandsVerb::of_tenant() const {
  return "?tenant=" + encoded(tenant_);
}

int CommandsVerb::print(const Ctl& admin, const std::string& method, const std::string& target,
                        const std::string& body, bool must_succeed) const {
  Ctl to = admin;
  to.timeout_s = std::min(admin.timeout_s, wait_ms_ / 1000 + kAnswerS);
  admin::Ask what;
  what.method = method;
  what.target = target;
  what.body = body;
  const admin::Response r = ask(to, std::move(what));
  const int code = print_answer(admin, r, commands_table);
  return code == 0 && must_succeed && !succeeded(r.body) ? 1 : code;
}

// The id is ours, so that a person can ask again when no answer comes.
int CommandsVerb::send(const Ctl& admin) {
  if (id_.empty()) {
    std::array<char, 20> text{};
    std::snprintf(text.data(), text.size(), "ctl-%llx",
                  static_cast<unsigned long long>(base::random_id() >> 8));
    id_ = text.data();
  }
  json::object o{{"tenant", tenant_}, {"device", device_}, {"type", type_}, {"id", id_}};
  if (ttl_ms_ != 0) o["ttl_ms"] = ttl_ms_;
  if (!reason_.empty()) o["reason"] = reason_;
  if (!payload_.empty()) {
    json::error_code ec;
    json::value v = json::parse(payload_, ec);
    o["payload"] = ec ? json::value(payload_) : std::move(v);
  }
  const std::string wait = wait_ms_ == 0 ? "" : "?wait=" + std::to_string(wait_ms_);
  try {
    return print(admin, "POST", kPath + wait, json::serialize(o), wait_ms_ != 0);
  } catch (const std::runtime_error&) {
    std::fprintf(stderr, "berth ctl: it may have been accepted; ask again with --id %s\n",
                 id_.c_str());
    throw;
  }
}

std::optional<int> CommandsVerb::run(const Ctl& admin) {
  const std::string one = std::string(kPath) + "/" + encoded(id_);
  if (*list_)
    return answered([&] {
      const std::string more = parameter("device", device_) + parameter("site", site_) +
                               parameter("state", state_) + parameter("from", from_) +
                               parameter("to", to_) + parameter("cursor", cursor_);
      return print(admin, "GET", kPath + of_tenant() + more + "&limit=" + std::to_string(limit_),
                   "", false);
    });
  if (*show_)
    return answered([&] {
      const std::string wait = wait_ms_ == 0 ? "" : "&wait=" + std::to_string(wait_ms_);
      return print(admin, "GET", one + of_tenant() + wait, "", false);
    });
  if (*cancel_)
    return answered(
        [&] { return print(admin, "POST", one + "/cancel" + of_tenant(), "{}", false); });
  if (*send_) return answered([&] { return send(admin); });
  return std::nullopt;
}

}  // namespace berth::gateway
