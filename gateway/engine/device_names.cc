#include "gateway/engine/device_names.h"

#include "gateway/registry/display_name.h"
#include "gateway/registry/records.h"
#include "platform/history.pb.h"
#include "platform/platform.pb.h"
#include "protocol/messages/schema.h"

namespace berth::gateway::engine {

using protocol::messages::Field;
using protocol::messages::Fields;

// Without making a record of the stored bytes: lists ask for each device that they look at.
std::string_view DeviceNames::field(std::string_view tenant, std::string_view device,
                                    int number) const {
  const std::string* const record =
      registry_.find(registry::key_of(registry::Kind::device, tenant, device));
  if (record == nullptr) return {};
  std::string_view text;
  Fields fields(*record);
  for (Field f; fields.next(f);) {
    if (f.number == static_cast<std::uint32_t>(number)) text = f.bytes;
  }
  return text;
}

std::string_view DeviceNames::display_name(std::string_view tenant, std::string_view device) const {
  return field(tenant, device, registry::pb::Device::kDisplayNameFieldNumber);
}

std::string_view DeviceNames::product(std::string_view tenant, std::string_view device) const {
  return field(tenant, device, registry::pb::Device::kProductFieldNumber);
}

bool DeviceNames::is_called(std::string_view tenant, std::string_view device,
                            std::string_view text) const {
  const std::string wanted = registry::folded(text);
  return registry::contains_folded(device, wanted) ||
         registry::contains_folded(display_name(tenant, device), wanted);
}

std::string DeviceNames::in_command(std::string answer) const {
  platform::pb::CommandAnswer a;
  if (!a.ParseFromString(answer) || !a.has_command()) return answer;
  platform::pb::CommandRecord& c = *a.mutable_command();
  c.set_display_name(std::string(display_name(c.tenant(), c.device())));
  return c.display_name().empty() ? std::move(answer) : a.SerializeAsString();
}

std::string DeviceNames::in_list(std::string answer) const {
  platform::pb::ListAnswer a;
  if (!a.ParseFromString(answer)) return answer;
  for (platform::pb::CommandRecord& c : *a.mutable_commands())
    c.set_display_name(std::string(display_name(c.tenant(), c.device())));
  return a.SerializeAsString();
}

std::string DeviceNames::in_desired(std::string_view tenant, std::string answer) const {
  platform::pb::DesiredAnswer a;
  if (!a.ParseFromString(answer)) return answer;
  for (platform::pb::DesiredAnswer::Device& d : *a.mutable_devices()) {
    d.set_product(std::string(product(tenant, d.name())));
    d.set_display_name(std::string(display_name(tenant, d.name())));
  }
  return a.SerializeAsString();
}

std::string DeviceNames::in_history(std::string_view tenant, std::string answer) const {
  platform::pb::HistoryAnswer a;
  if (!a.ParseFromString(answer)) return answer;
  for (platform::pb::HistoryEvent& e : *a.mutable_events())
    e.set_display_name(std::string(display_name(tenant, e.device())));
  return a.SerializeAsString();
}

}  // namespace berth::gateway::engine
