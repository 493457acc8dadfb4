#include <utility>

#include "bench/load/mqtt_packets.h"
#include "bench/load/talk.h"
#include "protocol/mqtt/framer.h"

namespace berth::bench {

namespace {

namespace mqtt = protocol::mqtt;
constexpr std::size_t kPacketMax = 1 << 20;

class MqttTalk final : public Talk {
 public:
  explicit MqttTalk(Role role) : role_(std::move(role)) {}

  void opened() override {
    out_.clear();
    put_connect(out_, role_.id, role_.clean, role_.keep_alive_s, role_.user, role_.password);
  }

  bool receive(std::string& in, Listener& to) override {
    std::size_t used = 0;
    bool good = true;
    while (good) {
      mqtt::Frame f;
      const auto status =
          mqtt::next_frame(base::as_bytes(std::string_view(in).substr(used)), kPacketMax, f);
      if (status == mqtt::FrameStatus::need_more) break;
      good =
          status == mqtt::FrameStatus::complete && on_packet(f.header, base::as_text(f.body), to);
      used += f.size;
    }
    in.erase(0, good ? used : in.size());
    return good;
  }

  void publish(std::uint32_t number, std::string_view payload, bool again) override {
    put_publish(out_, role_.topic, role_.qos, number % 65'535 + 1, again, payload);
    newest_ = number;
  }
  void ping() override { out_.append("\xc0\x00", 2); }
  void bye() override { out_.append("\xe0\x00", 2); }
  std::string& out() override { return out_; }
  bool repeats() const override { return false; }

 private:
  bool on_packet(unsigned header, std::string_view body, Listener& to) {
    const unsigned type = header >> 4;
    if (type == 3) return on_publish(header, body, to);
    if (type == 13) return true;  // PINGRESP
    if (body.size() < 2) return false;
    const unsigned id = u16(body);
    switch (type) {
      case 2:  // CONNACK
        if (body[1] != 0) return false;
        to.on_connected((body[0] & 1) != 0);
        return begin((body[0] & 1) != 0, to);
      case 4:  // PUBACK
      case 7:  // PUBCOMP
        to.on_settled(number_of(id));
        return true;
      case 5:  // PUBREC
        put_answer(out_, 0x62, id);
        return true;
      case 6:  // PUBREL
        put_answer(out_, 0x70, id);
        return true;
      case 9:  // SUBACK
        if (body.size() < 3 || (body[2] & 0x80) != 0) return false;
        to.on_ready();
        return true;
      default:
        return false;
    }
  }

  // A session that is there has its subscription.
  bool begin(bool present, Listener& to) {
    if (role_.filter.empty() || present) {
      to.on_ready();
    } else {
      put_subscribe(out_, 1, role_.filter, role_.qos);
    }
    return true;
  }

  bool on_publish(unsigned header, std::string_view body, Listener& to) {
    const unsigned qos = (header >> 1) & 3;
    const std::size_t topic = body.size() < 2 ? body.size() : u16(body);
    const std::size_t head = 2 + topic + (qos != 0 ? 2 : 0);
    if (qos > 2 || body.size() < head) return false;
    if (qos != 0) put_answer(out_, qos == 1 ? 0x40 : 0x50, u16(body.substr(2 + topic)));
    to.on_message(body.substr(head));
    return true;
  }

  static unsigned u16(std::string_view in) {
    return static_cast<unsigned char>(in[0]) * 256u + static_cast<unsigned char>(in[1]);
  }
  // The newest one that has this packet id.
  std::uint32_t number_of(unsigned id) const {
    const std::uint32_t back = (newest_ % 65'535 + 1 + 65'535 - id) % 65'535;
    return newest_ - back;
  }

  Role role_;
  std::string out_;
  std::uint32_t newest_ = 0;
};

}  // namespace

std::unique_ptr<Talk> mqtt_talk(Role role) {
  return std::make_unique<MqttTalk>(std::move(role));
}

}  // namespace berth::bench
