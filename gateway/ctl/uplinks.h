// `berth ctl uplinks` (docs/uplinks.md).
#pragma once

#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class UplinksVerb {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit UplinksVerb(CLI::App& control);
  UplinksVerb(const UplinksVerb&) = delete;  // the command line's options point to members
  UplinksVerb& operator=(const UplinksVerb&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  int list(const Ctl& admin) const;
  int list_dead(const Ctl& admin) const;
  int put(const Ctl& admin) const;
  std::string path(const char* below = "") const;

  CLI::App* verb_ = nullptr;
  CLI::App* put_ = nullptr;
  CLI::App* get_ = nullptr;
  CLI::App* forget_ = nullptr;
  CLI::App* replay_ = nullptr;
  CLI::App* stop_replay_ = nullptr;
  CLI::App* dead_ = nullptr;
  CLI::App* send_dead_ = nullptr;
  CLI::App* discard_dead_ = nullptr;
  std::string name_;
  std::string file_;
  std::string from_;
  std::string to_;
};

}  // namespace berth::gateway
