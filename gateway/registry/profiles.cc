#include "gateway/registry/profiles.h"

#include "base/log.h"

namespace berth::gateway::registry {

ProfilePtr Profiles::of(std::string_view tenant, std::string_view product) {
  if (product.empty()) return nullptr;
  const std::string key = key_of(Kind::product, tenant, product);
  const std::string* record = registry_.find(key);
  if (record == nullptr) {
    compiled_.erase(key);
    return nullptr;
  }
  Compiled& c = compiled_[key];
  if (c.of == *record) return c.profile;
  c.of = *record;
  c.profile.reset();
  pb::Product p;
  try {
    if (p.ParseFromString(*record)) c.profile = std::make_shared<const Profile>(p);
  } catch (const BadProfile& e) {  // of a newer release
    BERTH_LOG(warn, "product not understood, its messages stay as they are key={} error=\"{}\"",
              key, e.what());
  }
  return c.profile;
}

}  // namespace berth::gateway::registry
