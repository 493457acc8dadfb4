#include "gateway/registry/commands.h"

#include <google/protobuf/util/json_util.h>

#include <boost/json.hpp>
#include <map>

#include "gateway/registry/password_hash.h"
#include "protocol/messages/envelope.pb.h"
#include "protocol/messages/parse.h"
#include "protocol/mqtt/properties.h"
#include "protocol/mqtt/topic.h"
#include "session/command_topic.h"

namespace berth::gateway::registry {

namespace json = boost::json;
namespace mqtt = protocol::mqtt;
using google::protobuf::util::JsonStringToMessage;
using platform::Outcome;

namespace {

constexpr std::size_t kParsedMax =
    65536;  // bytes of a result; of greater ones only the id is known

CommandRefusal refusal(int status, const char* code, std::string text) {
  return {status, code, std::move(text)};
}

std::string named(std::string_view name) {
  return "'" + std::string(name) + "'";
}

// An object or a list; null: text, or bytes.
std::optional<json::value> json_of(std::string_view payload) {
  const std::size_t at = payload.find_first_not_of(" \t\r\n");
  if (at == std::string_view::npos || (payload[at] != '{' && payload[at] != '['))
    return std::nullopt;
  json::error_code ec;
  json::value v = json::parse(payload, ec);
  return ec ? std::nullopt : std::optional(std::move(v));
}

// Of hold: an object with a mode that there is, or with the mode that the alias stands for. Empty:
// it says none, or another one than the alias.
std::string hold_payload(std::string_view said, std::string_view of_alias) {
  json::object o;
  if (auto v = json_of(said); v && v->is_object()) {
    o = std::move(v->get_object());
  } else if (!said.empty()) {
    o["text"] = json::string(said);
  }
  const json::value mode = of_alias.empty() ? json::value() : json::parse(of_alias).at("mode");
  const json::value* at = o.if_contains("mode");
  if (at == nullptr && !mode.is_null()) at = &(o["mode"] = mode);
  if (at == nullptr || !at->is_string() || (!mode.is_null() && *at != mode)) return {};
  v1::BarrierMode known{};
  const bool good = v1::BarrierMode_Parse(std::string(at->get_string()), &known);
  return good ? json::serialize(o) : std::string();
}

// DeviceCommand in JSON, written by hand: the numbers of a command are numbers, which proto3's
// mapping would make strings.
std::string as_json(const CommandPlan& plan, const CommandSaid& said) {
  json::object o{{"commandId", json::string(said.id)}, {"type", plan.type}};
  if (!plan.child.empty()) o["child"] = plan.child;
  if (said.deadline_unix_ms != 0) o["deadlineUnixMs"] = said.deadline_unix_ms;
  if (said.ttl_ms != 0) o["ttlMs"] = said.ttl_ms;
  if (auto v = json_of(plan.payload)) {
    o["payload"] = std::move(*v);
  } else if (!plan.payload.empty()) {
    const bool text = mqtt::valid_utf8(plan.payload);
    o[text ? "text" : "data"] = text ? plan.payload : encode_base64(plan.payload);
  }
  if (!said.traceparent.empty()) o["traceparent"] = json::string(said.traceparent);
  return json::serialize(o);
}

std::string as_protobuf(const CommandPlan& plan, const CommandSaid& said) {
  v1::DeviceCommand c;
  c.set_command_id(std::string(said.id));
  c.set_type(plan.type);
  c.set_child(plan.child);
  c.set_deadline_unix_ms(said.deadline_unix_ms);
  c.set_ttl_ms(said.ttl_ms);
  if (json_of(plan.payload)) {
    if (!JsonStringToMessage(plan.payload, c.mutable_payload()).ok()) c.set_data(plan.payload);
  } else if (!plan.payload.empty() && mqtt::valid_utf8(plan.payload)) {
    c.set_text(plan.payload);
  } else if (!plan.payload.empty()) {
    c.set_data(plan.payload);
  }
  c.set_traceparent(std::string(said.traceparent));
  return c.SerializeAsString();
}

void put_user_property(std::string& out, std::string_view name, std::string_view value) {
  mqtt::put_property_string(out, mqtt::Property::user_property, name);
  mqtt::put_string(out, value);
}

std::string properties_of(const CommandSaid& said, std::string_view content_type) {
  std::string out;
  if (!content_type.empty())
    mqtt::put_property_string(out, mqtt::Property::content_type, content_type);
  if (said.deadline_unix_ms != 0)
    put_user_property(out, "deadline_unix_ms", std::to_string(said.deadline_unix_ms));
  if (said.ttl_ms != 0) put_user_property(out, "ttl_ms", std::to_string(said.ttl_ms));
  if (!said.traceparent.empty()) put_user_property(out, "traceparent", said.traceparent);
  return out;
}

// v1/[sub/CHILD/]cmd/ID/res
bool parse_result_topic(std::string_view topic, CommandAnswer& out) {
  if (!session::is_report_topic(topic) || !topic.ends_with("/res")) return false;
  topic.remove_prefix(3);
  if (topic.starts_with("sub/")) {
    topic.remove_prefix(4);
    out.child = topic.substr(0, topic.find('/'));
    topic.remove_prefix(out.child.size() + 1);
  }
  if (!topic.starts_with("cmd/")) return false;
  topic.remove_prefix(4);
  out.command_id = topic.substr(0, topic.find('/'));
  return true;
}

// An Envelope with a result in Protobuf or JSON, or the JSON of the result alone.
void read_result(std::string_view payload, CommandAnswer& out) {
  v1::Envelope e;
  v1::CommandResult r;
  const std::size_t at = payload.find_first_not_of(" \t\r\n");
  if (payload.size() > kParsedMax || at == std::string_view::npos) return;
  if (payload[at] != '{') {
    if (!protocol::messages::parse(e, payload) || !e.has_result()) return;
    r = e.result();
  } else if (const std::string text(payload); JsonStringToMessage(text, &e).ok()) {
    if (!e.has_result()) return;
    r = e.result();
  } else if (!JsonStringToMessage(text, &r).ok()) {
    return;
  }
  if (v1::Outcome_IsValid(r.outcome())) out.outcome = v1::Outcome_Name(r.outcome());
  out.code = r.code();
  out.text = r.text();
}

}  // namespace

const char* literal_of(const CommandRefusal& refusal) {
  static const std::map<std::string_view, const char*> kTexts{
      {"executor_invalid", "the device that carries it out is not registered or has no connection"},
      {"capability_missing", "the product of the device does not have this type of command"},
      {"unknown_type", "this type of command has no class: name it in `commands` of the product"},
      {"payload_invalid", "the product of the device has no words for this payload"}};
  const auto it = kTexts.find(refusal.code);
  return it == kTexts.end() ? "the device cannot be told this command" : it->second;
}

std::string CommandPlan::native_topic(std::string_view id, std::string_view name) const {
  std::string out =
      std::string(session::kTenantRoot) + tenant + "/v1/" + executor_site + "/" + executor + "/";
  if (!child.empty()) out += "sub/" + child + "/";
  return out.append("cmd/").append(id).append("/req/").append(name);
}

bool CommandPlan::render(const CommandSaid& said, CommandMessage& out, std::string& why) const {
  if (rule != nullptr && rule->in_vendors_words()) {
    const CommandFill fill{.device = executor,
                           .site = executor_site,
                           .child = child,
                           .id = said.id,
                           .payload = payload,
                           .wall_ms = said.wall_ms,
                           .deadline_unix_ms = said.deadline_unix_ms,
                           .ttl_ms = said.ttl_ms};
    std::string topic;
    if (!rule->render(fill, topic, out.payload, why)) return false;
    out.topic = std::string(session::kTenantRoot) + tenant + "/" + topic;
    out.properties = properties_of(said, {});
    return true;
  }
  // A rule without words of its own may still have the name that its devices listen to.
  out.topic = native_topic(said.id, rule != nullptr ? rule->name() : type);
  switch (profile ? profile->commands().form() : CommandRules::Form::json) {
    case CommandRules::Form::json:
      out.payload = as_json(*this, said);
      out.properties = properties_of(said, "application/json;msg=berth.v1.DeviceCommand");
      return true;
    case CommandRules::Form::protobuf:
      out.payload = as_protobuf(*this, said);
      out.properties = properties_of(said, "application/x-protobuf;msg=berth.v1.DeviceCommand");
      return true;
    case CommandRules::Form::plain:
      break;
  }
  out.payload = payload;
  out.properties = properties_of(said, {});
  return true;
}

std::optional<pb::Device> CommandCatalog::device_of(std::string_view tenant,
                                                    std::string_view name) const {
  pb::Device d;
  const std::string* stored =
      name.empty() ? nullptr : registry_.find(key_of(Kind::device, tenant, name));
  if (stored == nullptr || !d.ParseFromString(*stored)) return std::nullopt;
  return d;
}

// What of it is; null: nothing.
const char* CommandCatalog::disabled(std::string_view tenant, const pb::Device& d) const {
  pb::Tenant t;
  const std::string* stored = registry_.find(key_of(Kind::tenant, tenant));
  if (stored == nullptr || !t.ParseFromString(*stored) || !enabled(t)) return "its tenant";
  pb::Site s;
  stored = registry_.find(key_of(Kind::site, tenant, d.site()));
  if (stored == nullptr || !s.ParseFromString(*stored) || !enabled(s)) return "its site";
  return enabled(d) ? nullptr : "the device";
}

// The target, and the device whose connection the command goes over.
CommandRefusal CommandCatalog::find_devices(const CommandAsked& asked, CommandPlan& out) {
  const auto target = device_of(asked.tenant, asked.device);
  if (!target) return refusal(404, "device_not_found", "no device " + named(asked.device));
  const char* what = asked.published ? nullptr : disabled(asked.tenant, *target);
  if (what != nullptr) return refusal(422, "device_disabled", std::string(what) + " is disabled");
  const std::string& said = target->executor().empty() ? target->name() : target->executor();
  if (!asked.executor.empty() && asked.executor != said)
    return refusal(422, "executor_invalid",
                   named(asked.executor) + " does not carry out the commands of " +
                       named(target->name()) + ": the registry has " + named(said));
  auto carrier = target->executor().empty() ? target : device_of(asked.tenant, said);
  out.child = target->executor().empty() ? std::string() : target->child();
  std::string firmware = carrier ? carrier->firmware() : std::string();
  std::string product = carrier ? carrier->product() : std::string();
  if (carrier && !carrier->parent().empty()) {
    if (out.child.empty())
      out.child = carrier->child().empty() ? carrier->name() : carrier->child();
    carrier = device_of(asked.tenant, carrier->parent());
    if (carrier && product.empty()) product = carrier->product();
    if (carrier && firmware.empty()) firmware = carrier->firmware();
  }
  const bool own_connection = carrier && carrier->parent().empty();
  if (!own_connection || (!asked.published && disabled(asked.tenant, *carrier) != nullptr))
    return refusal(422, "executor_invalid",
                   named(carrier ? std::string_view(carrier->name()) : std::string_view(said)) +
                       ", which carries it out, is not registered, is disabled, or hangs behind "
                       "another device itself");
  out.site = target->site();
  out.executor = carrier->name();
  out.executor_site = carrier->site();
  out.profile = profiles_.of(asked.tenant, product);
  if (!asked.firmware.empty()) firmware = asked.firmware;
  const ProfilePtr own = profiles_.of(asked.tenant, target->product());
  for (const ProfilePtr& p : {own, out.profile}) {
    if (p && !p->commands().can(out.type))
      return refusal(422, "capability_missing",
                     "the product of " + named(target->name()) + " or of its executor has no " +
                         named(out.type) + " among its capabilities");
  }
  return find_rule(asked, std::move(firmware), out);
}

// The device that carries out the target's commands is none: it stands for the target.
std::string CommandCatalog::twin_of(const CommandAsked& asked, const CommandPlan& out) {
  std::string twin;
  const auto target = device_of(asked.tenant, asked.device);
  each_target(asked.tenant, out.executor, [&](std::string_view device) {
    if (device == asked.device || device == out.executor || device == target->executor())
      return true;
    CommandAsked other = asked;
    other.device = device;
    other.executor = {};
    CommandPlan its;
    (void)find_devices(other, its);
    if (its.executor != out.executor || its.child != out.child) return true;
    twin = device;
    return false;
  });
  return twin;
}

CommandRefusal CommandCatalog::find_rule(const CommandAsked& asked, std::string firmware,
                                         CommandPlan& out) {
  if (out.profile) out.rule = out.profile->commands().find(asked.type, firmware);
  if (out.profile && out.rule == nullptr && asked.any_firmware)
    out.rule = out.profile->commands().find(asked.type, std::nullopt);
  if (out.rule == nullptr && out.profile && out.profile->commands().has(asked.type))
    return refusal(422, "capability_missing",
                   "no variant of " + named(out.type) + " is for firmware " + named(firmware));
  const CommandType* type = find_type(out.type);
  if (out.rule == nullptr && type == nullptr)
    return refusal(422, "unknown_type",
                   named(asked.type) + " is neither a type of command nor one of the product's");
  out.delivery = out.rule != nullptr ? out.rule->delivery() : type->delivery;
  const CommandBounds& bounds = out.rule != nullptr ? out.rule->bounds() : type->bounds;
  out.ttl_max_ms = bounds.ttl_max_ms;
  out.result_ms = bounds.result_ms;
  out.ttl_ms = asked.ttl_ms.value_or(bounds.ttl_ms);
  out.qos = out.rule != nullptr ? out.rule->qos() : out.delivery == CommandClass::immediate ? 0 : 1;
  if (out.ttl_ms == 0) return refusal(422, "ttl_invalid", "ttl_ms is at least 1");
  if (out.ttl_ms > out.ttl_max_ms)
    return refusal(
        422, "ttl_too_long",
        "ttl_ms of " + named(out.type) + " is at most " + std::to_string(out.ttl_max_ms));
  return {};
}

CommandPlan CommandCatalog::plan(const CommandAsked& asked) {
  CommandPlan out;
  out.tenant = asked.tenant;
  out.type = canonical_type(asked.type);
  const CommandAlias* alias = find_alias(asked.type);
  out.payload = asked.payload;
  if (!valid_name(out.type)) {
    out.refusal = refusal(422, "unknown_type", "a type of command is a name");
    return out;
  }
  if (out.type == "hold" && (!asked.published || alias != nullptr)) {
    out.payload =
        hold_payload(asked.payload, alias != nullptr ? alias->payload : std::string_view());
    out.refusal = out.payload.empty()
                      ? refusal(422, "payload_invalid",
                                "the payload of hold has the mode HOLD_OPEN, HOLD_CLOSED or AUTO")
                      : CommandRefusal{};
  }
  if (out.good()) out.refusal = find_devices(asked, out);
  if (out.good() && out.delivery == CommandClass::desired && !asked.published) {
    const std::string twin = twin_of(asked, out);
    if (!twin.empty())
      out.refusal = refusal(422, "executor_invalid",
                            named(twin) + " has the same executor and child, which keep one " +
                                "desired state: give each of both a child");
    if (asked.ttl_ms)
      out.refusal = refusal(422, "ttl_invalid",
                            named(out.type) + " has no deadline: it is kept until another one " +
                                "takes its place or it is cancelled");
  }
  if (!out.good() || out.rule == nullptr || !out.rule->in_vendors_words()) return out;
  CommandMessage once;
  std::string why;
  if (!out.render({.id = "0", .wall_ms = 0, .deadline_unix_ms = 0}, once, why))
    out.refusal = refusal(422, "payload_invalid", std::move(why));
  return out;
}

// Behind its connection: of the executor itself, or of what hangs behind another device.
platform::Part CommandCatalog::part_of(std::string_view tenant, std::string_view device) const {
  auto d = device_of(tenant, device);
  if (!d) return {};
  std::string child;
  if (!d->executor().empty()) {
    child = d->child();
    d = device_of(tenant, std::string(d->executor()));
    if (!d) return {};
  }
  if (d->parent().empty()) return {d->name(), child};
  if (child.empty()) child = d->child().empty() ? d->name() : d->child();
  return {d->parent(), child};
}

// Those that name it, and those that name one behind it as their executor.
void CommandCatalog::each_target(std::string_view tenant, std::string_view carrier,
                                 const std::function<bool(std::string_view device)>& f) const {
  if (!f(carrier)) return;
  registry_.each_referring(tenant, carrier, [&](std::string_view device) {
    bool more = f(device);
    registry_.each_referring(tenant, device,
                             [&](std::string_view behind) { return more = more && f(behind); });
    return more;
  });
}

bool CommandCatalog::has_class(std::string_view tenant, std::string_view device,
                               std::string_view type) {
  if (find_type(canonical_type(type)) != nullptr) return true;
  const auto d = device_of(tenant, device);
  if (!d) return true;
  for (const std::string& name : {d->name(), d->executor(), d->parent()}) {
    const auto holder = device_of(tenant, name);
    const ProfilePtr p = holder ? profiles_.of(tenant, holder->product()) : nullptr;
    if (p && p->commands().has(type)) return true;
  }
  return false;
}

std::optional<CommandBounds> CommandCatalog::bounds_of(std::string_view tenant,
                                                       std::string_view device,
                                                       std::string_view type) {
  const auto d = device_of(tenant, device);
  for (const std::string& name :
       {d ? d->executor() : "", d ? d->name() : "", d ? d->parent() : ""}) {
    const auto holder = name.empty() ? std::nullopt : device_of(tenant, name);
    const ProfilePtr p = holder ? profiles_.of(tenant, holder->product()) : nullptr;
    const CommandRule* rule = p ? p->commands().find(type, std::nullopt) : nullptr;
    if (rule != nullptr) return rule->bounds();
  }
  const CommandType* canonical = find_type(canonical_type(type));
  return canonical == nullptr ? std::nullopt : std::optional(canonical->bounds);
}

std::optional<CommandAnswer> CommandCatalog::result_of(const session::Scope& device,
                                                       std::string_view topic,
                                                       std::string_view payload) {
  CommandAnswer out;
  if (parse_result_topic(topic, out)) {
    read_result(payload, out);
    return out;
  }
  const auto d = device_of(device.who().tenant, device.who().name);
  const ProfilePtr profile = d ? profiles_.of(device.who().tenant, d->product()) : nullptr;
  if (!profile) return std::nullopt;
  if (auto a = profile->commands().answer(topic, d->name(), device.site(), payload)) return a;
  const Profile::Rule* rule = profile->find(topic, d->name(), device.site());
  if (rule == nullptr || Profile::report_of(*rule) != Report::result) return std::nullopt;
  v1::Envelope e;
  std::string why;
  if (payload.size() > kParsedMax || !Profile::apply(*rule, payload, e, why)) return std::nullopt;
  out.command_id = e.result().command_id();
  out.child = e.child();
  out.outcome = v1::Outcome_Name(e.result().outcome());
  out.code = e.result().code();
  out.text = e.result().text();
  return out.command_id.empty() ? std::nullopt : std::optional(std::move(out));
}

platform::Result result_of(const CommandAnswer& answer) {
  platform::Result r{.outcome = Outcome::uncertain, .code = answer.code, .text = answer.text};
  if (answer.outcome == "EXECUTED") r.outcome = Outcome::succeeded;
  if (answer.outcome == "FAILED") r.outcome = Outcome::failed;
  if (answer.outcome == "REJECTED") r.outcome = Outcome::rejected;
  if (answer.outcome == "EXPIRED") r.outcome = Outcome::expired;
  if (answer.outcome == "DUPLICATE") {
    r.outcome = Outcome::succeeded;
    r.repeated = true;
  }
  return r;
}

}  // namespace berth::gateway::registry
