#include "gateway/ctl/devices.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <vector>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

std::string devices_table(const std::string& text) {
  static const std::vector<std::string> kDevices{"device", "site",    "state",   "since",
                                                 "cause",  "address", "protocol"};
  static const std::vector<std::string> kEvents{"at",     "device",  "type",   "cause",
                                                "detail", "address", "command"};
  static const std::vector<std::string> kDesired{"device", "site", "in_step",
                                                 "since",  "open", "version"};
  json::error_code ec;
  const json::value v = json::parse(text, ec);
  if (ec || !v.is_object()) return without_controls(text, true);
  const json::object& o = v.get_object();
  const json::value* items = o.if_contains("items");
  if (items == nullptr || !items->is_array()) return pairs_of(o);
  json::array list = items->get_array();
  const auto has = [&list](const char* member) {
    return !list.empty() && list.front().is_object() && list.front().get_object().contains(member);
  };
  const json::value* next = o.if_contains("next");
  for (json::value& item : list) {
    if (!item.is_object() || !is_true(item.get_object(), "stale")) continue;
    item.get_object()["state"] = "online, no connection now";
  }
  return table_of(list, has("type")      ? kEvents
                        : has("in_step") ? kDesired
                                         : kDevices) +
         (next == nullptr ? "" : "\nmore: --cursor " + text_of(*next) + "\n");
}

DevicesVerb::DevicesVerb(CLI::App& control) {
  devices_ = control.add_subcommand("devices", "which devices are there (docs/platform.md)");
  devices_->add_option("device", device_, "this one only");
  devices_->add_option("--product", product_, "of this product");
  devices_->add_option("--online", online_, "true: those that are there; false: the others");
  devices_->add_option("--since", since_, "whose state is not older, as 2026-01-31T08:00:00Z");
  add_common(*devices_);
  history_ = control.add_subcommand("history", "the last events of a device or site");
  history_->add_option("device", device_, "of this device; or --site");
  history_->add_option("--from", from_, "since, as 2026-01-31T08:00:00+08:00");
  history_->add_option("--to", to_, "before");
  history_->add_option("--types", types_, "as connected,ended,refused");
  add_common(*history_);
  desired_ =
      control.add_subcommand("desired", "devices that have not answered their desired state");
  desired_->add_option("--product", product_, "of this product");
  desired_->add_option("--from", from_, "not in step since then or later");
  desired_->add_option("--to", to_, "not in step since before");
  desired_->add_flag("--all", all_, "also those that have answered it");
  add_common(*desired_);
}

void DevicesVerb::add_common(CLI::App& verb) {
  verb.add_option("--tenant", tenant_, "whose devices")->required();
  verb.add_option("--site", site_, "of this site");
  verb.add_option("--q", q_, "with this text in their name or display name");
  verb.add_option("--limit", limit_, "how many [100]")->check(CLI::Range(1, 500));
  verb.add_option("--cursor", cursor_, "goes on behind the page that named it");
}

std::string DevicesVerb::devices_target() const {
  if (!device_.empty())
    return "/api/v1/tenants/" + encoded(tenant_) + "/devices/" + encoded(device_) + "/presence";
  return "/api/v1/presence?tenant=" + encoded(tenant_) + parameter("site", site_) +
         parameter("product", product_) + parameter("q", q_) + parameter("online", online_) +
         parameter("since", since_) + parameter("cursor", cursor_) +
         "&limit=" + std::to_string(limit_);
}

std::string DevicesVerb::history_target() const {
  return "/api/v1/history?tenant=" + encoded(tenant_) + parameter("device", device_) +
         parameter("site", site_) + parameter("from", from_) + parameter("to", to_) +
         parameter("types", types_) + parameter("q", q_) + parameter("cursor", cursor_) +
         "&limit=" + std::to_string(limit_);
}

std::string DevicesVerb::desired_target() const {
  return "/api/v1/desired?tenant=" + encoded(tenant_) + (all_ ? "" : "&in_step=false") +
         parameter("site", site_) + parameter("product", product_) + parameter("q", q_) +
         parameter("from", from_) + parameter("to", to_) + parameter("cursor", cursor_) +
         "&limit=" + std::to_string(limit_);
}

int DevicesVerb::print(const Ctl& admin, const std::string& target) const {
  admin::Ask what;
  what.method = "GET";
  what.target = target;
  return print_answer(admin, ask(admin, std::move(what)), devices_table);
}

std::optional<int> DevicesVerb::run(const Ctl& admin) const {
  if (*devices_) return answered([&] { return print(admin, devices_target()); });
  if (*desired_) return answered([&] { return print(admin, desired_target()); });
  if (*history_) return answered([&] { return print(admin, history_target()); });
  return std::nullopt;
}

}  // namespace berth::gateway
