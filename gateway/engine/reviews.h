// What a change of the registry, of access rules or of users means for sessions that are there:
// connections end, subscriptions and sessions are removed, some hundreds of sessions in each turn.
// Held by value by the EngineShard, on its thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/wall_clock.h"
#include "front/broker.h"
#include "gateway/registry/registry.h"

namespace berth::gateway::engine {

class Reviews {
 public:
  using IsUser = std::function<bool(std::string_view)>;
  struct Turns {
    std::function<base::Instant()> now;
    std::function<void()> end;
    std::function<void()> complete;  // who is not in the registry now has gone
  };
  // `registry`: null: there is none. `keep_unregistered_s`: see ShardParts.
  Reviews(boost::asio::io_context& io, session::Broker& broker, const registry::Registry* registry,
          std::uint32_t keep_unregistered_s, Turns turns);

  void registry_changed(const session::Concerned& who);
  // The registry may have changed while nobody served, and the engine before this one may have
  // known more of it: a principal that has just been registered is not taken for one that is gone.
  void all_when_fresh();
  // Users of files that may still log in as before; empty: all.
  void use_users(IsUser is_user) { is_user_ = std::move(is_user); }
  bool knows_users() const { return static_cast<bool>(is_user_); }
  void access_changed();

 private:
  struct Review {
    base::SessionId session;
    bool removes;  // the session, if its principal is not there
    bool removed;  // its principal has been: the session ends, whoever has that name now
  };
  void review(const session::Concerned& who, bool removes);
  void review_some();
  void review_some_access();
  std::weak_ptr<bool> alive() const { return alive_; }

  boost::asio::io_context& io_;
  session::Broker& broker_;
  const registry::Registry* registry_;
  const std::uint32_t keep_unregistered_s_;
  Turns turns_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<Review> review_;               // still to be done
  std::vector<std::string> removed_topics_;  // and then
  boost::asio::steady_timer unregistered_;
  std::vector<base::SessionId> access_review_;
  IsUser is_user_;
};

}  // namespace berth::gateway::engine
