// A registry of two tenants for tests of running gateways, and who logs in there.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/raw_client.h"
#include "tests/support/wire.h"

namespace berth::test {

inline constexpr const char* kTwoTenants = R"(
tenants:
  - name: acme
    sites: [{name: north}, {name: south}]
    products: [{name: vendor, topics: ["device/%d/#"]}]
    devices:
      - {name: cam, site: north, product: vendor, credentials: [{auth_id: cam, password: secret}]}
      - {name: door, site: south, credentials: [{auth_id: door, password: secret}]}
    accounts:
      - {name: platform, role: service, credentials: [{auth_id: platform, password: p}]}
  - name: other
    sites: [{name: north}]
    devices:
      - {name: cam, site: north, credentials: [{auth_id: cam, password: secret}]}
    accounts:
      - {name: platform, role: service, credentials: [{auth_id: platform, password: p}]}
)";

struct Directory {
  Directory() : path(std::filesystem::temp_directory_path() / "berth-registry-XXXXXX") {
    if (mkdtemp(path.data()) == nullptr) std::abort();
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name, const std::string& text) const {
    const std::string at = path + "/" + name;
    std::ofstream(at + ".new") << text;
    std::filesystem::rename(at + ".new", at);
    return at;
  }
  std::string path;
};

inline std::string registry_in_store(const Directory& d, const std::string& more = {}) {
  return d.file("berth.yaml",
                "auth: {failures_per_name: 0, failures_per_address: 0}\n"
                "session: {per_device: 10}\n"  // a device logs in with many client ids here
                "registry: {source: store, refresh_ms: 200, password_iterations: 3}\n" +
                    more);
}

inline ConnectOptions as(const std::string& user, const std::string& password,
                         const std::string& client_id = "same") {
  ConnectOptions o{.client_id = client_id};
  o.user = user;
  o.password = password;
  return o;
}

// The reason code of the CONNACK; -1: none came. The connection is closed again.
inline int login(int port, const ConnectOptions& o) {
  RawClient c(port);
  c.send(connect(o));
  const auto packets = c.until(2);
  return packets.empty() || packets.back().type != 2
             ? -1
             : static_cast<unsigned char>(packets.back().body[1]);
}

}  // namespace berth::test
