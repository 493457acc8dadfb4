#include "sim/devices.h"

#include <chrono>

namespace berth::sim {

namespace {

constexpr std::int64_t kSkew_s = 3600;
constexpr std::size_t kDoneMax = 256;  // commands a device remembers

std::int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool happens(double percent, std::minstd_rand& random) {
  return std::uniform_real_distribution(0.0, 100.0)(random) < percent;
}

}  // namespace

Device::Device(boost::asio::io_context& io, const Lot& lot, const Lot::Device& what, Tally& tally,
               ConnectionCounts& counts, std::minstd_rand& random)
    : lot_(lot),
      name_(what.name),
      tally_(tally),
      random_(random),
      ids_(what.name + "-" + std::to_string(unix_ms() / 1000) + "-"),
      skewed_(happens(lot.misbehaviour.skewed_percent, random)) {
  speaker_ = make_speaker(lot, what.name, what.protocol,
                          {.command = [this](const auto& id, const auto& name,
                                             const auto& payload) { command(id, name, payload); },
                           .acked =
                               [this](std::uint64_t number) {
                                 const auto it = unacked_.find(number);
                                 if (it == unacked_.end()) return;
                                 tally_.acked(it->second);
                                 unacked_.erase(it);
                               },
                           .refused = [this](const std::string&) { ++tally_.refused; }});
  connection_ = std::make_unique<Connection>(
      io, what.protocol == Protocol::park ? lot.park : lot.mqtt,
      Connection::Line{.opened = [this] { speaker_->opened(); },
                       .closed = [this] { speaker_->closed(); },
                       .receive = [this](base::ByteView b) { return speaker_->receive(b); },
                       .out = [this]() -> std::string& { return speaker_->out(); },
                       .ready = [this] { return speaker_->ready(); },
                       .ping = [this] { speaker_->ping(); }},
      counts, random);
}

void Device::say(Kind kind, v1::Envelope& e) {
  const std::int64_t now_ms = unix_ms() + (skewed_ ? kSkew_s * 1000 : 0);
  e.mutable_event_time()->set_seconds(now_ms / 1000);
  e.mutable_event_time()->set_nanos(static_cast<std::int32_t>(now_ms % 1000 * 1'000'000));
  if (!connected()) e.set_replay(true);
  const std::uint64_t number = speaker_->report(kind, e);
  if (kind == Kind::event && number != 0) unacked_[number] = e.event_id();
}

std::string Device::event(v1::Envelope e) {
  e.set_event_id(ids_ + std::to_string(++events_));
  ++tally_.events;
  tally_.said(e.event_id());
  say(Kind::event, e);
  if (happens(lot_.misbehaviour.duplicate_percent, random_)) say(Kind::event, e);
  connection_->flush();
  return e.event_id();
}

void Device::telemetry(v1::Envelope e) {
  ++tally_.telemetry;
  say(Kind::telemetry, e);
  connection_->flush();
}

void Device::state(v1::Envelope e) {
  e.set_event_id(ids_ + std::to_string(++events_));
  say(Kind::state, e);
  connection_->flush();
}

void Device::away(std::uint32_t seconds) {
  connection_->away(seconds);
}

void Device::command(const std::string& id, const std::string& command_name,
                     const std::string& payload) {
  const bool again = !done_.try_emplace(id, true).second;
  if (done_.size() > kDoneMax) done_.erase(done_.begin());
  v1::Envelope e;
  e.set_event_id("r" + id);
  e.mutable_result()->set_command_id(id);
  e.mutable_result()->set_outcome(again ? v1::DUPLICATE : v1::EXECUTED);
  say(Kind::result, e);
  if (again) return;
  ++tally_.executed;
  if (on_command) on_command(command_name, payload);
}

Platform::Platform(boost::asio::io_context& io, const Lot& lot, Tally& tally,
                   ConnectionCounts& counts, std::minstd_rand& random)
    : tally_(tally), run_(std::to_string(unix_ms())) {
  const bool registered = !lot.tenant.empty();
  client_ = std::make_unique<MqttClient>(
      MqttClient::Options{.client_id = "platform-" + lot.name,
                          .user_name = registered ? "platform@" + lot.tenant : "",
                          .password = lot.password,
                          .filters = {"v1/+/+/event/#", "v1/+/+/sub/+/event/#"}},
      MqttClient::Events{.message = [this](auto topic, auto payload) { heard(topic, payload); },
                         .acked = {}});
  connection_ = std::make_unique<Connection>(
      io, lot.mqtt,
      Connection::Line{.opened = [this] { client_->opened(); },
                       .closed = [this] { client_->closed(); },
                       .receive = [this](base::ByteView b) { return client_->receive(b); },
                       .out = [this]() -> std::string& { return client_->out(); },
                       .ready = [this] { return client_->ready(); },
                       .ping = [this] { client_->ping(); }},
      counts, random);
}

void Platform::heard(std::string_view topic, std::string_view payload) {
  v1::Envelope e;
  if (!e.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    ++tally_.unknown;
    return;
  }
  const std::uint64_t doubled = tally_.doubled;
  if (!tally_.heard(e.event_id()) || tally_.doubled != doubled) return;
  if (e.has_plate() && !e.replay()) open(topic, e.event_id());
  if (!on_news) return;
  if (e.has_plate()) on_news(e.plate().plate().number() + " at " + std::string(topic));
  if (e.has_alarm()) on_news("alarm " + e.alarm().code() + " at " + std::string(topic));
}

// v1/SITE/DEVICE/event/plate. It names the event for which the barrier is to open.
void Platform::open(std::string_view topic, const std::string& event_id) {
  const std::size_t end = topic.rfind("/event/");
  if (end == std::string_view::npos) return;
  ++tally_.commands;
  // QoS 0: a barrier that opens late opens for nobody.
  client_->publish(std::string(topic.substr(0, end)) + "/cmd/" + run_ + "-" +
                       std::to_string(++commands_) + "/req/open_barrier",
                   event_id, 0);
}

}  // namespace berth::sim
