#include "session/message_translator.h"

#include "protocol/mqtt/properties.h"
#include "session/command_topic.h"
#include "session/events.h"
#include "session/principal_key.h"

namespace berth::session {

const std::string* MessageTranslator::to_json(const Channel& ch, const std::string& report) {
  const bool json = ch.scope && ch.scope->translation().format == Format::json &&
                    messages_ != nullptr && messages_->to_json(report, translated_.payload);
  return json ? &translated_.payload : nullptr;
}

namespace mqtt = protocol::mqtt;

// Content Type, as properties that are passed on (MQTT 5.0 3.3.2.3.9).
std::string_view MessageTranslator::envelope_properties(bool json) {
  const auto encoded = [](std::string_view type) {
    std::string b;
    mqtt::put_property_string(b, mqtt::Property::content_type, type);
    return b;
  };
  static const std::string kProtobuf = encoded("application/x-protobuf;msg=berth.v1.Envelope");
  static const std::string kJson = encoded("application/json;msg=berth.v1.Envelope");
  return json ? kJson : kProtobuf;
}

// A device's message becomes what its platform is to get; what it may not say stays as it is and is
// refused.
DeviceMessages::What MessageTranslator::translate(Channel& ch, MessageView& m, base::Instant now) {
  using What = DeviceMessages::What;
  static constexpr std::string_view kNobody = "$tenant//";  // that nobody can subscribe to
  if (messages_ == nullptr || !ch.scope || !ch.scope->translates() ||
      ch.scope->who().role != Role::device || !ch.scope->enter_topic(m.topic, entered_topic_))
    return What::as_is;
  // By its place in the connection's bytes: the same when an engine's successor hears it again.
  const std::string id = std::to_string(ch.session->epoch) + "-" + std::to_string(ch.in_off);
  const What what = messages_->translate(*ch.scope, ch.session->epoch, clocks_.wall_at(now), id,
                                         m.topic, m.payload, translated_);
  if (what == What::as_is || what == What::wait) return what;
  count(what);
  if (what == What::swallowed) {
    m.topic = kNobody;
    m.retain = false;
    return what;
  }
  m.topic = translated_.topic;
  m.payload = translated_.payload;
  m.forwarded = envelope_properties(translated_.json);
  return what;
}

void MessageTranslator::count(DeviceMessages::What what) {
  using What = DeviceMessages::What;
  ++(what == What::raw    ? probe_.untranslated
     : what == What::json ? probe_.translated_json
                          : probe_.translated);
}

// A device's will is an event like others: its platform gets it as it gets these. It says when it
// fired, not when its device came.
void MessageTranslator::translate_will(const Session& s, Will& w, base::Instant now) {
  using What = DeviceMessages::What;
  const std::string_view principal = principal_of(s.client_id);
  if (messages_ == nullptr || usage_.registry() == nullptr || !is_registered(principal)) return;
  const Principal who = principal_from(principal);
  MessageView m = w.message->view();
  const ScopePtr scope = who.role == Role::device
                             ? usage_.registry()->scope_of_will(who, site_of_topic(m.topic))
                             : nullptr;
  if (!scope || !scope->translates()) return;
  const std::string said(scope->leave(m.topic, left_));
  const std::string id = std::to_string(s.epoch) + "-will";
  const What what =
      messages_->translate(*scope, s.epoch, clocks_.wall_at(now), id, said, m.payload, translated_);
  if (what != What::replaced && what != What::json && what != What::raw) return;
  if (!scope->enter_topic(translated_.topic, entered_topic_)) return;
  count(what);
  m.topic = entered_topic_;
  m.payload = translated_.payload;
  m.forwarded = envelope_properties(translated_.json);
  w.message = MessagePtr(m);
}

// Of a topic that its publisher may publish to, and that a device may have. Not null: nobody gets
// it. A command whose id or child its device could not say in a RESULT is refused before the device
// does it.
const char* MessageTranslator::name_fault(Channel& ch, std::string_view said, bool retained) {
  const bool device = ch.scope && ch.scope->who().role == Role::device;
  if (device) {
    if (retained && (is_own_command(said) || is_vendors_command(ch, said)))
      return refuse_command(ch, said, {kRetainedCommand, ch.scope->who().name});
    if (said.starts_with("v1/") && !is_report_topic(said)) {
      ++probe_.untranslated;
      events::no_report(ch, said);
    }
    return nullptr;
  }
  Unanswerable u = unanswerable(said, retained);
  if (retained && u.why == nullptr && is_devices_topic(ch, said)) u.why = kRetainedCommand;
  return u.why == nullptr ? nullptr : refuse_command(ch, said, u);
}

const char* MessageTranslator::refuse_command(Channel& ch, std::string_view said,
                                              const Unanswerable& u) {
  ++probe_.drop_command_refused;
  if (Account* a = ch.session->account) a->count(&Usage::refused, 1);
  events::command_refused(ch, said, u);
  return u.why;
}

const char* MessageTranslator::will_fault(const Channel& ch) const {
  const PendingConnect& c = *ch.connect;
  if (!c.will) return nullptr;
  const std::string_view topic = c.will->message->view().topic;
  static constexpr const char* kCommand = "its will is a command: a will can't command a device";
  bool command = false;
  if (!ch.scope) {
    command = topic.starts_with("v1/_/") && is_devices_downlink(topic);
  } else if (ch.scope->who().role == Role::device) {
    command = is_own_command(topic) || is_own_desired(topic) || is_vendors_command(ch, topic);
  } else {  // only a PUBLISH is a request
    command = is_devices_downlink(topic) || is_command(topic) || is_devices_topic(ch, topic);
  }
  return command ? kCommand : nullptr;
}

// Products may have come since its CONNECT.
bool MessageTranslator::is_command_now(const Session& s, const Will& w) const {
  const std::string_view principal = principal_of(s.client_id);
  if (messages_ == nullptr || !is_registered(principal)) return false;
  std::string_view topic = w.message->view().topic;
  const std::string_view tenant = tenant_of(principal);
  const std::size_t root = kTenantRoot.size() + tenant.size() + 1;
  if (!topic.starts_with(kTenantRoot) || topic.size() < root) return false;
  topic.remove_prefix(root);
  return is_device(principal) ? messages_->vendors_command(tenant, topic).has_value()
                              : messages_->is_devices_topic(tenant, topic);
}

void MessageTranslator::limit(MessageView& m, const DeviceMessages::Lasts& lasts,
                              base::Instant now) const {
  const bool named = m.expires_at != base::kNever;
  const base::Instant last = messages_at(now).plus_ms(named ? lasts.ttl_max_ms : lasts.ttl_ms);
  if (!named || last < m.expires_at) m.expires_at = last;
}

void MessageTranslator::limit_command(const Channel& ch, std::string_view said, MessageView& m,
                                      base::Instant now) {
  const std::string_view type = said.substr(said.rfind('/') + 1);
  const std::string_view tenant = ch.scope ? std::string_view(ch.scope->who().tenant) : "";
  limit(m, messages_->lasts(tenant, device_of_request(said), type).value_or(kOfNoType), now);
}

void MessageTranslator::limit_vendors(const Channel& ch, std::string_view said, MessageView& m,
                                      base::Instant now) {
  const std::string& tenant = ch.scope->who().tenant;
  if (const auto lasts = messages_->vendors_command(tenant, said)) return limit(m, *lasts, now);
  if (messages_->is_devices_topic(tenant, said)) limit(m, kOfNoType, now);
}

// A service's command. One of a type without a class would wait as long as the session, and be
// carried out whenever the device comes back.
const char* MessageTranslator::address_command(Channel& ch, std::string_view said, MessageView& m,
                                               base::Instant now) {
  using Told = DeviceMessages::Told;
  const bool of_device = ch.scope && ch.scope->who().role != Role::service;
  if (messages_ == nullptr || of_device) return nullptr;
  const bool native = said.starts_with("v1/");
  if (!native && ch.scope) limit_vendors(ch, said, m, now);
  if (!native || !is_devices_command(said)) return nullptr;
  if (!ch.scope && !may_be_command(said)) return nullptr;
  limit_command(ch, said, m, now);
  if (!ch.scope || !is_device_request(said)) return nullptr;
  switch (messages_->command(*ch.scope, clocks_.wall_at(now), said, m.payload, translated_)) {
    case Told::as_is:
      return nullptr;
    case Told::in_vendors_words:
      m.payload = translated_.payload;
      m.forwarded = {};
      [[fallthrough]];
    case Told::elsewhere:
      m.topic = translated_.topic;
      m.retain = false;
      return nullptr;
    case Told::refused:
      break;
  }
  return refuse_command(ch, said, {translated_.why, device_of_request(said)});
}

}  // namespace berth::session
