// A product's own messages, as data: which of its topics mean what, and where in its JSON the
// fields of an Envelope are (registry.proto, Product.messages; docs/messages.md). Immutable; any
// thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/registry/registry.pb.h"

namespace berth::v1 {
class Envelope;
}

namespace berth::gateway::registry {

// What is wrong with a profile, for people.
struct BadProfile : std::runtime_error {
  using std::runtime_error::runtime_error;
};

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
  struct Command {
    std::string topic, payload;  // %d, %s, %i, %p and %t are still in them
  };
  const Command* command(std::string_view name) const;  // null: none
  // False: this is no JSON, or not enough of it is there for a body. `why`: then the reason,
  // without any value of the payload.
  static bool apply(const Rule& rule, std::string_view payload, v1::Envelope& out,
                    std::string& why);

 private:
  std::vector<std::unique_ptr<Rule>> rules_;
  std::map<std::string, Command, std::less<>> commands_;  // by name
};

// %d and %s of a product's topics.
std::string substituted(std::string topic, std::string_view device, std::string_view site);
// What stands for the letter behind each %; a letter that is not there stays.
using Values = std::map<char, std::string>;
std::string filled(std::string_view text, const Values& values);
std::string json_inside(std::string_view text);  // of a string

}  // namespace berth::gateway::registry
