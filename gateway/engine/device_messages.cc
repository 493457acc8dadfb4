#include "gateway/engine/device_messages.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "base/log.h"
#include "gateway/engine/state_report.h"
#include "platform/command_results.h"
#include "protocol/messages/envelope.h"
#include "protocol/messages/envelope.pb.h"
#include "protocol/messages/parse.h"
#include "protocol/park/control.h"
#include "session/command_topic.h"

namespace berth::gateway::engine {

namespace wire = protocol::messages;
using google::protobuf::util::JsonStringToMessage;
using registry::Profile;
using registry::Report;
using What = session::DeviceMessages::What;

namespace {

constexpr std::string_view kNative = "v1/";
constexpr std::size_t kParsedMax = 64 * 1024;  // bytes; greater ones would hold up the engine
constexpr const char* kTooLarge = "it has more than 64 KiB";

// v1/[sub/CHILD/](event/TYPE | telemetry/TYPE | state | cmd/ID/res). False: nothing that a platform
// gets in an Envelope.
bool is_native_report(std::string_view topic, std::string_view& child) {
  if (!topic.starts_with(kNative)) return false;
  topic.remove_prefix(kNative.size());
  const auto level = [&topic] {
    const std::size_t end = topic.find('/');
    const std::string_view first = topic.substr(0, end);
    topic.remove_prefix(end == std::string_view::npos ? topic.size() : end + 1);
    return first;
  };
  std::string_view kind = level();
  if (kind == "sub") {
    child = level();
    kind = level();
  }
  if (kind == "state") return topic.empty();
  if (kind == "event" || kind == "telemetry")
    return !topic.empty() && topic.find('/') == std::string_view::npos;
  return kind == "cmd" && !level().empty() && topic == "res";
}

// Levels of a topic, one after the other.
class Levels {
 public:
  explicit Levels(std::string_view topic) : left_(topic) {}
  std::string_view next() {
    const std::size_t end = std::min(left_.find('/'), left_.size());
    const std::string_view level = left_.substr(0, end);
    left_.remove_prefix(std::min(end + 1, left_.size()));
    return level;
  }
  std::string_view left() const { return left_; }

