#include "gateway/uplink/mqtt_attempt.h"

#include <mqtt/async_client.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/log.h"
#include "gateway/uplink/command_places.h"
#include "gateway/uplink/secrets.h"
#include "protocol/mqtt/properties.h"

namespace berth::gateway::uplink {

using namespace std::chrono_literals;

namespace {

constexpr auto kConnectLimit = 10s;
constexpr auto kKeepAlive = 20s;
constexpr std::size_t kCommandsMax = 1000;       // that are not stored yet
constexpr auto kPlaceLimit = 1s;                 // for which a command waits for a place
constexpr std::size_t kReceiveMaximum = 65'535;  // of a platform that names none
constexpr int kInflight = 4000;                  // more than an uplink's window

// What the platform says of a message that it would say again of the same message (MQTT 5 3.4.2.1):
// topic name invalid, payload format invalid, packet too large.
bool is_for_ever(int code) {
  return code == 0x90 || code == 0x99 || code == 0x95;
}

// Codes of MQTT 5, and 1 to 5 of a CONNACK of MQTT 3.1.1.
std::string reason_of(int code) {
  char hex[8];
  std::snprintf(hex, sizeof hex, "0x%02X", static_cast<unsigned>(code) & 0xff);
  const bool password = code == 0x86 || code == 0x87 || code == 4 || code == 5;
  return std::string(hex) + (password ? ", user name or password" : "");
}

std::string paho_uri(const Url& url) {
  return (url.tls ? "ssl://" : "tcp://") + url.authority();
}

// As encoded by a publisher and passed on (3.3.2.3). A part that is not known ends it.
void add_properties(std::string_view encoded, mqtt::properties& out) {
  using protocol::mqtt::Property;
  const auto text = [&encoded](std::string& t) {
    if (encoded.size() < 2) return false;
    const std::size_t n =
        static_cast<std::uint8_t>(encoded[0]) << 8 | static_cast<std::uint8_t>(encoded[1]);
    if (encoded.size() < 2 + n) return false;
    t = encoded.substr(2, n);
    encoded.remove_prefix(2 + n);
    return true;
  };
  while (!encoded.empty()) {
    const auto p = static_cast<Property>(encoded.front());
    encoded.remove_prefix(1);
    std::string a, b;
    if (p == Property::payload_format && !encoded.empty()) {
      out.add({mqtt::property::PAYLOAD_FORMAT_INDICATOR, static_cast<std::uint8_t>(encoded[0])});
      encoded.remove_prefix(1);
    } else if (p == Property::content_type && text(a)) {
      out.add({mqtt::property::CONTENT_TYPE, a});
    } else if (p == Property::response_topic && text(a)) {
      // of a topic here, which the platform can't use
    } else if (p == Property::correlation_data && text(a)) {
      out.add({mqtt::property::CORRELATION_DATA, a});
    } else if (p == Property::user_property && text(a) && text(b)) {
      if (!a.starts_with("berth-")) out.add({mqtt::property::USER_PROPERTY, a, b});  // our names
    } else {
      return;
    }
  }
}

// Its listeners live as long as it.
class MqttAttempt final : public Attempt, private mqtt::iaction_listener {
 public:
  MqttAttempt(const UplinkConfig& config, const std::string& client_id, Commands commands,
              Teller tell)
      : tell_(std::move(tell)),
        commands_(std::move(commands)),
        v5_(config.version == 5),
        client_(paho_uri(config.where()), client_id,
                mqtt::create_options(v5_ ? MQTTVERSION_5 : MQTTVERSION_3_1_1, kInflight), nullptr),
        connecting_(*this),
        subscribing_(*this) {
    client_.set_connection_lost_handler([this](const std::string& why) {
      tell_.lost(why.empty() ? "the platform has closed the connection" : why);
    });
    // Also without commands: what a broker sends unasked would pile up in Paho.
    client_.set_message_callback([this](const mqtt::const_message_ptr& m) {
      if (!commands_.filter.empty()) take(*m);
    });
    mqtt::connect_options o;
    if (v5_) {
      o.set_mqtt_version(MQTTVERSION_5);
      o.set_clean_start(true);
    } else {
      o.set_mqtt_version(MQTTVERSION_3_1_1);
      o.set_clean_session(true);
    }
    o.set_connect_timeout(kConnectLimit);
    o.set_keep_alive_interval(kKeepAlive);
    o.set_max_inflight(kInflight);
    if (!config.user_name.empty()) o.set_user_name(config.user_name);
    if (!config.password_file.empty()) o.set_password(secret_in(config.password_file));
    if (config.where().tls) o.set_ssl(tls_of(config));
    client_.connect(o, nullptr, connecting_);
  }

  ~MqttAttempt() override { places_->end(); }

  void publish(std::uint64_t place, const Upward& m) override {
    auto message = mqtt::make_message(m.topic, m.payload.data(), m.payload.size(), 1, m.retain);
    if (v5_) {
      mqtt::properties all;
      add_properties(m.properties, all);
      all.add({mqtt::property::USER_PROPERTY, "berth-id", m.id});
      if (m.replay) all.add({mqtt::property::USER_PROPERTY, "berth-replay", "1"});
      if (m.expires != Upward::kNever) {
        const auto left =
            std::chrono::ceil<std::chrono::seconds>(m.expires - std::chrono::steady_clock::now());
        all.add({mqtt::property::MESSAGE_EXPIRY_INTERVAL,
                 static_cast<std::int32_t>(std::clamp<std::int64_t>(left.count(), 1, INT32_MAX))});
      }
      message->set_properties(std::move(all));
    }
    client_.publish(message, reinterpret_cast<void*>(static_cast<std::uintptr_t>(place)), *this);
  }

