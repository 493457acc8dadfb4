// A small site, and what is wrong with a text, for the tests of the registry.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "gateway/registry/import.h"
#include "gateway/registry/registry.h"

namespace berth::gateway::registry {

inline const auto kNothing = [](std::string_view) -> const std::string* { return nullptr; };

inline constexpr const char* kSite = R"(
tenants:
  - name: acme
    sites: [{name: north}, {name: south, enabled: false}]
    products:
      - name: lane-camera
        topics: ["device/%d/#", "site/%s/+"]
    devices:
      - name: cam-1
        site: north
        product: lane-camera
        labels: {lane: "1"}
        credentials:
          - {auth_id: cam-1, password: secret}
          - {certificate: cam-1.acme.example}
      - {name: cam-2, site: south, credentials: [{auth_id: cam-2, password: secret}]}
    accounts:
      - {name: platform, role: service, sites: [north], credentials: [{auth_id: platform, password: p}]}
      - {name: eve, role: operator, credentials: [{auth_id: eve, password: e}]}
  - name: other
    sites: [{name: north}]
    devices:
      - {name: cam-1, site: north, credentials: [{auth_id: cam-1, password: other}]}
)";

inline Changes changes_of(const std::string& yaml) {
  Changes c{.whole = true, .list = {}};
  for (const Write& w : to_writes(parse_yaml(yaml), kNothing, 1))
    c.list.push_back({w.key, w.value});
  return c;
}

inline std::string why(const std::function<void()>& f) {
  try {
    f();
    return {};
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}
inline std::string why_yaml(const std::string& text) {
  return why([&] { to_writes(parse_yaml(text), kNothing, 1); });
}
inline std::string why_csv(const std::string& text) {
  return why([&] { parse_csv(text); });
}

}  // namespace berth::gateway::registry
