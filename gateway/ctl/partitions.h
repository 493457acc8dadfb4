// `berth ctl partitions`: which engine serves which partition of a cluster, and the move of one to
// another engine (docs/operations.md, "Partitions").
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class PartitionsVerb {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit PartitionsVerb(CLI::App& control);
  PartitionsVerb(const PartitionsVerb&) = delete;  // the command line's options point to members
  PartitionsVerb& operator=(const PartitionsVerb&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  int list(const Ctl& admin) const;
  int move(const Ctl& admin) const;
  int hold(const Ctl& admin) const;

  CLI::App* verb_ = nullptr;
  CLI::App* move_ = nullptr;
  CLI::App* hold_ = nullptr;
  std::uint32_t number_ = 0;
  std::uint32_t limit_s_ = 120;
  std::uint32_t hold_s_ = 0;
};

}  // namespace berth::gateway
