#include "gateway/uplink/mqtt_connection.h"

#include <mqtt/async_client.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstdio>
#include <utility>

#include "base/log.h"
#include "base/read_file.h"
#include "base/text.h"
#include "protocol/mqtt/properties.h"
#include "session/uplinks.h"

namespace berth::gateway::uplink {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto kPauseFirst = 500ms;
constexpr auto kPauseLongest = 10'000ms;
constexpr auto kConnectLimit = 10s;
constexpr auto kKeepAlive = 20s;
constexpr auto kStuck = 30s;
constexpr auto kWatchEvery = 1s;
constexpr int kProofs = 2;               // that a message ends connections and others do not
constexpr int kReceiveMaximum = 65'535;  // of a platform that names none
constexpr std::size_t kInflight = 4000;  // more than an uplink's window

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

std::string paho_uri(const std::string& url) {
  const bool tls = url.starts_with("mqtts://");
  std::string host = url.substr(tls ? 8 : 7);
  while (host.ends_with('/')) host.pop_back();
  const bool port = host.find(':', host.rfind(']') == std::string::npos ? 0 : host.rfind(']')) !=
                    std::string::npos;
  if (!port) host += tls ? ":8883" : ":1883";
  return (tls ? "ssl://" : "tcp://") + host;
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
      out.add({mqtt::property::USER_PROPERTY, a, b});
    } else {
      return;
    }
  }
}

}  // namespace

void MqttConnection::Shared::tell(const std::shared_ptr<Shared>& s, Told t) {
  const std::lock_guard lock(s->mutex);
  if (s->owner == nullptr) return;
  s->told.push_back(std::move(t));
  if (std::exchange(s->posted, true)) return;
  asio::post(*s->io, [s] {
    MqttConnection* owner = nullptr;
    {
      const std::lock_guard inner(s->mutex);
      owner = s->owner;
    }
    if (owner != nullptr) owner->hear();
  });
}

