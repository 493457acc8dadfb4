// `berth ctl registry …`: export and import of all records, and what to do about their loss
// (docs/registry.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class RegistryVerb {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit RegistryVerb(CLI::App& control);
  RegistryVerb(const RegistryVerb&) = delete;  // the command line's options point to members
  RegistryVerb& operator=(const RegistryVerb&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  void add_records(CLI::App& all);
  std::optional<int> run_records(const Ctl& admin) const;
  // Of all records of the kind, or of the one that is named.
  std::string records_target(bool one) const;
  int list(const Ctl& admin) const;
  int put(const Ctl& admin) const;

  CLI::App* list_ = nullptr;
  CLI::App* get_ = nullptr;
  CLI::App* put_ = nullptr;
  CLI::App* remove_ = nullptr;
  std::string kind_, name_, tenant_, record_, q_, site_, cursor_;
  std::uint32_t limit_ = 100;
  bool merge_ = false, recursive_ = false;
  CLI::App* export_ = nullptr;
  CLI::App* import_ = nullptr;
  CLI::App* accept_ = nullptr;
  CLI::App* restore_ = nullptr;
  std::string file_;
  bool replace_ = false;
};

// `berth ctl usage`: which tenants use most of something, or what one tenant and its sites use.
class UsageVerb {
 public:
  explicit UsageVerb(CLI::App& control);
  UsageVerb(const UsageVerb&) = delete;  // the command line's options point to members
  UsageVerb& operator=(const UsageVerb&) = delete;
  std::optional<int> run(const Ctl& admin) const;

 private:
  CLI::App* verb_ = nullptr;
  std::string tenant_, by_;
  std::uint32_t limit_ = 20;
};

// Answers of GET /api/v1/tenants/… (a page of records), and of GET /api/v1/usage, for people.
std::string records_table(const std::string& json);
std::string usage_text(const std::string& json);

}  // namespace berth::gateway
