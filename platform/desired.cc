#include "platform/desired.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <utility>

#include "platform/platform.pb.h"
#include "session/scope.h"

namespace berth::platform {

namespace {

constexpr std::string_view kDesiredKey{"!s\0", 3};

std::string json_text(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "\"";
  for (const unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out.append(1, '\\').push_back(static_cast<char>(c));
    } else if (c < 0x20) {
      out.append("\\u00").append(1, kDigits[c >> 4]).push_back(kDigits[c & 15]);
    } else {
      out.push_back(static_cast<char>(c));
    }
  }
  return out + "\"";
}

// JSON as it is, anything else as a text.
std::string value_of(const std::string& payload) {
  google::protobuf::Value v;
  const bool json = !payload.empty() && (payload[0] == '{' || payload[0] == '[') &&
                    google::protobuf::util::JsonStringToMessage(payload, &v).ok();
  return json ? payload : json_text(payload);
}

std::string part_name(const pb::DesiredPart& p) {
  return p.slot().empty() ? p.type() : p.type() + "/" + p.slot();
}

std::string text_of(const pb::DesiredRecord& r) {
  std::string parts;
  for (const pb::DesiredPart& p : r.parts()) {
    if (!parts.empty()) parts += ",";
    parts += json_text(part_name(p)) + R"(:{"command_id":)" + json_text(p.command_id()) +
             R"(,"version":)" + std::to_string(p.version()) + R"(,"payload":)" +
             value_of(p.payload()) + "}";
  }
  return R"({"version":)" + std::to_string(r.version()) + R"(,"desired":{)" + parts + "}}";
}

// A device may have answered a newer part and not an older one: `reported_version` does not tell.
bool is_answered(const pb::DesiredPart& p, const pb::DesiredRecord& r) {
  return r.notes_answers() ? p.answered() : p.version() <= r.reported_version();
}

void note_answers(pb::DesiredRecord& r) {
  for (pb::DesiredPart& p : *r.mutable_parts()) p.set_answered(is_answered(p, r));
  r.set_notes_answers(true);
}

// The device has answered each part.
bool is_in_step(const pb::DesiredRecord& r) {
  return std::all_of(r.parts().begin(), r.parts().end(),
                     [&r](const pb::DesiredPart& p) { return is_answered(p, r); });
}

bool has(const google::protobuf::RepeatedPtrField<std::string>& sites, const std::string& site) {
  return sites.empty() || std::find(sites.begin(), sites.end(), site) != sites.end();
}

// Versions are about the times when they came (Desired::set()).
pb::DesiredAnswer::Device device_of(std::string name, const pb::DesiredRecord& r) {
  pb::DesiredAnswer::Device d;
  d.set_name(std::move(name));
  d.set_site(r.site());
  d.set_version(r.version());
  d.set_reported_version(r.reported_version());
  d.set_in_step(is_in_step(r));
  std::uint64_t since = r.version();
  for (const pb::DesiredPart& p : r.parts()) {
    if (is_answered(p, r)) continue;
    since = std::min(since, p.version());
    d.add_open(part_name(p));
  }
  d.set_since_ms(static_cast<std::int64_t>(since));
  return d;
}

bool is_asked_for(const pb::DesiredQuestion& q, const pb::DesiredAnswer::Device& d) {
  const bool step = q.step() == pb::DesiredQuestion::ANY ||
                    d.in_step() == (q.step() == pb::DesiredQuestion::IN_STEP);
  const bool time = d.since_ms() >= q.from_ms() && (q.to_ms() == 0 || d.since_ms() < q.to_ms());
  return step && time && has(q.sites(), d.site());
}

}  // namespace

std::string Desired::key_of(std::string_view tenant, std::string_view device) {
  return std::string(kDesiredKey) + joined(tenant, device);
}

bool Desired::is_key(std::string_view key) {
  return key.starts_with(kDesiredKey);
}

void Desired::restored(std::string_view key, std::string_view value) {
  pb::DesiredRecord r;
  (void)r.ParseFromArray(value.data(), static_cast<int>(value.size()));
  put(std::string(key), std::string(value), is_in_step(r));
}

