// Connections that kill engines (I12): strikes against whoever they belong to, and the end of those
// that are in quarantine (quarantine.h). A room of the edge; the shard's thread.
#pragma once

#include <functional>
#include <utility>

#include "base/bytes.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/edge_context.h"
#include "gateway/edge/endings.h"
#include "gateway/edge/followers.h"
#include "gateway/edge/kept_input.h"
#include "gateway/edge/quarantine.h"

namespace berth::gateway::edge {

class PoisonGuard final : private EdgeRoom {
 public:
  PoisonGuard(EdgeContext& cx, KeptInput& input, Followers& followers, Endings& endings)
      : EdgeRoom(cx), input_(input), followers_(followers), endings_(endings) {}

  // Of the process; before the first connection. `f` hears of our strikes.
  void use_quarantine(Quarantine& q, std::function<void(const Quarantine::Strike&)> f) {
    quarantine_ = &q;
    on_strike_ = std::move(f);
  }
  // An engine has died of it. `at_once`: one death is enough. `c` may be gone afterwards.
  void strike(Connection& c, bool at_once);
  void shut_out(const Quarantine::Id& id, Quarantine::Kind kind);
  void shut_out_quarantined();
  bool may_speak(Connection& c, base::ByteView first);
  // Engines hear who is in quarantine. REQUIRES: use_quarantine().
  void tell_quarantine();

 private:
  void shut_out(Connection& c);

  KeptInput& input_;
  Followers& followers_;
  Endings& endings_;
  std::function<void(const Quarantine::Strike&)> on_strike_;
};

}  // namespace berth::gateway::edge