 private:
  // On Paho's thread, which holds the lock of all of Paho's clients and sends the PUBACK when this
  // returns. It does not wait for the store: the session at the platform is a clean one, so what
  // was not acknowledged would not come again after the death of this engine.
  void take(const mqtt::message& m) {
    if (m.is_retained()) {
      BERTH_LOG(warn, "a retained command is not taken: it would come again topic=\"{}\"",
                m.get_topic());
      return;
    }
    if (!places_->take()) {
      BERTH_LOG(err, "a command of a platform is dropped: {} are not stored yet topic=\"{}\"",
                kCommandsMax, m.get_topic());
      return;
    }
    Downward d;
    d.topic = m.get_topic();
    d.payload = m.to_string();
    if (v5_) {
      const mqtt::properties& all = m.get_properties();
      if (all.contains(mqtt::property::CORRELATION_DATA))
        d.correlation = mqtt::get<mqtt::binary>(all, mqtt::property::CORRELATION_DATA);
      if (all.contains(mqtt::property::MESSAGE_EXPIRY_INTERVAL))
        d.expires_in_s = mqtt::get<std::uint32_t>(all, mqtt::property::MESSAGE_EXPIRY_INTERVAL);
    }
    d.stored = [places = places_] { places->free(); };
    commands_.take(std::move(d));
  }

  struct Connecting final : mqtt::iaction_listener {
    explicit Connecting(MqttAttempt& a) : attempt(a) {}
    void on_success(const mqtt::token& t) override {
      if (!attempt.commands_.filter.empty())
        attempt.client_.subscribe(attempt.commands_.filter, 1, nullptr, attempt.subscribing_);
      attempt.tell_.connected(receive_maximum(t));
    }
    // Of the platform (MQTT 5 3.2.2.3.3). Paho keeps to it too, but looks only now and then whether
    // there is room again.
    std::size_t receive_maximum(const mqtt::token& t) const {
      if (!attempt.v5_) return kReceiveMaximum;
      const mqtt::properties all = t.get_connect_response().get_properties();
      if (!all.contains(mqtt::property::RECEIVE_MAXIMUM)) return kReceiveMaximum;
      return mqtt::get<std::uint16_t>(all, mqtt::property::RECEIVE_MAXIMUM);
    }
    void on_failure(const mqtt::token& t) override {
      // Paho tells no more of what it has met; of a CONNACK it has the code in one place or the
      // other.
      const int code = std::max(static_cast<int>(t.get_reason_code()), t.get_return_code());
      attempt.tell_.lost(
          code > 0 ? "the platform refuses the log-in: " + reason_of(code)
                   : "no MQTT connection: look at the host's name, the port, TLS and certificates "
                     "(Paho's return code " +
                         std::to_string(t.get_return_code()) + ")");
    }
    MqttAttempt& attempt;
  };

  struct Subscribing final : mqtt::iaction_listener {
    explicit Subscribing(const MqttAttempt& a) : attempt(a) {}
    void on_success(const mqtt::token& t) override {  // MQTT 3.1.1 says 0x80 here
      if (static_cast<int>(t.get_reason_code()) >= 0x80) on_failure(t);
    }
    void on_failure(const mqtt::token& t) override {
      BERTH_LOG(
          err,
          "the platform refuses the subscription, so no command comes filter=\"{}\" why=\"{}\"",
          attempt.commands_.filter, reason_of(static_cast<int>(t.get_reason_code())));
    }
    const MqttAttempt& attempt;
  };

  static mqtt::ssl_options tls_of(const UplinkConfig& c) {
    mqtt::ssl_options s;
    // Without it OpenSSL's own place is looked at. Not ca_path(): Paho 1.2 keeps a pointer to it.
    if (!c.ca_file.empty()) s.set_trust_store(c.ca_file);
    if (!c.cert_file.empty()) s.set_key_store(c.cert_file);
    if (!c.key_file.empty()) s.set_private_key(c.key_file);
    s.set_enable_server_cert_auth(true);
    s.set_verify(true);
    return s;
  }
  static std::uint64_t place_of(const mqtt::token& t) {
    return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(t.get_user_context()));
  }
  void on_success(const mqtt::token& t) override {
    const int code = static_cast<int>(t.get_reason_code());
    if (code < 0x80) return tell_.acknowledged(place_of(t));
    refused(t, code);
  }
  void on_failure(const mqtt::token& t) override {
    refused(t, static_cast<int>(t.get_reason_code()));
  }
  void refused(const mqtt::token& t, int code) {
    if (is_for_ever(code)) return tell_.refused(place_of(t), reason_of(code));
    tell_.lost(code >= 0x80 ? "the platform refuses a message: " + reason_of(code)
                            : "the connection has ended");
  }

  const Teller tell_;
  const Commands commands_;
  const bool v5_;
  const std::shared_ptr<CommandPlaces> places_ =
      std::make_shared<CommandPlaces>(kCommandsMax, kPlaceLimit);
  mqtt::async_client client_;
  Connecting connecting_;
  Subscribing subscribing_;
};

}  // namespace

std::unique_ptr<Attempt> dial_mqtt(const UplinkConfig& config, const std::string& client_id,
                                   Commands commands, Teller tell) {
  return std::make_unique<MqttAttempt>(config, client_id, std::move(commands), std::move(tell));
}

}  // namespace berth::gateway::uplink
