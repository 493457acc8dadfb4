// CONNECT to CONNACK (MQTT 5.0 3.1, 3.2).
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "base/assert.h"
#include "front/mqtt_front.h"
#include "protocol/mqtt/faults.h"
#include "session/events.h"
#include "session/peer_tag.h"
#include "session/principal_key.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Property;
using mqtt::Reason;
using protocol::link::CloseReason;

namespace {

constexpr std::size_t kClientIdMax = 1024;

std::unique_ptr<Will> make_will(const mqtt::WillView& v) {
  auto w = std::make_unique<Will>();
  w->message = MessagePtr(MessageView{.topic = v.topic,
                                      .payload = v.payload,
                                      .forwarded = v.properties.forwarded,
                                      .qos = v.qos,
                                      .retain = v.retain});
  w->delay_s = v.properties.will_delay_s;
  w->message_expiry_s = v.properties.message_expiry_s;
  return w;
}

// For the log, which is to name whoever is refused.
void name_newcomer(Channel& ch, std::string_view client_id, const mqtt::ConnectView& v) {
  ch.connect = std::make_unique<PendingConnect>();
  ch.connect->client_id = client_id;
  ch.connect->user_name = v.user_name.value_or("");
}

// connect := name:string level:u8 ...
std::string version_fault(const mqtt::Frame& f) {
  const std::size_t at = 2 + (std::size_t{f.body[0]} << 8 | f.body[1]);
  return "version " + std::to_string(f.body[at] & 0x7f) +
         " of the protocol, versions 3, 4 and 5 are spoken here";
}

}  // namespace

void MqttFront::on_connect(Channel& ch, const mqtt::Frame& f, base::Instant now) {
  mqtt::ConnectView v;
  const Reason e = mqtt::decode_connect(f, scratch_, v);
  if (e != Reason::success) {
    ++probe_.connect_protocol_error;
    const bool version = e == Reason::unsupported_protocol_version;
    const std::string why = version ? version_fault(f) : mqtt::text_of_fault(f, e);
    name_newcomer(ch, v.client_id.empty() ? mqtt::peek_client_id(f) : v.client_id, v);
    if (version || v.version == mqtt::Version::v5)
      return refuse_connect(ch, v.version, e, Quota::none, why);
    return clients_.fail(ch, e, CloseReason::protocol_error, why);
  }
  if (v.properties.has(Property::auth_method)) {  // no enhanced authentication (4.12)
    ++probe_.connect_unauthorized;
    name_newcomer(ch, v.client_id, v);
    return refuse_connect(ch, v.version, Reason::bad_authentication_method, Quota::none,
                          "enhanced authentication is not spoken here");
  }
  const bool v5 = v.version == mqtt::Version::v5;
  const bool bad_id = v.client_id.size() > kClientIdMax ||
                      (v.client_id.empty() && !v5 && !v.clean_start);  // 3.1.1: 3.1.3-8
  const bool peer = partitioned() && v.client_id.starts_with(kPeerClient);
  const bool forged = v.client_id.starts_with(kUplinkClient) ||
                      (peer && (!connections_.edges()[ch.conn.link()].internal ||
                                peer_of_client(v.client_id) == 0));
  if (bad_id || forged) {
    ++probe_.connect_protocol_error;
    name_newcomer(ch, v.client_id, v);
    return refuse_connect(ch, v.version, Reason::client_identifier_not_valid, Quota::none,
                          v.client_id.empty() ? "no client id, and Clean Session is 0"
                          : forged            ? "a client id of the gateway itself"
                                              : "a client id of more than 1,024 bytes");
  }
  auto c = std::make_unique<PendingConnect>();
  c->assigned_id = v.client_id.empty();
  c->client_id = c->assigned_id ? assign_client_id() : std::string(v.client_id);
  const Newcomer from = ch.newcomer ? std::move(*ch.newcomer) : Newcomer{};
  ch.newcomer.reset();
  c->user_name =
      from.certificate.empty() ? std::string(v.user_name.value_or("")) : from.certificate;
  c->clean_start = v.clean_start;
  if (v.will) c->will = make_will(*v.will);
  c->keep_alive_asked_s = v.keep_alive_s;
  const std::uint32_t max = options_.session_expiry_max_s;
  c->expiry_asked_s = v5 ? v.properties.session_expiry_s : v.clean_start ? 0 : max;
  c->expiry_s = peer ? mqtt::kNoExpiry : std::min(c->expiry_asked_s, max);
  ch.version = v.version == mqtt::Version::v31 ? mqtt::Version::v311 : v.version;
  ch.receive_maximum = std::min(v.properties.receive_maximum, options_.inflight_max);
  ch.alias_maximum = v.properties.topic_alias_maximum;
  ch.packet_max = v.properties.maximum_packet_size;
  ch.problem_info = v.properties.request_problem_info != 0;
  const std::uint16_t cap = options_.keep_alive_max_s;
  ch.keep_alive_s =
      cap != 0 && (v.keep_alive_s == 0 || v.keep_alive_s > cap) ? cap : v.keep_alive_s;
  AuthRequest request{.has_user_name = v.user_name.has_value(),
                      .loopback = ch.loopback,
                      .address = from.address,
                      .certificate = from.certificate,
                      .authorities = from.authorities,
                      .user_name = c->user_name,
                      .password = std::string(v.password.value_or("")),
                      .client_id = c->client_id};
  ch.connect = std::move(c);
  ch.state = Channel::State::authenticating;
  if (peer) return login_.authenticated(ch.conn, {}, now);  // its link has shown who it is
  effects_.authenticate(ch.conn, std::move(request));
  if (ch.state == Channel::State::authenticating) stall(ch);
}