 private:
  std::string_view left_;
};

bool looks_like_json(std::string_view payload) {
  const std::size_t at = payload.find_first_not_of(" \t\r\n");
  return at != std::string_view::npos && payload[at] == '{';
}

// A native device's payload: an Envelope as Protobuf or JSON, other JSON, or anything. `why` it is
// no Envelope; empty: it is one.
What read_native(std::string_view topic, std::string_view payload, v1::Envelope& e,
                 std::string& why) {
  const bool small = payload.size() <= kParsedMax;
  if (small && looks_like_json(payload)) {
    const std::string text(payload);
    const auto status = JsonStringToMessage(text, &e);
    if (status.ok() && e.body_case() != v1::Envelope::BODY_NOT_SET) return What::replaced;
    e.Clear();
    why = status.ok() ? "it has no body" : json_fault(std::string(status.message()));
    if (JsonStringToMessage(text, e.mutable_json()).ok()) return What::json;
    e.Clear();
    why = "it is not JSON";
  } else if (small) {
    wire::EnvelopeView v;
    if (wire::read_envelope(payload, v) && !v.type.empty() && wire::parse(e, payload))
      return What::replaced;
    e.Clear();
    why = "it is neither JSON nor an Envelope in Protobuf with a body";
  } else {
    why = kTooLarge;
  }
  e.mutable_raw()->set_payload(payload.data(), payload.size());
  e.mutable_raw()->set_topic(std::string(topic));
  return What::raw;
}

std::string topic_of(Report report, const v1::Envelope& e) {
  std::string root(kNative);
  if (!e.child().empty()) root += "sub/" + e.child() + "/";
  const auto* body = v1::Envelope::descriptor()->FindFieldByNumber(e.body_case());
  switch (report) {
    case Report::telemetry:
      return root + "telemetry/" + body->name();
    case Report::state:
      return root + "state";
    case Report::result:
      return root + "cmd/" + e.result().command_id() + "/res";
    default:
      return root + "event/" + body->name();
  }
}

// The answer of a vendor to a command. One without an id has its type in the place of the id.
What by_answer(const registry::CommandAnswer& a, v1::Envelope& e, std::string& as) {
  v1::CommandResult& r = *e.mutable_result();
  v1::Outcome outcome{};
  v1::Outcome_Parse(a.outcome, &outcome);
  r.set_command_id(a.command_id);
  r.set_outcome(outcome);
  r.set_code(a.code);
  r.set_text(a.text);
  (*e.mutable_labels())["command_type"] = a.type;
  as = a.command_id.empty() ? std::string(kNative) + "cmd/" + platform::kUnnamed + a.type + "/res"
                            : topic_of(Report::result, e);
  return What::replaced;
}

}  // namespace

bool DeviceMessages::is_known(std::string_view tenant, const std::string& product) const {
  return registry_.find(registry::key_of(registry::Kind::product, tenant, product)) != nullptr;
}

What DeviceMessages::by_profile(const Profile& profile, const session::Scope& who,
                                std::string_view topic, std::string_view payload, v1::Envelope& e,
                                std::string& as, std::string& why) {
  if (const auto a = profile.commands().answer(topic, who.who().name, who.site(), payload))
    return by_answer(*a, e, as);
  const Profile::Rule* rule = profile.find(topic, who.who().name, who.site());
  if (rule == nullptr) return What::as_is;
  if (Profile::report_of(*rule) == Report::none) return What::swallowed;
  if (payload.size() > kParsedMax) {
    why = kTooLarge;
  } else if (Profile::apply(*rule, payload, e, why)) {
    if (!e.child().empty() && !protocol::park::is_name(e.child())) why = "child is no name";
    if (Profile::report_of(*rule) == Report::result &&
        !protocol::park::is_name(e.result().command_id()))
      why = "result.command_id is no name";
  }
  if (why.empty()) {
    as = topic_of(Profile::report_of(*rule), e);
    return What::replaced;
  }
  e.Clear();
  e.mutable_raw()->set_payload(payload.data(), payload.size());
  e.mutable_raw()->set_topic(std::string(topic));
  as = topic_of(Report::event, e);
  return What::raw;
}

What DeviceMessages::translate(const session::Scope& who, std::uint64_t session_epoch,
                               base::Instant now, std::string_view made_id, std::string_view topic,
                               std::string_view payload, Out& out) {
  out.json = false;
  if (traced_) traced_->forget();
  v1::Envelope e;
  std::string_view child;
  What what = What::as_is;
  std::string why;
  const std::string& product = who.translation().product;
  const registry::ProfilePtr profile = catalog_.profiles().of(who.who().tenant, product);
  if (profile == nullptr && !product.empty() && !is_known(who.who().tenant, product))
    return What::wait;  // registered just before this engine came
  if (profile != nullptr) what = by_profile(*profile, who, topic, payload, e, out.topic, why);
  if (what == What::swallowed) return what;
  if (what == What::as_is) {
    const bool wanted = who.translation().format != session::Format::as_is;
    if (!wanted || !is_native_report(topic, child)) return what;
    what = read_native(topic, payload, e, why);
    out.topic = topic;
    if (e.child().empty()) e.set_child(std::string(child));
  }
  const auto body = what == What::raw ? UnreadMessages::Body::raw : UnreadMessages::Body::json;
  if (!why.empty()) unread_.say(who, topic, why, body, now);
  notice(who, e);
  if (!e.SerializeToString(&out.payload)) return What::as_is;
  wire::EnvelopeView v;
  if (!wire::read_envelope(out.payload, v)) return What::as_is;
  const std::string traceparent =
      traced_ ? traced_->read(who, session_epoch, now, v, made_id) : std::string();
  completer_.complete(
      out.payload, v,
      wire::encode_origin(who.who().tenant, who.site(), who.who().name, session_epoch),
      {.at_ms = now.ms, .made_id = v.event_id.empty() ? made_id : std::string_view()});
  if (!traceparent.empty()) wire::put_traceparent(out.payload, traceparent);
  if (who.translation().format == session::Format::json) {
    std::string json;
    out.json = to_json(out.payload, json);
    if (out.json) out.payload = std::move(json);
  }
  return what;
}

void DeviceMessages::reported(const session::Scope& who, std::uint64_t session_epoch,
                              base::Instant now, const wire::EnvelopeView& e,
                              std::string_view made_id, std::string& envelope) {
  const std::string traceparent = traced_->read(who, session_epoch, now, e, made_id);
  if (!traceparent.empty()) wire::put_traceparent(envelope, traceparent);
}

// A disabled device's command waits for it, as any message does (docs/messages.md).
DeviceMessages::Told DeviceMessages::command(const session::Scope& service, base::Instant now,
                                             std::string_view topic, std::string_view payload,
                                             Out& out) {
  const std::string& tenant = service.who().tenant;
  Levels rest(topic);
  rest.next();  // v1
  const std::string_view site = rest.next();
  const std::string_view device = rest.next();
  session::CommandTopic c;
  const std::string* record =
      registry_.find(registry::key_of(registry::Kind::device, tenant, device));
  registry::pb::Device d;
  if (!session::parse_command_topic(rest.left(), c) || record == nullptr ||
      !d.ParseFromString(*record) || d.site() != site)
    return Told::as_is;
  if (!c.child.empty() && catalog_.has_class(tenant, device, c.name)) return Told::as_is;
  const std::string firmware = firmware_of_
                                   ? firmware_of_(tenant, catalog_.part_of(tenant, device).executor)
                                   : std::string();
  const registry::CommandPlan plan = catalog_.plan({.tenant = tenant,
                                                    .device = device,
                                                    .type = c.name,
                                                    .firmware = firmware,
                                                    .payload = payload,
                                                    .published = true});
  if (!plan.good()) {
    out.why = registry::literal_of(plan.refusal);
    return Told::refused;
  }
  const bool words = plan.rule != nullptr && plan.rule->in_vendors_words();
  if (!words && plan.executor == device && plan.child.empty()) return Told::as_is;
  if (!words) {
    out.topic = plan.native_topic(c.id, c.name);
    return Told::elsewhere;
  }
  registry::CommandMessage message;
  std::string why;
  if (!plan.render({.id = c.id, .wall_ms = now.ms}, message, why)) {
    out.why = "the product of the device has no words for this payload";
    return Told::refused;
  }
  out.topic = std::move(message.topic);
  out.payload = std::move(message.payload);
  return Told::in_vendors_words;
}

std::optional<DeviceMessages::Lasts> DeviceMessages::lasts(std::string_view tenant,
                                                           std::string_view device,
                                                           std::string_view type) {
  const auto bounds = catalog_.bounds_of(tenant, device, type);
  if (!bounds) return std::nullopt;
  return Lasts{bounds->ttl_ms, bounds->ttl_max_ms};
}

static_assert(wire::tells_state(v1::Envelope::kHealthFieldNumber) &&
              wire::tells_state(v1::Envelope::kBarrierFieldNumber) &&
              wire::tells_state(v1::Envelope::kChargerFieldNumber) &&
              wire::tells_state(v1::Envelope::kAlarmFieldNumber));

void DeviceMessages::state(const session::Scope& who, std::string_view envelope) {
  v1::Envelope e;
  if (wire::parse(e, envelope)) notice(who, e);
}

// What is sent later than directly after it happened says nothing of now.
void DeviceMessages::notice(const session::Scope& who, const v1::Envelope& e) {
  if (e.has_health() && e.child().empty() && !e.health().firmware().empty() && on_firmware_)
    on_firmware_(who, e.health().firmware());
  if (watched) {
    watched_reports_.take(who.who(), who.site(), e, base::wall_time().ms);
    watched = watched_reports_.any();
  }
  if (!on_state_ || e.replay()) return;
  if (auto r = state_report_of(e)) on_state_(who, std::move(*r));
}

void DeviceMessages::firmware(const session::Scope& who, std::string_view version) {
  if (on_firmware_) on_firmware_(who, version);
}

bool DeviceMessages::to_json(std::string_view envelope, std::string& json) {
  v1::Envelope e;
  if (!wire::parse(e, envelope)) return false;
  json.clear();
  return google::protobuf::util::MessageToJsonString(e, &json).ok();
}

}  // namespace berth::gateway::engine
