// `berth ctl support-bundle`: one archive of what a support engineer needs to know of a running
// gateway, without secrets and number plates (docs/operations.md, "What support needs").
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class SupportBundleVerb {
 public:
  // What `berth ctl check` says of this host beside a gateway of this shape ("engine", "edge", else
  // both) that has these settings; `limit_s` for each of disk and Redis.
  using HostLook = std::function<std::string(const std::string& shape,
                                             const std::map<std::string, std::string>& settings,
                                             std::uint32_t limit_s)>;
  // Adds itself to `berth ctl`, which outlives it. `version`: of this program.
  SupportBundleVerb(CLI::App& control, std::string version, HostLook host);
  SupportBundleVerb(const SupportBundleVerb&) = delete;  // options point to members
  SupportBundleVerb& operator=(const SupportBundleVerb&) = delete;

  // After parsing. The exit code: 0 the archive is written, also if parts are left out; 1 it could
  // not be written, or the gateway shows nothing to this user; 69 no answer. Nothing: it was
  // another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  int make(const Ctl& admin) const;

  CLI::App* verb_ = nullptr;
  std::string version_;
  HostLook host_;
  std::string output_;
  bool anonymous_ = false;
};

}  // namespace berth::gateway
