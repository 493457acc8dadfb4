// What an operator asks about the sessions of this engine's partition, and does to them:
// AskKind::sessions. Questions and answers are JSON (gateway/rest/sessions_api.h):
//
//   {"do": "list", "tenant", "q", "client_id", "online": bool, "after": N, "limit": N}
//     -> {"items": [session…], "more": bool, "incomplete": bool}
//   {"do": "show" | "disconnect" | "remove", "id": N} -> {"session": {…}}, {} if there is none
//
// A list looks at kLookedMax sessions at most; then `incomplete` is true. It has kListBytes of
// sessions at most: with long client ids it is shorter than its limit, and `more` is true. On the
// engine's thread.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "front/broker.h"

namespace berth::gateway::engine {

class SessionQuestions {
 public:
  static constexpr std::size_t kLookedMax = 200'000;
  static constexpr std::size_t kFiltersShown = 100;
  static constexpr std::size_t kListBytes = 768 * 1024;  // an answer may have 1 MiB
  // The Broker outlives it.
  explicit SessionQuestions(session::Broker& broker) : broker_(broker) {}

  struct Said {
    std::string answer;
    bool changed = false;  // to be said when the open batch is durable
    bool refused = false;  // nothing is done, because it `may_change` nothing
  };
  Said ask(std::string_view question, base::Instant now, bool may_change);

 private:
  boost::json::object list(const boost::json::object& q) const;
  boost::json::object brief(const session::Session& s) const;
  boost::json::object whole(const session::Session& s) const;

  session::Broker& broker_;
};

}  // namespace berth::gateway::engine
