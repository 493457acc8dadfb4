#include "sim/lot.h"

#include <yaml-cpp/yaml.h>

#include <functional>
#include <map>

#include "sim/plate_camera_profile.h"

namespace berth::sim {

namespace {

using Setters = std::map<std::string, std::function<void(const YAML::Node&)>>;

[[noreturn]] void bad(const YAML::Node& n, const std::string& why) {
  throw BadLot("line " + std::to_string(n.Mark().line + 1) + ": " + why);
}

void read_map(const YAML::Node& n, const Setters& setters) {
  if (!n.IsMap()) bad(n, "a map is expected here");
  for (const auto& each : n) {
    const auto name = each.first.as<std::string>();
    const auto it = setters.find(name);
    if (it == setters.end()) bad(each.first, "unknown key '" + name + "'");
    try {
      it->second(each.second);
    } catch (const YAML::Exception&) {
      bad(each.second, "no good value of '" + name + "'");
    }
  }
}

template <class T>
std::function<void(const YAML::Node&)> to(T& v, T min, T max) {
  return [&v, min, max](const YAML::Node& n) {
    v = n.as<T>();
    if (v < min || v > max) bad(n, "out of bounds");
  };
}
std::function<void(const YAML::Node&)> to(std::string& v) {
  return [&v](const YAML::Node& n) { v = n.as<std::string>(); };
}
std::function<void(const YAML::Node&)> to(Address& v) {
  return [&v](const YAML::Node& n) {
    const auto text = n.as<std::string>();
    const std::size_t colon = text.rfind(':');
    const int port = colon == std::string::npos ? 0 : std::atoi(text.c_str() + colon + 1);
    if (port <= 0 || port > 65535) bad(n, "'" + text + "' is not HOST:PORT");
    v = {text.substr(0, colon), static_cast<std::uint16_t>(port)};
  };
}
std::function<void(const YAML::Node&)> to(Protocol& v) {
  return [&v](const YAML::Node& n) {
    static const std::map<std::string, Protocol> kNames{
        {"mqtt", Protocol::mqtt}, {"park", Protocol::park}, {"camera", Protocol::camera}};
    const auto it = kNames.find(n.as<std::string>());
    if (it == kNames.end()) bad(n, "a protocol is one of mqtt, park, camera");
    v = it->second;
  };
}

void read_lanes(const YAML::Node& n, std::vector<Lane>& lanes) {
  for (const YAML::Node& each : n) {
    Lane lane;
    std::string direction = "in";
    read_map(
        each,
        {{"name", to(lane.name)}, {"direction", to(direction)}, {"protocol", to(lane.protocol)}});
    if (lane.name.empty() || (direction != "in" && direction != "out"))
      bad(each, "a lane has a name and a direction, in or out");
    lane.in = direction == "in";
    lanes.push_back(lane);
  }
}

void read_misbehaviour(const YAML::Node& n, Misbehaviour& m) {
  read_map(n, {{"offline_percent", to(m.offline_percent, 0., 90.)},
               {"offline_s", to(m.offline_s, 1u, 3600u)},
               {"duplicate_percent", to(m.duplicate_percent, 0., 100.)},
               {"skewed_percent", to(m.skewed_percent, 0., 100.)},
               {"malformed_percent", to(m.malformed_percent, 0., 100.)},
               {"storm_every_s", to(m.storm_every_s, 0u, 86'400u)}});
}

std::function<void(const YAML::Node&)> group(std::uint32_t& count, Protocol& protocol,
                                             std::uint32_t* gateways = nullptr) {
  return [&count, &protocol, gateways](const YAML::Node& n) {
    Setters s{{"count", to(count, 0u, 100'000u)}, {"protocol", to(protocol)}};
    if (gateways != nullptr) s["gateways"] = to(*gateways, 1u, 10'000u);
    read_map(n, s);
    if (protocol == Protocol::camera) bad(n, "only a lane speaks as a camera");
  };
}

std::string numbered(const std::string& prefix, std::uint32_t i) {
  return prefix + "-" + std::to_string(i + 1);
}

}  // namespace

Lot Lot::load(const std::string& path) {
  Lot l;
  YAML::Node root;
  try {
    root = YAML::LoadFile(path);
  } catch (const YAML::Exception& e) {
    throw BadLot(path + ": " + e.what());
  }
  try {
    read_map(root, {{"name", to(l.name)},
                    {"tenant", to(l.tenant)},
                    {"password", to(l.password)},
                    {"key", to(l.key)},
                    {"mqtt", to(l.mqtt)},
                    {"park", to(l.park)},
                    {"speed", to(l.speed, 0.1, 10'000.)},
                    {"begins_at_h", to(l.begins_at_h, 0., 24.)},
                    {"cars_per_day", to(l.cars_per_day, 0., 1e6)},
                    {"stay_minutes", to(l.stay_minutes, 1u, 100'000u)},
                    {"lanes", [&](const YAML::Node& n) { read_lanes(n, l.lanes); }},
                    {"spaces", group(l.spaces, l.space_protocol, &l.space_gateways)},
                    {"chargers", group(l.chargers, l.charger_protocol)},
                    {"doors", group(l.doors, l.door_protocol)},
                    {"misbehaviour",
                     [&](const YAML::Node& n) { read_misbehaviour(n, l.misbehaviour); }}});
  } catch (const BadLot& e) {
    throw BadLot(path + ": " + e.what());
  }
  for (const Lane& lane : l.lanes) {
    if (lane.protocol == Protocol::camera && l.tenant.empty())
      throw BadLot(path + ": a camera needs a tenant, whose registry knows its product");
  }
  return l;
}

std::vector<Lot::Device> Lot::devices() const {
  std::vector<Device> all;
  for (const Lane& lane : lanes) all.push_back({lane.name, lane.protocol});
  if (spaces != 0) {
    for (std::uint32_t i = 0; i < space_gateways; ++i)
      all.push_back({numbered("spaces", i), space_protocol});
  }
  for (std::uint32_t i = 0; i < chargers; ++i)
    all.push_back({numbered("charger", i), charger_protocol});
  for (std::uint32_t i = 0; i < doors; ++i) all.push_back({numbered("door", i), door_protocol});
  return all;
}

// `products:` and what follows it of the profile that the camera's lanes need.
static std::string camera_product() {
  const std::string profile = kPlateCameraProfile;
  const std::size_t at = profile.find("    products:\n");
  return at == std::string::npos ? std::string() : profile.substr(at);
}

std::string Lot::registry_yaml() const {
  if (tenant.empty()) throw BadLot("a lot without `tenant` needs no registry");
  std::string out = "tenants:\n  - name: " + tenant +
                    "\n    envelopes: protobuf\n    sites: [{name: " + name + "}]\n    devices:\n";
  bool camera = false;
  for (const Device& d : devices()) {
    const bool by_key = d.protocol == Protocol::park;
    out += "      - {name: " + d.name + ", site: " + name;
    if (d.protocol == Protocol::camera) out += ", product: plate-camera";
    camera = camera || d.protocol == Protocol::camera;
    out += ", credentials: [{auth_id: " + d.name + ", " +
           (by_key ? "key: '" + key : "password: '" + password) + "'}]}\n";
  }
  out +=
      "    accounts:\n      - {name: platform, role: service, credentials: [{auth_id: platform, "
      "password: '" +
      password + "'}]}\n";
  return camera ? out + camera_product() : out;
}

}  // namespace berth::sim
