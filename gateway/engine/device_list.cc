#include "gateway/engine/device_list.h"

#include <algorithm>

#include "gateway/registry/display_name.h"
#include "gateway/registry/records.h"
#include "platform/presence.pb.h"

namespace berth::gateway::engine {

namespace {

constexpr int kListLookedAt = 2000;  // records, about 1 us each
constexpr int kListed = 500;

bool has(const google::protobuf::RepeatedPtrField<std::string>& sites, const std::string& site) {
  return sites.empty() || std::find(sites.begin(), sites.end(), site) != sites.end();
}

}  // namespace

std::string list_devices(const registry::Registry& registry, std::string_view question) {
  using registry::key_of;
  using registry::Kind;
  platform::pb::DevicesQuestion q;
  platform::pb::DevicesAnswer a;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  a.set_no_tenant(registry.find(key_of(Kind::tenant, q.tenant())) == nullptr);
  const std::string prefix = key_of(Kind::device, q.tenant());
  const int limit = std::clamp(static_cast<int>(q.limit()), 1, kListed);
  const std::string text = registry::folded(q.q());
  int looked = 0;
  const auto take = [&](const std::string& key, const std::string& value) {
    registry::pb::Device d;
    const bool read = looked++ != kListLookedAt;
    const bool wanted = read && d.ParseFromString(value) && has(q.sites(), d.site()) &&
                        (q.product().empty() || d.product() == q.product());
    // A device that is not wanted may be hidden: it does not tell that there is more.
    if (!read || (wanted && a.devices_size() == limit)) {
      a.set_more(true);
      return false;
    }
    a.set_looked(key.substr(prefix.size()));
    if (!wanted) return true;
    if (!text.empty() && !registry::contains_folded(a.looked(), text) &&
        !registry::contains_folded(d.display_name(), text))
      return true;
    auto& out = *a.add_devices();
    out.set_name(a.looked());
    out.set_site(d.site());
    out.set_product(d.product());
    out.set_firmware(d.firmware());
    out.set_display_name(d.display_name());
    out.set_parent(d.parent());
    if (d.parent().empty()) out.set_executor(d.executor());
    const std::string& over = d.parent().empty() ? d.executor() : d.parent();
    registry::pb::Device other;
    const std::string* const record =
        over.empty() || q.sites().empty() ? nullptr : registry.find(prefix + over);
    out.set_elsewhere(record != nullptr && other.ParseFromString(*record) &&
                      !has(q.sites(), other.site()));
    return true;
  };
  if (q.exactly().empty()) {
    registry.each(prefix, q.after(), take);
  } else if (const std::string key = prefix + q.exactly(); const auto* value = registry.find(key)) {
    take(key, *value);
  }
  return a.SerializeAsString();
}

}  // namespace berth::gateway::engine