void Desired::forget(std::string_view key) {
  erase(key);
}

void Desired::put(const std::string& key, std::string value, bool in_step) {
  erase(key);
  all_.emplace(key, Kept{std::move(value), in_step});
  if (!in_step) ++not_in_step_;
}

void Desired::erase(std::string_view key) {
  const auto it = all_.find(key);
  if (it == all_.end()) return;
  if (!it->second.in_step) --not_in_step_;
  all_.erase(it);
}

pb::DesiredRecord* Desired::parse(const std::string& key, pb::DesiredRecord& into) const {
  const auto it = all_.find(key);
  return it != all_.end() && into.ParseFromString(it->second.record) ? &into : nullptr;
}

namespace {

// Inside.
std::string topic_of(std::string_view tenant, std::string_view site, std::string_view told) {
  std::string topic(session::kTenantRoot);
  topic.append(tenant).append("/v1/").append(site).append("/").append(told);
  return topic + "/desired";
}

bool is_of(const pb::DesiredPart& p, const Asked& a) {
  return p.type() == a.type && p.slot() == a.slot;
}

}  // namespace

bool Desired::has_room(const Asked& asked) const {
  pb::DesiredRecord r;
  if (parse(key_of(asked.tenant, asked.device), r) == nullptr) return true;
  return static_cast<std::size_t>(r.parts_size()) < kParts ||
         std::any_of(r.parts().begin(), r.parts().end(),
                     [&asked](const pb::DesiredPart& p) { return is_of(p, asked); });
}

void Desired::set(const Entry& e, std::int64_t wall_ms, std::string& replaced) {
  const Asked& a = e.asked;
  const std::string key = key_of(a.tenant, a.device);
  pb::DesiredRecord r;
  parse(key, r);
  note_answers(r);
  auto* const parts = r.mutable_parts();
  const auto same = std::find_if(parts->begin(), parts->end(),
                                 [&a](const pb::DesiredPart& p) { return is_of(p, a); });
  pb::DesiredPart& part = same != parts->end() ? *same : *parts->Add();
  replaced = part.command_id();
  // Versions rise, whatever the clock does.
  r.set_version(std::max(r.version() + 1, static_cast<std::uint64_t>(wall_ms)));
  part.set_type(a.type);
  part.set_slot(a.slot);
  part.set_payload(a.payload);
  part.set_command_id(a.id);
  part.set_version(r.version());
  part.set_answered(false);
  r.set_site(e.site);
  publish(e, r);
  keep(key, r);
}

void Desired::reported(const Entry& e) {
  const std::string key = key_of(e.asked.tenant, e.asked.device);
  pb::DesiredRecord r;
  if (parse(key, r) == nullptr) return;
  note_answers(r);
  for (pb::DesiredPart& p : *r.mutable_parts()) {
    if (p.command_id() != e.asked.id) continue;
    p.set_answered(true);
    r.set_reported_version(std::max(r.reported_version(), p.version()));
  }
  keep(key, r);
}

void Desired::clear(const Entry& e, std::int64_t wall_ms) {
  const std::string key = key_of(e.asked.tenant, e.asked.device);
  pb::DesiredRecord r;
  if (parse(key, r) == nullptr) return;
  auto* const parts = r.mutable_parts();
  const int before = parts->size();
  parts->erase(
      std::remove_if(parts->begin(), parts->end(),
                     [&e](const pb::DesiredPart& p) { return p.command_id() == e.asked.id; }),
      parts->end());
  if (parts->size() == before) return;
  r.set_version(std::max(r.version() + 1, static_cast<std::uint64_t>(wall_ms)));
  publish(e, r);
  keep(key, r);
}

// For who is told in the device's place; that may be another one than the last time.
void Desired::publish(const Entry& e, pb::DesiredRecord& r) {
  const std::string child = e.asked.child.empty() ? "" : "/sub/" + e.asked.child;
  publish_to(topic_of(e.asked.tenant, e.executor_site, addressee(e.asked) + child), r);
}

