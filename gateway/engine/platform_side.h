// The platform side of one engine: the Platform with the registry behind it, its timer, and the
// questions that it answers. Held by value by the EngineShard, on its thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "front/broker.h"
#include "gateway/engine/answerer.h"
#include "gateway/engine/command_ways.h"
#include "gateway/engine/device_names.h"
#include "gateway/registry/registry.h"
#include "platform/platform.h"

namespace berth::gateway::engine {

class PlatformSide {
 public:
  struct Calls {
    std::function<base::Instant()> now;
    std::function<void()> turn_end;
    std::function<void()> post_turn;  // turn_end(), soon
    platform::Platform::Read read;
  };
  // All outlive it. `registry` null: no commands.
  PlatformSide(boost::asio::io_context& io, session::Broker& broker, Answerer& answerer,
               const registry::Registry* registry, Calls calls, platform::PlatformOptions options);

  platform::Platform& platform() { return platform_; }
  void attached_all() { platform_.attached_all(calls_.now()); }
  void tick() { platform_.tick(calls_.now()); }
  // After the Broker's, before the flush.
  void end_turn();
  void close() { due_.cancel(); }

 private:
  std::string list_desired(std::string_view question);
  void answer(Answerer& answerer);
  void answer_about_operators(Answerer& answerer);
  void answer_about_devices(Answerer& answerer, const registry::Registry* registry);
  void arm();

  Calls calls_;
  std::optional<DeviceNames> names_;  // with a registry
  std::unique_ptr<CommandWays> ways_;
  platform::Platform platform_;
  boost::asio::steady_timer due_;
  base::Instant armed_ = base::kNever;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::gateway::engine