// A client of Paho's, for one connection; its listeners live as long as it.
class MqttConnection::Attempt final : private mqtt::iaction_listener {
 public:
  Attempt(std::shared_ptr<Shared> shared, std::uint64_t number, const UplinkConfig& config,
          const std::string& client_id)
      : shared_(std::move(shared)),
        number_(number),
        v5_(config.version == 5),
        client_(paho_uri(config.url), client_id,
                mqtt::create_options(v5_ ? MQTTVERSION_5 : MQTTVERSION_3_1_1,
                                     static_cast<int>(kInflight)),
                nullptr),
        connecting_(*this) {
    client_.set_connection_lost_handler([this](const std::string& why) {
      Shared::tell(shared_, {number_, Told::What::lost, 0, 0,
                             why.empty() ? "the platform has closed the connection" : why});
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
    o.set_max_inflight(static_cast<int>(kInflight));
    if (!config.user_name.empty()) o.set_user_name(config.user_name);
    if (!config.password_file.empty()) o.set_password(password_in(config.password_file));
    if (config.url.starts_with("mqtts://")) o.set_ssl(tls_of(config));
    client_.connect(o, nullptr, connecting_);
  }

  // Throws mqtt::exception: the connection is of no use.
  void publish(std::uint64_t place, const Upward& m) {
    auto message = mqtt::make_message(m.topic, m.payload.data(), m.payload.size(), 1, m.retain);
    if (v5_) {
      mqtt::properties all;
      add_properties(m.properties, all);
      all.add({mqtt::property::USER_PROPERTY, "berth-id", m.id});
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
  struct Connecting final : mqtt::iaction_listener {
    explicit Connecting(Attempt& a) : attempt(a) {}
    void on_success(const mqtt::token& t) override {
      Shared::tell(attempt.shared_,
                   {attempt.number_, Told::What::connected, 0, receive_maximum(t), {}});
    }
    // Of the platform (MQTT 5 3.2.2.3.3). Paho keeps to it too, but looks only now and then whether
    // there is room again.
    int receive_maximum(const mqtt::token& t) const {
      if (!attempt.v5_) return kReceiveMaximum;
      const mqtt::properties all = t.get_connect_response().get_properties();
      if (!all.contains(mqtt::property::RECEIVE_MAXIMUM)) return kReceiveMaximum;
      return mqtt::get<std::uint16_t>(all, mqtt::property::RECEIVE_MAXIMUM);
    }
    void on_failure(const mqtt::token& t) override {
      // Paho tells no more of what it has met; of a CONNACK it has the code in one place or the
      // other.
      const int code = std::max(static_cast<int>(t.get_reason_code()), t.get_return_code());
      const std::string why =
          code > 0 ? "the platform refuses the log-in: " + reason_of(code)
                   : "no MQTT connection: look at the host's name, the port, TLS and certificates "
                     "(Paho's return code " +
                         std::to_string(t.get_return_code()) + ")";
      Shared::tell(attempt.shared_, {attempt.number_, Told::What::lost, 0, 0, why});
    }
    Attempt& attempt;
  };

  static std::string password_in(const std::string& path) {
    std::string p = base::read_file(path);
    while (p.ends_with('\n') || p.ends_with('\r')) p.pop_back();
    return p;
  }
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
    Shared::tell(shared_, {number_,
                           Told::What::acknowledged,
                           place_of(t),
                           static_cast<int>(t.get_reason_code()),
                           {}});
  }
  void on_failure(const mqtt::token& t) override {
    const int code = static_cast<int>(t.get_reason_code());
    Shared::tell(shared_, {number_, Told::What::failed, place_of(t), code, {}});
  }

  const std::shared_ptr<Shared> shared_;
  const std::uint64_t number_;
  const bool v5_;
  mqtt::async_client client_;
  Connecting connecting_;
};

MqttConnection::MqttConnection(asio::io_context& io, const UplinkConfig& config,
                               std::string client_id, const Sink::Events& events)
    : io_(io),
      config_(config),
      client_id_(std::move(client_id)),
      events_(events),
      timer_(io),
      watch_(io),
      pause_(kPauseFirst) {
  shared_->owner = this;
  shared_->io = &io_;
  begin_attempt();
  watch();
}

MqttConnection::~MqttConnection() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->owner = nullptr;
  }
  attempt_.reset();
}

void MqttConnection::add_to(SinkState& s) const {
  ++s.connections;
  s.connected += connected_ ? 1 : 0;
  s.failures += failures_;
  s.refused += refused_;
  s.expired += expired_;
  if (!connected_ && !error_.empty()) s.error = error_;
}

void MqttConnection::begin_attempt() {
  attempt_.reset();
  next_place_ = first_place_;
  trial_.unacknowledged = 0;
  for (Pending& p : pending_) p.sent = false;
  progress_ = std::chrono::steady_clock::now();
  try {
    attempt_ = std::make_unique<Attempt>(shared_, ++attempts_, config_, client_id_);
  } catch (const std::exception& e) {  // Paho's, or a file that can't be read
    lose(e.what());
  }
}

// Another attempt follows after a pause.
void MqttConnection::lose(const std::string& why) {
  if (connected_) judge_loss();
  ++failures_;
  if (error_ != why || connected_)
    BERTH_LOG(warn, "uplink has lost its connection uplink={} client={} url={} error=\"{}\"",
              config_.name, client_id_, config_.url, why);
  error_ = why;
  connected_ = false;
  ++attempts_;  // what this one has still said is not heard
  attempt_.reset();
  std::uniform_int_distribution<std::int64_t> around(pause_.count() * 3 / 4,
                                                     pause_.count() * 5 / 4);
  timer_.expires_after(std::chrono::milliseconds(around(random_)));
  pause_ = std::min<std::chrono::milliseconds>(pause_ * 2, kPauseLongest);
  timer_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
    if (!ec && !alive.expired()) begin_attempt();
  });
}

void MqttConnection::judge_loss() {
  if (trial_.unacknowledged == 0) return;
  if (++trial_.fruitless >= 2) trial_.at_once = 1;
  // Alone on its way.
  if (trial_.unacknowledged != 1 || pending_.empty() || !pending_.front().sent ||
      pending_.front().done)
    return;
  if (trial_.suspect != first_place_) {
    trial_.suspect = first_place_;
    trial_.strikes = 0;
    trial_.works = false;
    trial_.proofs = 0;
  }
  ++trial_.strikes;
  const bool proof = std::exchange(trial_.works, false);
  trial_.proofs += proof ? 1 : 0;
  if (trial_.proofs >= kProofs) {
    refuse(pending_.front(), "the platform ends the connection for it");
    trial_.suspect = 0;
    trial_.fruitless = 0;
    finish_front();
  } else if (trial_.strikes >= 2) {
    trial_.other = another_than_front();
  }
}

// Of another device, so that the order stays; of the same one if there is no other.
std::uint64_t MqttConnection::another_than_front() const {
  std::uint64_t same = 0;
  for (std::size_t i = 1; i < pending_.size(); ++i) {
    if (pending_[i].done) continue;
    if (pending_[i].message.key != pending_.front().message.key) return first_place_ + i;
    if (same == 0) same = first_place_ + i;
  }
  return same;
}

