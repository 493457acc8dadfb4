// `berth ctl knock`: connects as a device would and says what answered, so that an installation is
// known to let devices in (docs/operations.md, "Does a listener answer?"). It asks no admin port.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace berth::gateway {

// Throws ConfigError: it is no KIND://HOST:PORT[/PATH].
struct Door {
  explicit Door(const std::string& url);

  std::string url;
  std::string kind;  // mqtt | mqtts | ws | wss | park | parks | tcp
  std::string host;
  std::string port;
  std::string path = "/mqtt";  // of ws and wss
  bool tls = false;
};

struct Knocked {
  bool good = false;
  bool silent = false;  // there is such an address, and nobody could be reached there
  std::string answer;   // a sentence
};

// A refusal of the log-in is a good answer: the whole way to an engine and back was there. The
// process ignores SIGPIPE afterwards.
Knocked knock(const Door& door, std::uint32_t timeout_s);

class KnockVerb {
 public:
  // Adds itself to `berth ctl`, which outlives it.
  explicit KnockVerb(CLI::App& control);
  KnockVerb(const KnockVerb&) = delete;  // the command line's options point to members
  KnockVerb& operator=(const KnockVerb&) = delete;

  // After parsing. Exit code: 0 all answered, 69 one did not (--closed: 1 one answered); nothing:
  // it was another verb. Throws ConfigError: no address.
  std::optional<int> run(std::uint32_t timeout_s) const;

 private:
  CLI::App* verb_ = nullptr;
  std::vector<std::string> doors_;
  bool closed_ = false;
};

}  // namespace berth::gateway
