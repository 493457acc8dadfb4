// What becomes of a message between its device and its platform (device_messages.h): Envelopes, and
// commands in a vendor's words. One shard, one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "session/command_topic.h"
#include "session/context.h"
#include "session/device_messages.h"
#include "session/message.h"
#include "session/session.h"
#include "session/tenant_usage.h"

namespace berth::session {

class MessageTranslator final : private Room {
 public:
  MessageTranslator(Context& cx, TenantUsage& usage) : Room(cx), usage_(usage) {}

  void use(DeviceMessages& m) { messages_ = &m; }
  // A device's report with this body, which is not translated.
  void state(const Channel& ch, std::uint32_t body, std::string_view report) {
    if (messages_ != nullptr && ch.scope &&
        (protocol::messages::tells_state(body) || messages_->watched))
      messages_->state(*ch.scope, report);
  }
  void firmware(const Channel& ch, std::string_view version) {
    if (messages_ != nullptr && ch.scope && !version.empty())
      messages_->firmware(*ch.scope, version);
  }
  // Of traces; `envelope` is that of `e`, completed.
  void reported(const Channel& ch, const protocol::messages::EnvelopeView& e,
                std::string_view made_id, std::string& envelope, base::Instant now) {
    if (messages_ != nullptr && messages_->traces && ch.scope)
      messages_->reported(*ch.scope, ch.session->epoch, clocks_.wall_at(now), e, made_id, envelope);
  }
  // A translated message of this channel, or a report, has been accepted.
  void taken(const Channel& ch) {
    if (messages_ != nullptr && messages_->traces && ch.scope) messages_->taken();
  }
  // Returns a report as JSON, if its product asks for that. Null: the report is not translated.
  // Good until the next call.
  const std::string* to_json(const Channel& ch, const std::string& report);

  // Content Type, as properties that are passed on (MQTT 5.0 3.3.2.3.9).
  static std::string_view envelope_properties(bool json);
  // Translates a device's message for its platform. A topic that the device may not publish to is
  // not translated; the caller refuses it. `m` refers to the translator's memory afterwards, good
  // until the next call.
  DeviceMessages::What translate(Channel& ch, MessageView& m, base::Instant now);
  // A device's will is an event like others: its platform gets it as it gets these.
  void translate_will(const Session& s, Will& w, base::Instant now);
  // Of a topic that its publisher may publish to, and that a device may have. Not null: why it is
  // not delivered. `retained`: the PUBLISH has RETAIN 1.
  const char* name_fault(Channel& ch, std::string_view said, bool retained);
  // Of the will of a CONNECT, before its topic is as it is inside. Not null: why it is refused. A
  // command or desired state would be sent when its sender is gone, whatever holds then.
  const char* will_fault(const Channel& ch) const;
  // The same of a will that is to be published now.
  bool is_command_now(const Session& s, const Will& w) const;
  // A service's command goes to the device that carries it out, in its vendor's words. Not null:
  // why it is not sent at all.
  const char* address_command(Channel& ch, std::string_view said, MessageView& m,
                              base::Instant now);

 private:
  void count(DeviceMessages::What what);
  // A topic that a product gives its devices, of a service.
  bool is_devices_topic(const Channel& ch, std::string_view topic) const {
    return messages_ != nullptr && ch.scope && ch.scope->who().role == Role::service &&
           messages_->is_devices_topic(ch.scope->who().tenant, topic);
  }
  bool is_vendors_command(const Channel& ch, std::string_view topic) const {
    return messages_ != nullptr && ch.scope && !topic.starts_with("v1/") &&
           messages_->vendors_command(ch.scope->who().tenant, topic).has_value();
  }
  // A command that is published has a deadline, whatever its publisher says: that of its type. It
  // would else wait as long as the session of its device.
  void limit(MessageView& m, const DeviceMessages::Lasts& lasts, base::Instant now) const;
  void limit_command(const Channel& ch, std::string_view said, MessageView& m, base::Instant now);
  void limit_vendors(const Channel& ch, std::string_view said, MessageView& m, base::Instant now);
  // Of a command without a known class: it may open a barrier.
  static constexpr DeviceMessages::Lasts kOfNoType{2'000, 60'000};
  const char* refuse_command(Channel& ch, std::string_view said, const Unanswerable& u);

  TenantUsage& usage_;
  std::string left_;                    // scratch: a topic as a device calls it
  DeviceMessages* messages_ = nullptr;  // null: nothing is translated
  DeviceMessages::Out translated_;
  std::string entered_topic_;
};

}  // namespace berth::session
