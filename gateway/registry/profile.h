// A product's own messages, as data: which of its topics mean what, and where in its JSON the
// fields of an Envelope are (registry.proto, Product.messages; docs/messages.md). Immutable; any
// thread.
#pragma once

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
  // False: this is no JSON, or not enough of it is there for a body.
  static bool apply(const Rule& rule, std::string_view payload, v1::Envelope& out);

 private:
  std::vector<std::unique_ptr<Rule>> rules_;
};

// %d and %s of a product's topics.
std::string substituted(std::string topic, std::string_view device, std::string_view site);

}  // namespace berth::gateway::registry
