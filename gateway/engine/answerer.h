// What an engine answers to questions of edges, by kind (gateway/link/ports.h). Those who know an
// answer register for its kind. Held by value by the EngineShard, on its thread.
#pragma once

#include <functional>
#include <map>
#include <utility>

#include "gateway/link/ports.h"

namespace berth::gateway::engine {

class Answerer {
 public:
  // Calls `answered` once, perhaps later.
  using Handler = std::function<void(protocol::link::Question q, link::Answered answered)>;
  Answerer() {
    use(protocol::link::AskKind::echo, [](protocol::link::Question q, link::Answered answered) {
      answered({protocol::link::AskError::none, std::move(q.bytes)});
    });
  }
  void use(protocol::link::AskKind kind, Handler h) { handlers_[kind] = std::move(h); }
  void ask(protocol::link::Question q, link::Answered answered) const {
    const auto it = handlers_.find(q.kind);
    if (it == handlers_.end()) return answered({protocol::link::AskError::unknown_kind, {}});
    it->second(std::move(q), std::move(answered));
  }

 private:
  std::map<protocol::link::AskKind, Handler> handlers_;
};

}  // namespace berth::gateway::engine
