// `berth ctl top`: lists of the sites with most connections, and of devices that send most, flap,
// are refused, read too slowly or share a client id (docs/operations.md, "Who makes trouble?").
// Once, or again and again.
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

class TopVerb {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit TopVerb(CLI::App& control);
  TopVerb(const TopVerb&) = delete;  // the command line's options point to members
  TopVerb& operator=(const TopVerb&) = delete;

  // After parsing. The exit code: 0 all lists were answered, 1 one was not, 69 no answer. Nothing:
  // it was another verb. With --watch it returns only if the first look fails.
  std::optional<int> run(const Ctl& admin) const;

 private:
  boost::json::object look(const Ctl& admin) const;
  int print(const Ctl& admin, const boost::json::object& top) const;
  int watch(const Ctl& admin) const;

  CLI::App* verb_ = nullptr;
  bool watch_ = false;
  std::string by_, tenant_;
  std::uint32_t limit_ = 0;  // 0: 5 of each list, 20 of one
  std::uint32_t every_s_ = 2;
};

// The members of `top --json` for people; `now_s`: seconds since 1970.
std::string top_text(const boost::json::object& top, std::int64_t now_s);
// The sites of an answer of GET /api/v1/usage/TENANT as a list, most connections first.
boost::json::array ranked_sites(const boost::json::object& usage, std::size_t limit);

}  // namespace berth::gateway
