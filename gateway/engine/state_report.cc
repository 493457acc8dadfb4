#include "gateway/engine/state_report.h"

#include <google/protobuf/util/json_util.h>

#include <string>

#include "platform/shortened.h"

namespace berth::gateway::engine {

std::optional<platform::StateReport> state_report_of(const v1::Envelope& e) {
  platform::StateReport r;
  const google::protobuf::Message* body = nullptr;
  std::string part;
  if (e.has_barrier()) {
    r.type = "barrier";
    r.state = static_cast<std::uint32_t>(e.barrier().position());
    part = e.barrier().lane();
    if (!v1::BarrierPosition_IsValid(e.barrier().position())) r.state = v1::BARRIER_UNKNOWN;
    body = &e.barrier();
  } else if (e.has_charger()) {
    r.type = "charger";
    r.state = static_cast<std::uint32_t>(e.charger().state());
    part = std::to_string(e.charger().connector());
    body = &e.charger();
  } else if (e.has_alarm()) {
    r.type = "alarm";
    r.state = static_cast<std::uint32_t>(e.alarm().severity());
    r.ended = !e.alarm().active();
    part = e.alarm().code();
    body = &e.alarm();
  } else {
    return std::nullopt;
  }
  r.part = e.child().empty() ? part : part.empty() ? e.child() : e.child() + "/" + part;
  constexpr std::size_t kPartMax = 128;
  constexpr std::size_t kTextMax = 300;
  r.part = platform::shortened(r.part, kPartMax);
  v1::Alarm alarm;
  if (e.has_alarm()) {
    alarm = e.alarm();
    alarm.set_code(std::string(platform::shortened(alarm.code(), kPartMax)));
    alarm.set_text(std::string(platform::shortened(alarm.text(), kTextMax)));
    body = &alarm;
  }
  // The power of a charger changes all the time: what is stored is what it does.
  v1::ChargerStatus charger;
  if (e.has_charger()) {
    charger.set_connector(e.charger().connector());
    charger.set_state(e.charger().state());
    charger.set_fault(e.charger().fault());
    body = &charger;
  }
  if (!google::protobuf::util::MessageToJsonString(*body, &r.body).ok()) r.body = "{}";
  return r;
}

}  // namespace berth::gateway::engine
