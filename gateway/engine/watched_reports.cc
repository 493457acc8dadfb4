#include "gateway/engine/watched_reports.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <utility>

#include "base/random_id.h"
#include "platform/shortened.h"

namespace berth::gateway::engine {

namespace pb = platform::pb;

namespace {

// The plate is apart, and pictures and numbers of cards and orders are nothing for a screen.
template <class Body>
void take_plate(Body& b, pb::WatchedReport& out) {
  out.set_plate(std::string(platform::shortened(b.plate().number(), 32)));
  b.mutable_plate()->clear_number();
}

// What is left of the body for people; false: nothing.
bool reduce(v1::Envelope& e, pb::WatchedReport& out) {
  switch (e.body_case()) {
    case v1::Envelope::kPlate:
      take_plate(*e.mutable_plate(), out);
      e.mutable_plate()->clear_images();
      e.mutable_plate()->clear_record_id();
      return true;
    case v1::Envelope::kVehicleArrived:
      take_plate(*e.mutable_vehicle_arrived(), out);
      e.mutable_vehicle_arrived()->clear_images();
      e.mutable_vehicle_arrived()->clear_visit_id();
      return true;
    case v1::Envelope::kVehicleLeft:
      take_plate(*e.mutable_vehicle_left(), out);
      e.mutable_vehicle_left()->clear_images();
      e.mutable_vehicle_left()->clear_visit_id();
      return true;
    case v1::Envelope::kSpace:
      take_plate(*e.mutable_space(), out);
      return true;
    case v1::Envelope::kAccess:
      e.mutable_access()->clear_credential_id();
      return true;
    case v1::Envelope::kCharge:
      e.mutable_charge()->clear_session_id();
      return true;
    case v1::Envelope::kAlarm:
      e.mutable_alarm()->set_text(std::string(platform::shortened(e.alarm().text(), 300)));
      return true;
    case v1::Envelope::kBarrier:
    case v1::Envelope::kCharger:
    case v1::Envelope::kLot:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<pb::WatchedReport> watched_report_of(const v1::Envelope& said) {
  const auto* field = v1::Envelope::descriptor()->FindFieldByNumber(said.body_case());
  if (field == nullptr) return std::nullopt;
  v1::Envelope e = said;
  pb::WatchedReport out;
  if (!reduce(e, out)) return std::nullopt;
  out.set_type(field->name());
  out.set_child(std::string(platform::shortened(e.child(), 128)));
  out.set_replay(e.replay());
  const auto& body = e.GetReflection()->GetMessage(e, field);
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(body, &json).ok() ||
      json.size() > WatchedReports::kBodyMax)
    json = "{}";
  out.set_body(std::move(json));
  return out;
}

WatchedReports::WatchedReports() : engine_(base::random_id()) {}

void WatchedReports::take(const session::Principal& device, std::string_view site,
                          const v1::Envelope& e, std::int64_t wall_ms) {
  forget(wall_ms);
  const auto it = devices_.find(device.key());
  if (it == devices_.end()) return;
  auto r = watched_report_of(e);
  if (!r) return;
  Device& d = it->second;
  r->set_number(++d.newest);
  r->set_at_ms(wall_ms);
  r->set_site(std::string(site));
  if (d.reports.size() == kKept) d.reports.pop_front();
  d.reports.push_back(std::move(*r));
}

void WatchedReports::forget(std::int64_t wall_ms) {
  erase_if(devices_, [wall_ms](const auto& d) {
    return wall_ms - d.second.asked_ms > kAsked_ms || d.second.asked_ms - wall_ms > kAsked_ms;
  });
}

std::optional<std::string> WatchedReports::answer(std::string_view question, std::int64_t wall_ms) {
  pb::ReportsQuestion q;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  forget(wall_ms);
  const std::string key = session::Principal{q.tenant(), session::Role::device, q.device()}.key();
  if (devices_.size() >= kDevices && devices_.find(key) == devices_.end()) return std::nullopt;
  Device& d = devices_[key];
  d.asked_ms = wall_ms;
  pb::ReportsAnswer a;
  a.set_engine(engine_);
  a.set_through(d.newest);
  for (const pb::WatchedReport& r : d.reports) {
    if (q.engine() == engine_ && r.number() > q.after()) *a.add_reports() = r;
  }
  return a.SerializeAsString();
}

}  // namespace berth::gateway::engine
