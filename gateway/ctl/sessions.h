// `berth ctl sessions`, `berth ctl session` and `berth ctl kick`: which sessions there are, what
// one has, and the end of its connection or of itself (docs/operations.md, "Sessions").
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class SessionsVerb {
 public:
  // Adds all to `berth ctl`, which outlives it.
  explicit SessionsVerb(CLI::App& control);
  SessionsVerb(const SessionsVerb&) = delete;  // the command line's options point to members
  SessionsVerb& operator=(const SessionsVerb&) = delete;

  // After parsing. The exit code; nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  std::string list_target() const;
  // The id of the one session that is meant; nothing: there is none, or there are several, which
  // has been said.
  std::optional<std::string> id_of(const Ctl& admin) const;
  int list(const Ctl& admin) const;
  int show(const Ctl& admin) const;
  int kick(const Ctl& admin) const;

  CLI::App* sessions_ = nullptr;
  CLI::App* session_ = nullptr;
  CLI::App* kick_ = nullptr;
  bool online_ = false, offline_ = false, end_ = false;
  std::string tenant_, q_, cursor_, session_id_;
  std::uint32_t limit_ = 100;
};

// An answer of GET /api/v1/sessions as a table; of one session as lines.
std::string sessions_table(const std::string& json);
std::string session_text(const std::string& json);

}  // namespace berth::gateway
