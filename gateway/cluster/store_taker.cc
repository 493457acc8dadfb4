#include "gateway/cluster/store_taker.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.h"
#include "store/redis_store.h"

namespace berth::gateway::cluster {

StoreTaker::~StoreTaker() {
  if (taker_.joinable()) taker_.join();
  if (warmer_.joinable()) warmer_.join();
}

void StoreTaker::follow(const std::string& name, std::uint64_t owner) {
  if (name == name_) return;
  {
    const std::lock_guard lock(mutex_);
    if (warming_) return;  // looked at again when it is through
    warm_.reset();
    warming_ = !name.empty();
  }
  if (warmer_.joinable()) warmer_.join();
  name_ = name;
  if (!name.empty()) warmer_ = std::thread([this, name, owner] { warm_up(name, owner); });
}

void StoreTaker::warm_up(const std::string& name, std::uint64_t owner) {
  std::optional<WarmEngine> warm;
  try {
    warm = warm_engine(parts_, {.owner = owner}, name);
  } catch (const std::exception& e) {
    BERTH_LOG(warn, "not warmed up error=\"{}\"", e.what());
  }
  const std::lock_guard lock(mutex_);
  warm_ = std::move(warm);
  warming_ = false;
}

void StoreTaker::take(StoreClaim claim, std::function<void(Taken)> done) {
  if (taker_.joinable()) taker_.join();
  taker_ = std::thread([this, claim, done = std::move(done)] {
    auto taken = std::make_shared<Taken>();
    taken->claim = claim;
    try {
      take_now(*taken);
    } catch (const session::LeaseHeld& e) {
      taken->why = e.what();
      taken->held_by = e.holder;
    } catch (const ConfigError& e) {
      taken->why = e.what();
      taken->config_error = true;
    } catch (const std::exception& e) {
      taken->why = e.what();
    }
    boost::asio::post(parts_.io, [taken, done] { done(std::move(*taken)); });
  });
}

void StoreTaker::take_now(Taken& t) {
  std::optional<WarmEngine> warm;
  {
    const std::lock_guard lock(mutex_);
    warm = std::exchange(warm_, std::nullopt);
  }
  if (warm && take_over(*warm, t.claim)) {
    t.probe = std::move(warm->probe);
    t.engine = std::move(warm->engine);
  } else {
    t.probe = std::make_unique<metrics::EngineProbe>();
    t.engine = make_engine(parts_, t.claim, *t.probe);
  }
  if (parts_.load_logins) parts_.load_logins();
}

}  // namespace berth::gateway::cluster