// What the server chose (3.2.2.3). Absent means: QoS 2, retain, wildcards, subscription identifiers
// and shared subscriptions are all available.
std::string MqttFront::connack_properties(const Channel& ch) const {
  const PendingConnect& c = *ch.connect;
  std::string p;
  if (c.expiry_s != c.expiry_asked_s) {
    mqtt::put_property_u32(p, Property::session_expiry, c.expiry_s);
  }
  mqtt::put_property_u16(p, Property::receive_maximum, options_.receive_maximum);
  mqtt::put_property_u32(p, Property::maximum_packet_size, options_.packet_max);
  if (c.assigned_id)
    mqtt::put_property_string(p, Property::assigned_client_id, client_id_of(c.client_id));
  if (options_.alias_maximum != 0) {
    mqtt::put_property_u16(p, Property::topic_alias_maximum, options_.alias_maximum);
  }
  if (ch.keep_alive_s != c.keep_alive_asked_s) {
    mqtt::put_property_u16(p, Property::server_keep_alive, ch.keep_alive_s);
  }
  return p;
}

std::string MqttFront::assign_client_id() {
  static constexpr char kHex[] = "0123456789abcdef";
  static std::random_device device;
  for (;;) {
    std::string id = "auto-";
    for (int word = 0; word < 4; ++word) {
      std::uint32_t bits = device();
      for (int i = 0; i < 8; ++i, bits >>= 4) id.push_back(kHex[bits & 15]);
    }
    // One of our partition: with it the device comes here again.
    if (protocol::link::partition_of(id, options_.partitions) == options_.partition) return id;
  }
}

void MqttFront::refuse(Channel& ch, mqtt::Version v, Reason reason, Quota quota,
                       std::string_view why, ComeBack) {
  events::refused(ch, reason, quota, why);
  std::string properties;
  const bool unknown =  // a client that is not authenticated gets the code without its reason
      reason == Reason::bad_user_name_or_password || reason == Reason::not_authorized;
  if (quota != Quota::none) {
    mqtt::put_property_string(properties, Property::reason_string, text_of(quota));
  } else if (!unknown && !why.empty()) {
    mqtt::put_property_string(properties, Property::reason_string, why);
  }
  encode_within(ch, properties, [&](std::string_view optional) {
    mqtt::encode_connack(head_, v, false, reason, optional);
  });
  if (!head_.empty()) effects_.send(ch.conn, head_, {});
  ch.state = Channel::State::closing;
  effects_.close(ch.conn, CloseReason::refused);
}

bool MqttFront::accept(Channel& ch, bool present, base::Instant) {
  const std::string props = ch.v5() ? connack_properties(ch) : std::string();
  return say(ch, {}, [&](std::string_view) {
    mqtt::encode_connack(head_, ch.version, present, Reason::success, props);
  });
}

void MqttFront::restore(Channel& ch, std::uint8_t level, std::uint8_t, std::string_view) {
  ch.version = static_cast<mqtt::Version>(level);
}

}  // namespace berth::session