void Desired::publish_to(std::string topic, pb::DesiredRecord& r) {
  if (!r.topic().empty() && r.topic() != topic) publish_(r.topic(), {});
  publish_(topic, text_of(r));
  r.set_topic(std::move(topic));
}

bool Desired::review(std::string_view tenant, std::string& after, const CommandWays& ways) {
  const std::string prefix = tenant.empty() ? std::string(kDesiredKey) : key_of(tenant, {});
  std::vector<std::string> keys;
  for (auto it = all_.upper_bound(after.empty() ? prefix : after);
       it != all_.end() && it->first.starts_with(prefix) && keys.size() <= kReviewed; ++it)
    keys.push_back(it->first);
  const bool more = keys.size() > kReviewed;
  if (more) keys.pop_back();
  if (!keys.empty()) after = keys.back();
  for (const std::string& key : keys) {
    const std::string_view names = std::string_view(key).substr(kDesiredKey.size());
    const std::size_t end = names.find('\0');
    if (end == std::string_view::npos) continue;
    const Place place = ways.place_of(names.substr(0, end), names.substr(end + 1));
    pb::DesiredRecord r;
    if (place.executor.empty() || parse(key, r) == nullptr) continue;
    const std::string child = place.child.empty() ? "" : "/sub/" + place.child;
    std::string topic = topic_of(names.substr(0, end), place.executor_site, place.executor + child);
    if (topic == r.topic() && r.site() == place.site) continue;
    r.set_site(place.site);
    if (topic != r.topic()) publish_to(std::move(topic), r);
    keep(key, r);
  }
  return more;
}

void Desired::keep(const std::string& key, const pb::DesiredRecord& r) {
  std::string value = r.SerializeAsString();
  records_.put(key, value);
  put(key, std::move(value), is_in_step(r));
}

std::vector<std::string> Desired::removed(std::string_view tenant, std::string_view device) {
  const std::string key = key_of(tenant, device);
  std::vector<std::string> commands;
  pb::DesiredRecord r;
  if (parse(key, r) == nullptr) return commands;
  publish_(r.topic().empty() ? topic_of(tenant, r.site(), device) : r.topic(), {});
  for (const pb::DesiredPart& p : r.parts()) commands.push_back(p.command_id());
  erase(key);
  records_.remove(key);
  return commands;
}

void Desired::each(const std::function<void(std::string_view, std::string_view)>& f) const {
  for (const auto& [key, value] : all_) {
    const std::string_view names = std::string_view(key).substr(kDesiredKey.size());
    const std::size_t end = names.find('\0');
    if (end != std::string_view::npos) f(names.substr(0, end), names.substr(end + 1));
  }
}

std::string Desired::list(std::string_view question, const Wanted& wanted) const {
  pb::DesiredQuestion q;
  pb::DesiredAnswer a;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  const std::string prefix = key_of(q.tenant(), {});
  const int limit = std::clamp(static_cast<int>(q.limit()), 1, kListed);
  int looked = 0;
  for (auto it = all_.upper_bound(prefix + q.after());
       it != all_.end() && it->first.starts_with(prefix); ++it) {
    if (looked++ == kLookedAt || a.devices_size() == limit) {
      a.set_more(true);
      break;
    }
    a.set_looked(it->first.substr(prefix.size()));
    pb::DesiredRecord r;
    if (!r.ParseFromString(it->second.record)) continue;
    auto device = device_of(a.looked(), r);
    if (is_asked_for(q, device) && wanted(device.name())) *a.add_devices() = std::move(device);
  }
  return a.SerializeAsString();
}

std::string Desired::document(std::string_view tenant, std::string_view device,
                              const std::function<bool(const std::string& site)>& sees) const {
  pb::DesiredRecord r;
  if (parse(key_of(tenant, device), r) == nullptr || !sees(r.site())) return {};
  std::string text = text_of(r);
  const bool in_step = is_in_step(r);
  text.pop_back();
  return text + R"(,"reported_version":)" + std::to_string(r.reported_version()) +
         R"(,"in_step":)" + (in_step ? "true" : "false") + "}";
}

}  // namespace berth::platform
