#include "gateway/engine/command_ways.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "gateway/registry/command_json.h"
#include "platform/ledger.h"

namespace berth::gateway::engine {

using registry::CommandAsked;
using registry::CommandMessage;
using registry::CommandPlan;

// Of the device that carries the command out.
CommandWays::Firmware CommandWays::firmware_of(const platform::Asked& asked) const {
  return firmware_of_ ? firmware_of_(asked.tenant, part_of(asked.tenant, asked.device).executor)
                      : Firmware{};
}

platform::Refusal CommandWays::terms(const platform::Asked& asked, platform::Terms& out) const {
  const Firmware firmware = firmware_of(asked);
  CommandAsked a{.tenant = asked.tenant,
                 .device = asked.device,
                 .type = asked.type,
                 .executor = asked.executor,
                 .firmware = firmware.version,
                 .payload = asked.payload,
                 .ttl_ms = {},
                 .any_firmware = !firmware.sure};
  if (asked.ttl_ms != 0 && !asked.ttl_is_limit) a.ttl_ms = asked.ttl_ms;
  CommandPlan plan = catalog_.plan(a);
  if (!plan.good()) return {plan.refusal.status, plan.refusal.code, std::move(plan.refusal.text)};
  // Else a barrier could have an immediate command for each name that a caller makes up.
  if (!asked.child.empty() && asked.child != plan.child)
    return {422, "executor_invalid", "child: the registry has '" + plan.child + "'"};
  out.delivery = static_cast<platform::Delivery>(plan.delivery);
  // A vendor's device has no document that it reads at each connection: it is told the newest state
  // once, when it is there, and keeps it.
  if (plan.delivery == registry::CommandClass::desired && plan.rule != nullptr &&
      plan.rule->in_vendors_words())
    out.delivery = platform::Delivery::latest;
  out.ttl_ms = asked.ttl_is_limit ? std::min(asked.ttl_ms, plan.ttl_max_ms) : plan.ttl_ms;
  out.result_ms = plan.result_ms;
  out.type = std::move(plan.type);
  out.payload = std::move(plan.payload);
  out.site = std::move(plan.site);
  out.executor = std::move(plan.executor);
  out.executor_site = std::move(plan.executor_site);
  out.child = std::move(plan.child);
  return {};
}

platform::Part CommandWays::part_of(std::string_view tenant, std::string_view device) const {
  return catalog_.part_of(tenant, device);
}

platform::Place CommandWays::place_of(std::string_view tenant, std::string_view device) const {
  platform::Place place{part_of(tenant, device), catalog_.site_of(tenant, device), {}};
  place.executor_site = catalog_.site_of(tenant, place.executor);
  if (place.site.empty() || place.executor_site.empty()) place.executor.clear();
  return place;
}

void CommandWays::each_target(std::string_view tenant, std::string_view executor,
                              const std::function<bool(std::string_view device)>& f) const {
  catalog_.each_target(tenant, executor, f);
}

std::string CommandWays::read_request(std::string_view payload, std::int64_t now_wall_ms,
                                      platform::Asked& out) const {
  registry::AskedJson said = registry::read_command(payload, now_wall_ms);
  platform::pb::CommandRecord& r = said.record;
  const auto same = [&](const char* name, const std::string& in_topic, const std::string& in_body) {
    if (!in_body.empty() && in_body != in_topic && said.fault.empty())
      said.fault = std::string(name) + ": not as in the topic";
  };
  same("tenant", out.tenant, r.tenant());
  same("device", out.device, r.device());
  same("id", out.id, r.id());
  same("type", out.type, r.type());
  if (!said.fault.empty()) return said.fault;
  r.set_tenant(out.tenant);
  r.set_device(out.device);
  r.set_id(out.id);
  r.set_type(out.type);
  platform::Asked asked;
  r.set_content(registry::content_of(r));
  std::string wrong = platform::fault_of(r, asked);
  if (!wrong.empty()) return wrong;
  asked.caller = out.caller;
  asked.caller_sites = out.caller_sites;
  asked.response_topic = out.response_topic;
  asked.correlation = out.correlation;
  out = std::move(asked);
  return {};
}

bool CommandWays::render(const platform::Entry& e, std::int64_t now_wall_ms,
                         std::int64_t deadline_wall_ms, std::int64_t left_ms,
                         platform::Rendered& out) const {
  const platform::Asked& asked = e.asked;
  const Firmware firmware = firmware_of(asked);
  const CommandPlan plan = catalog_.plan({.tenant = asked.tenant,
                                          .device = asked.device,
                                          .type = asked.type,
                                          .executor = asked.executor,
                                          .firmware = firmware.version,
                                          .payload = asked.payload,
                                          .ttl_ms = {}});
  if (!plan.good()) return false;
  CommandMessage m;
  std::string why;
  const bool good = plan.render(
      {.id = asked.id,
       .wall_ms = now_wall_ms,
       .deadline_unix_ms = deadline_wall_ms,
       .ttl_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>(left_ms, 0, UINT32_MAX)),
       .traceparent = asked.trace_parent},
      m, why);
  if (!good) {
    BERTH_LOG(warn, "command has no way to its device type={} device={} why=\"{}\"", asked.type,
              asked.device, why);
    return false;
  }
  out.topic = std::move(m.topic);
  out.payload = std::move(m.payload);
  out.properties = std::move(m.properties);
  out.park_payload = plan.payload;
  return true;
}

}  // namespace berth::gateway::engine
