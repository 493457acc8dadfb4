#include "session/topic_gate.h"

#include "protocol/mqtt/topic.h"
#include "session/principal_key.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Reason;

void TopicGate::use_access(const AccessPolicy* access) {
  access_ = access;
}

Identity TopicGate::identity_of(const Channel& ch) const {
  return {ch.user_name ? std::string_view(*ch.user_name) : std::string_view(),
          client_id_of(ch.session->client_id)};
}

// False: this topic is not for this device. `inside` is `topic` itself or lies in entered_.
bool TopicGate::enter_topic(Channel& ch, std::string_view topic, std::string_view& inside) {
  if (ch.scope) {
    if (!ch.scope->enter_topic(topic, entered_)) return false;
    inside = entered_;
    return true;
  }
  inside = topic;
  if (topic.starts_with("$SYS/") || topic.starts_with(kTenantRoot)) return false;
  return access_ == nullptr || access_->may_publish(identity_of(ch), topic);
}

// The filter as it is kept, "$share/group/" included.
Reason TopicGate::enter_filter(Channel& ch, std::string_view wanted, std::string& raw) const {
  const mqtt::ParsedFilter p = mqtt::parse_filter(wanted);
  if (!p.valid) return Reason::topic_filter_invalid;
  if (!ch.scope) {
    raw = wanted;
    const bool good = !p.filter.starts_with(kTenantRoot) &&
                      (access_ == nullptr || access_->may_subscribe(identity_of(ch), p.filter));
    return good ? Reason::success : Reason::not_authorized;
  }
  if (!ch.scope->enter_filter(p.filter, raw)) return Reason::not_authorized;
  if (p.shared && !may_share(*ch.scope)) return Reason::not_authorized;
  if (p.shared) raw.insert(0, std::string(wanted.substr(0, wanted.size() - p.filter.size())));
  return raw.size() <= 65535 ? Reason::success : Reason::topic_filter_invalid;
}

bool TopicGate::admit_will(Channel& ch) {
  PendingConnect& c = *ch.connect;
  if (!c.will) return true;
  MessageView m = c.will->message->view();
  std::string inside;
  if (ch.scope) {
    if (!ch.scope->enter_topic(m.topic, inside)) return false;
    m.topic = inside;
    c.will->message = MessagePtr(m);
    return true;
  }
  const Identity who{c.user_name, c.client_id};
  return !m.topic.starts_with('$') && (access_ == nullptr || access_->may_publish(who, m.topic));
}

bool TopicGate::may_hear(const Channel& ch, std::string_view topic) {
  if (ch.session->peer != 0) return true;
  if (ch.scope) {
    std::string scratch;
    std::string inside;
    const std::string_view said = ch.scope->leave(topic, scratch);
    return ch.scope->enter_filter(said, inside) && inside == topic;
  }
  return !topic.starts_with(kTenantRoot) &&
         (access_ == nullptr || access_->may_subscribe(identity_of(ch), topic));
}

}  // namespace berth::session
