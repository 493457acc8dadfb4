// `berth ctl why DEVICE`: why a device has gone, in one answer (docs/operations.md, "Why has this
// device gone?"). It puts together what the API knows of it: presence, history, insights, commands.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/ctl/ctl.h"

namespace CLI {
class App;
}

namespace berth::gateway {

class WhyVerb {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit WhyVerb(CLI::App& control);
  WhyVerb(const WhyVerb&) = delete;  // the command line's options point to members
  WhyVerb& operator=(const WhyVerb&) = delete;

  // After parsing. The exit code: 0 the device is known, 1 it is not, or the question was refused;
  // 69 no answer. Nothing: it was another verb. Throws ConfigError: no address.
  std::optional<int> run(const Ctl& admin) const;

 private:
  CLI::App* verb_ = nullptr;
  std::string device_, tenant_;
};

// What follows from the answers that `found` has (the members are those of `why --json`), a
// sentence each, the most important first.
std::vector<std::string> findings_of(const boost::json::object& found);
// `found` for people; `now_s`: seconds since 1970.
std::string why_text(const boost::json::object& found, std::int64_t now_s);
// Parts of a name to look for, if nothing has all of it: "cam-17" -> "cam-1", "cam", …
std::vector<std::string> parts_of_name(const std::string& name);

}  // namespace berth::gateway
