// A product's own messages, as data: which of its topics mean what, where in its JSON the fields of
// an Envelope are, and how its devices are told commands (registry.proto, Product;
// docs/messages.md). Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/registry/bad_profile.h"
#include "gateway/registry/command_rules.h"
#include "gateway/registry/registry.pb.h"

namespace berth::v1 {
class Envelope;
}

namespace berth::gateway::registry {

enum class Report : unsigned char { event, telemetry, state, result, none };

class Profile {
 public:
  // Throws BadProfile.
  explicit Profile(const pb::Product& product);
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  class Rule;
  // The first rule for this topic of this device; null: none.
  const Rule* find(std::string_view topic, std::string_view device, std::string_view site) const;
  static Report report_of(const Rule& rule);
  const CommandRules& commands() const { return commands_; }
  // False: this is no JSON, or not enough of it is there for a body. `why`: then the reason,
  // without any value of the payload.
  static bool apply(const Rule& rule, std::string_view payload, v1::Envelope& out,
                    std::string& why);

 private:
  std::vector<std::unique_ptr<Rule>> rules_;
  CommandRules commands_;
};

// %d and %s of a product's topics.
std::string substituted(std::string topic, std::string_view device, std::string_view site);
// Do the messages of its devices become others than they publish?
bool translates(const pb::Product& product);

}  // namespace berth::gateway::registry