void MqttConnection::refuse(Pending& p, const std::string& why) {
  ++refused_;
  p.done = true;
  BERTH_LOG(err, "the platform will never take a message uplink={} topic=\"{}\" why=\"{}\"",
            config_.name, base::LogName{p.message.topic}, why);
}

// A server that acknowledges nothing is taken for dead, whatever its TCP says.
void MqttConnection::watch() {
  watch_.expires_after(kWatchEvery);
  watch_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
    if (ec || alive.expired()) return;
    const auto quiet = std::chrono::steady_clock::now() - progress_;
    if (connected_ && trial_.unacknowledged != 0 && quiet > kStuck)
      lose("the platform has acknowledged nothing for 30 s");
    watch();
  });
}

void MqttConnection::hear() {
  std::vector<Told> all;
  {
    const std::lock_guard lock(shared_->mutex);
    all.swap(shared_->told);
    shared_->posted = false;
  }
  for (const Told& t : all) hear_one(t);
  finish_front();
  send_pending();
}

void MqttConnection::hear_one(const Told& t) {
  if (t.attempt != attempts_) return;
  switch (t.what) {
    case Told::What::connected:
      BERTH_LOG(info, "uplink connected uplink={} client={} url={} again={}", config_.name,
                client_id_, config_.url, pending_.size());
      connected_ = true;
      receive_maximum_ = static_cast<std::size_t>(std::max(t.code, 1));
      error_.clear();
      progress_ = std::chrono::steady_clock::now();
      return send_pending();
    case Told::What::lost:
      return lose(t.why);
    case Told::What::acknowledged:
      return acknowledged(t);
    case Told::What::failed:
      if (is_for_ever(t.code)) return acknowledged(t);
      return lose(t.code >= 0x80 ? "the platform refuses a message: " + reason_of(t.code)
                                 : "the connection has ended");
  }
}

void MqttConnection::acknowledged(const Told& t) {
  if (t.place < first_place_ || t.place - first_place_ >= pending_.size()) return;
  Pending& p = pending_[t.place - first_place_];
  if (p.done) return;
  if (t.code >= 0x80) refuse(p, reason_of(t.code));
  p.done = true;
  progress_ = std::chrono::steady_clock::now();
  pause_ = kPauseFirst;
  if (trial_.unacknowledged != 0) --trial_.unacknowledged;
  trial_.fruitless = 0;
  if (t.place == trial_.other) {
    trial_.works = true;
    trial_.other = 0;
  } else if (trial_.suspect == 0 || t.place == trial_.suspect) {
    trial_.suspect = 0;
    trial_.other = 0;
    if (trial_.at_once != SIZE_MAX) trial_.at_once *= 2;
    if (trial_.at_once > kInflight) trial_.at_once = SIZE_MAX;
  }
}

void MqttConnection::finish_front() {
  while (!pending_.empty() && pending_.front().done) {
    const Upward m = std::move(pending_.front().message);
    pending_.pop_front();
    ++first_place_;
    events_.done(m.generation, m.seq);
  }
}

void MqttConnection::take(Upward m) {
  pending_.push_back({std::move(m)});
  if (connected_) send_pending();
}

void MqttConnection::send_pending() {
  if (connected_ && trial_.other > first_place_) {  // alone
    const Pending& other = pending_[trial_.other - first_place_];
    if (!other.done && trial_.unacknowledged == 0 && !send(trial_.other)) return;
    if (!other.done) return;
    trial_.other = 0;  // it has expired: the next loss names another one
  }
  while (connected_ && next_place_ - first_place_ < pending_.size() &&
         trial_.unacknowledged < std::min(trial_.at_once, receive_maximum_) && send(next_place_))
    ++next_place_;
  finish_front();  // those that had expired
}

bool MqttConnection::send(std::uint64_t place) {
  Pending& p = pending_[place - first_place_];
  if (p.done || p.sent) return true;  // acknowledged before those in front of it; or on its way
  if (p.message.expires <= std::chrono::steady_clock::now()) {
    ++expired_;
    p.done = true;
    return true;
  }
  if (trial_.unacknowledged == 0) progress_ = std::chrono::steady_clock::now();
  try {
    attempt_->publish(place, p.message);
    p.sent = true;
    ++trial_.unacknowledged;
    return true;
  } catch (const std::exception& e) {
    lose(e.what());
    return false;
  }
}

}  // namespace berth::gateway::uplink
