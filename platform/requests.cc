#include "platform/requests.h"

#include <algorithm>
#include <utility>

#include "platform/platform.pb.h"
#include "protocol/link/types.h"
#include "protocol/mqtt/properties.h"
#include "session/command_topic.h"

namespace berth::platform {

using protocol::mqtt::Property;

namespace {

constexpr std::string_view kKey{"!m\0", 3};

// A property of those that are passed on (MQTT 5.0 3.3.2.3), encoded; empty: it is not there.
std::string_view property(std::string_view all, Property wanted) {
  const auto text = [&all] {
    if (all.size() < 2) return std::string_view();
    const std::size_t n =
        static_cast<unsigned char>(all[0]) * 256u + static_cast<unsigned char>(all[1]);
    if (all.size() < 2 + n) {
      all = {};
      return std::string_view();
    }
    const std::string_view value = all.substr(2, n);
    all.remove_prefix(2 + n);
    return value;
  };
  while (!all.empty()) {
    const auto id = static_cast<Property>(all.front());
    all.remove_prefix(1);
    if (id == Property::payload_format) {
      all.remove_prefix(all.empty() ? 0 : 1);
      continue;
    }
    const std::string_view value = text();
    if (id == wanted) return value;
    if (id == Property::user_property) text();
  }
  return {};
}

std::string_view level(std::string_view& topic) {
  const std::size_t end = std::min(topic.find('/'), topic.size());
  const std::string_view first = topic.substr(0, end);
  topic.remove_prefix(std::min(end + 1, topic.size()));
  return first;
}

}  // namespace

bool read_request(const session::Scope& service, const session::MessageView& m, pb::Request& out) {
  std::string_view topic = m.topic;
  if (!topic.starts_with(session::kTenantRoot)) return false;
  topic.remove_prefix(session::kTenantRoot.size());
  const std::string_view tenant = level(topic);
  if (level(topic) != "v1") return false;
  const std::string_view site = level(topic);
  const std::string_view device = level(topic);
  if (level(topic) != "command") return false;
  const std::string_view id = level(topic);
  if (level(topic) != "request") return false;
  const std::string_view type = level(topic);
  if (!topic.empty() || id.empty() || type.empty()) return false;
  out.set_tenant(std::string(tenant));
  out.set_site(std::string(site));
  out.set_device(std::string(device));
  out.set_id(std::string(id));
  out.set_type(std::string(type));
  out.set_payload(std::string(m.payload.substr(0, kPayloadMax + 1)));
  out.set_caller(service.who().name);
  for (const std::string& s : service.allowed()) out.add_caller_sites(s);
  std::string inside;
  const std::string_view answer = property(m.forwarded, Property::response_topic);
  if (!answer.empty()) {
    // Only where the service could publish itself, and no device takes it for a command.
    if (service.enter_topic(answer, inside) && !session::is_devices_downlink(answer)) {
      out.set_response_topic(inside);
    } else {
      out.set_response_refused(true);
    }
  }
  out.set_correlation(std::string(property(m.forwarded, Property::correlation_data)));
  if (m.expires_at != base::kNever) out.set_expires_ms(m.expires_at.ms);
  return true;
}

std::string correlation_property(std::string_view correlation) {
  if (correlation.empty()) return {};
  std::string out(1, static_cast<char>(Property::correlation_data));
  out.push_back(static_cast<char>(correlation.size() >> 8));
  out.push_back(static_cast<char>(correlation.size()));
  return out.append(correlation);
}

bool Requests::is_key(std::string_view key) {
  return key.starts_with(kKey);
}

void Requests::restored(std::string_view key, std::string_view value) {
  waiting_.insert_or_assign(std::string(key), std::string(value));
}

void Requests::forget(std::string_view key) {
  waiting_.erase(std::string(key));
}

void Requests::take(const pb::Request& request, const CommandWays* ways, At at) {
  if (waiting_.size() >= kMax)
    return refused_(request, {503, "busy", "too many requests wait for their answer"});
  // The same again, by the death of an engine say, is the same request, but for its times.
  pb::Request timeless = request;
  timeless.clear_taken_ms();
  timeless.clear_expires_ms();
  std::string key = std::string(kKey) + joined(request.tenant(), request.id());
  const std::uint64_t content = protocol::link::hash_of(timeless.SerializeAsString());
  key.append(1, '\0').append(request.device()).append(1, '\0');
  key.append(big_endian(static_cast<std::int64_t>(content)));
  // The time of the first one counts. Written again, so that each PUBACK waits for a commit.
  const auto [it, is_new] = waiting_.try_emplace(key, request.SerializeAsString());
  records_.put(key, it->second);
  if (is_new) submit(key, request, ways, at);
}

void Requests::go_on(const CommandWays* ways, At at) {
  const std::map<std::string, std::string> all = waiting_;
  for (const auto& [key, value] : all) {
    pb::Request request;
    if (request.ParseFromString(value)) {
      submit(key, request, ways, at);
    } else {
      waiting_.erase(key);
      records_.remove(key);
    }
  }
}

void Requests::submit(const std::string& key, const pb::Request& request, const CommandWays* ways,
                      At at) {
  const auto answered = [this, key, request](const Refusal& refusal) {
    if (waiting_.erase(key) != 0) records_.remove(key);
    if (refusal.status != 0) refused_(request, refusal);
  };
  Asked asked;
  asked.tenant = request.tenant();
  asked.device = request.device();
  asked.id = request.id();
  asked.type = request.type();
  asked.caller = request.caller();
  asked.caller_sites.assign(request.caller_sites().begin(), request.caller_sites().end());
  asked.response_topic = request.response_topic();
  asked.correlation = request.correlation();
  if (ways == nullptr) return answered({503, "no_registry", "there is no registry"});
  std::string_view answer_to = request.response_topic();
  answer_to.remove_prefix(
      std::min(answer_to.size(), session::kTenantRoot.size() + request.tenant().size() + 1));
  if (request.response_refused() || ways->is_devices_topic(request.tenant(), answer_to))
    return answered(
        {422, "invalid", "Response Topic: one of the account's own sites, and none of a device's"});
  const std::string fault = ways->read_request(request.payload(), at.wall_ms, asked);
  if (!fault.empty()) return answered({422, "invalid", fault});
  // A device is called by its own site.
  const auto& seen = asked.caller_sites;
  if (!request.site().empty()) {
    if (!seen.empty() && std::find(seen.begin(), seen.end(), request.site()) == seen.end())
      return answered({404, "device_not_found", "no such device at this site"});
    asked.caller_sites = {request.site()};
  }
  asked.since_ms = request.taken_ms();  // not when an engine after us goes on with it
  if (request.expires_ms() != 0) {
    const std::int64_t from = request.taken_ms() != 0 ? request.taken_ms() : at.now.ms;
    const std::int64_t left = request.expires_ms() - from;
    if (left <= 0 || request.expires_ms() <= at.now.ms)
      return answered({410, "expired", "its Message Expiry Interval has passed"});
    const auto left_ms = static_cast<std::uint32_t>(std::min<std::int64_t>(left, UINT32_MAX));
    // The time that MQTT gives it shortens what the type has; where the body says one, the shorter.
    asked.ttl_ms = asked.ttl_ms == 0 ? left_ms : std::min(asked.ttl_ms, left_ms);
    asked.ttl_is_limit = true;
  }
  submit_(std::move(asked), answered);
}

}  // namespace berth::platform
