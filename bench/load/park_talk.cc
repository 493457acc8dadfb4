#include "bench/load/talk.h"
#include "protocol/park/device.h"

namespace berth::bench {

namespace {

namespace park = protocol::park;

class ParkTalk final : public Talk, private park::DeviceHandler {
 public:
  explicit ParkTalk(const Role& role)
      : device_({.client_id = role.id,
                 .auth_id = role.user,
                 .key = role.password,
                 .session_expiry_s = role.clean ? std::optional<std::uint32_t>(0) : std::nullopt,
                 .heartbeat_s = role.keep_alive_s},
                *this) {}

  void opened() override { device_.opened(); }
  bool receive(std::string& in, Listener& to) override {
    to_ = &to;
    const bool good = device_.receive(base::as_bytes(in));
    in.clear();
    to_ = nullptr;
    return good;
  }
  // The device counts its reports from 1.
  void publish(std::uint32_t, std::string_view payload, bool) override {
    device_.report(park::FrameType::event, std::string(payload));
  }
  void ping() override { device_.ping(); }
  void bye() override { device_.bye(); }
  std::string& out() override { return device_.out(); }
  bool repeats() const override { return true; }

 private:
  void on_welcome(bool resumed) override {
    to_->on_connected(resumed);
    to_->on_ready();
  }
  void on_acked(std::uint64_t number) override {
    to_->on_settled(static_cast<std::uint32_t>(number - 1));
  }
  void on_refused(std::uint64_t number, std::uint32_t, const std::string&) override {
    to_->on_settled(static_cast<std::uint32_t>(number - 1));
  }
  void on_command(const park::DeviceCommand& c) override { device_.received(c); }

  Listener* to_ = nullptr;  // during receive()
  park::Device device_;
};

}  // namespace

std::unique_ptr<Talk> park_talk(const Role& role) {
  return std::make_unique<ParkTalk>(role);
}

}  // namespace berth::bench
