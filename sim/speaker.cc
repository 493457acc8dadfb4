#include "sim/speaker.h"

#include <openssl/evp.h>

#include <boost/json.hpp>

#include "protocol/park/device.h"
#include "sim/mqtt_client.h"

namespace berth::sim {

namespace park = protocol::park;

namespace {

constexpr std::uint16_t kHeartbeat_s = 30;

std::string base64(const std::string& bytes, bool decode) {
  std::string out((bytes.size() + 2) / 3 * 4 + 4, '\0');
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  const int n = decode ? EVP_DecodeBlock(to, from, size) : EVP_EncodeBlock(to, from, size);
  out.resize(static_cast<std::size_t>(std::max(n, 0)));
  if (decode && bytes.ends_with("==")) return out.substr(0, out.size() - 2);
  return decode && bytes.ends_with('=') ? out.substr(0, out.size() - 1) : out;
}

std::string auth_id(const Lot& lot, const std::string& device) {
  return lot.tenant.empty() ? std::string() : device + "@" + lot.tenant;
}

class ParkSpeaker final : public Speaker, private park::DeviceHandler {
 public:
  ParkSpeaker(const Lot& lot, const std::string& device, Events events)
      : events_(std::move(events)),
        device_({.client_id = device,
                 .auth_id = auth_id(lot, device),
                 .key = base64(lot.key, true),
                 .firmware = "berth-sim",
                 .heartbeat_s = kHeartbeat_s},
                *this) {}
  void opened() override { device_.opened(); }
  void closed() override { device_.closed(); }
  bool receive(base::ByteView bytes) override { return device_.receive(bytes); }
  std::string& out() override { return device_.out(); }
  bool ready() const override { return device_.ready(); }
  std::uint32_t heartbeat_s() const override { return device_.heartbeat_s(); }
  void ping() override { device_.ping(); }
  std::uint64_t report(Kind kind, const v1::Envelope& e) override {
    static constexpr park::FrameType kTypes[] = {park::FrameType::event, park::FrameType::telemetry,
                                                 park::FrameType::state, park::FrameType::result};
    return device_.report(kTypes[static_cast<int>(kind)], e.SerializeAsString());
  }
  std::size_t unacknowledged() const override { return device_.unacknowledged(); }

 private:
  void on_acked(std::uint64_t n) override { events_.acked(n); }
  void on_command(const park::DeviceCommand& c) override {
    device_.received(c);
    if (!c.desired) events_.command(c.id, c.name, c.payload);
  }
  void on_refused(std::uint64_t, std::uint32_t, const std::string& text) override {
    events_.refused(text);
  }
  void on_end(const park::DeviceEnd& e) override {
    if (!e.planned) events_.refused(e.text);
  }
  Events events_;
  park::Device device_;
};

// Native, or a vendor's camera: then what it recognises goes out in the vendor's JSON.
class MqttSpeaker final : public Speaker {
 public:
  MqttSpeaker(const Lot& lot, const std::string& device, bool camera, Events events)
      : root_(lot.tenant.empty() ? "v1/_/" + device + "/" : "v1/"),
        vendor_(camera ? "device/" + device + "/message/" : ""),
        events_(std::move(events)),
        client_({.client_id = device,
                 .user_name = auth_id(lot, device),
                 .password = lot.password,
                 .keep_alive_s = kHeartbeat_s,
                 .filters = {camera ? vendor_ + "down/gate_direct_open" : root_ + "cmd/+/req/+"}},
                {.message = [this](auto topic, auto payload) { on_message(topic, payload); },
                 .acked = [this](auto n) { events_.acked(n); }}) {}
  void opened() override { client_.opened(); }
  void closed() override { client_.closed(); }
  bool receive(base::ByteView bytes) override { return client_.receive(bytes); }
  std::string& out() override { return client_.out(); }
  bool ready() const override { return client_.ready(); }
  std::uint32_t heartbeat_s() const override { return kHeartbeat_s; }
  void ping() override { client_.ping(); }
  std::size_t unacknowledged() const override { return client_.unacknowledged(); }
  std::uint64_t report(Kind kind, const v1::Envelope& e) override {
    if (!vendor_.empty() && e.has_plate())
      return client_.publish(vendor_ + "up/ivs_result", vendor_json(e), 1);
    if (!vendor_.empty() && e.has_result()) {
      const boost::json::object reply{{"id", e.result().command_id()}, {"code", 200}};
      return client_.publish(vendor_ + "down/gate_direct_open/reply", boost::json::serialize(reply),
                             1);
    }
    std::string topic = root_;
    if (!e.child().empty()) topic += "sub/" + e.child() + "/";
    const auto* body = v1::Envelope::descriptor()->FindFieldByNumber(e.body_case());
    if (kind == Kind::event) topic += "event/" + body->name();
    if (kind == Kind::telemetry) topic += "telemetry/" + body->name();
    if (kind == Kind::state) topic += "state";
    if (kind == Kind::result) topic += "cmd/" + e.result().command_id() + "/res";
    return client_.publish(topic, e.SerializeAsString(), kind == Kind::telemetry ? 0 : 1);
  }

 private:
  // root cmd/ID/req/NAME, or the vendor's
  void on_message(std::string_view topic, std::string_view payload) {
    if (!vendor_.empty()) return on_vendor_command(payload);
    topic.remove_prefix(std::min(topic.size(), root_.size() + 4));
    const std::size_t slash = topic.find('/');
    const std::size_t last = topic.rfind('/');
    if (slash != std::string_view::npos)
      events_.command(std::string(topic.substr(0, slash)), std::string(topic.substr(last + 1)),
                      std::string(payload));
  }
  void on_vendor_command(std::string_view payload) {
    boost::json::error_code ec;
    const boost::json::value v = boost::json::parse(payload, ec);
    const auto text = [&](const char* at) {
      const boost::json::value* found = ec ? nullptr : v.find_pointer(at, ec);
      return found != nullptr && found->is_string() ? std::string(found->get_string())
                                                    : std::string();
    };
    const std::string id = text("/id");
    if (!id.empty()) events_.command(id, "open_barrier", text("/payload/body/reason"));
  }
  static std::string vendor_json(const v1::Envelope& e) {
    const v1::PlateRecognized& p = e.plate();
    const boost::json::object result{
        {"plateid", e.event_id()},
        {"license", base64(p.plate().number(), false)},
        {"colorType", static_cast<int>(p.plate().color())},
        {"confidence", p.confidence()},
        {"direction", p.direction() == v1::IN ? 3 : 4},
        {"triggerType", 8},
        {"isoffline", e.replay() ? 1 : 0},
        {"timeStamp", {{"Timeval", {{"sec", e.event_time().seconds()}, {"usec", 0}}}}}};
    return boost::json::serialize(boost::json::object{
        {"id", e.event_id()},
        {"name", "ivs_result"},
        {"payload",
         {{"AlarmInfoPlate", {{"channel", 0}, {"result", {{"PlateResult", result}}}}}}}});
  }
  std::string root_;
  std::string vendor_;
  Events events_;
  MqttClient client_;
};

}  // namespace

std::unique_ptr<Speaker> make_speaker(const Lot& lot, const std::string& device, Protocol protocol,
                                      Speaker::Events events) {
  if (protocol == Protocol::park)
    return std::make_unique<ParkSpeaker>(lot, device, std::move(events));
  return std::make_unique<MqttSpeaker>(lot, device, protocol == Protocol::camera,
                                       std::move(events));
}

}  // namespace berth::sim
