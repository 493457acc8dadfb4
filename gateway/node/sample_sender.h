// The answer of an engine to an edge that asks for its figures. With thousands of tenants it is of
// megabytes: it is made a part at a time, between the turns in which devices are served, and sent
// as one frame. On the engine's thread; outlived by its io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/engine/engine_shard.h"
#include "gateway/node/usage.h"
#include "store/rocks_store.h"

namespace berth::gateway {

// Why the store confirms no write, in a sample's label: for /readyz, not for /metrics.
inline constexpr const char kStoreTrouble[] = "store_trouble";
metrics::Sample unconfirmed_sample(std::int64_t ms);  // Commits::unconfirmed_ms()
std::string take_store_trouble(std::vector<metrics::Sample>& samples);  // takes it out; empty: none

class SampleSender {
 public:
  static constexpr std::size_t kUsagesAtOnce = 40;  // well below a millisecond
  using Send = std::function<void(const std::string& payload)>;
  SampleSender(boost::asio::io_context& io, Send send) : io_(io), send_(std::move(send)) {}
  // While an answer is being made only the last of those who ask behind it is remembered, and
  // answered with figures of then: `begin` gives them.
  struct Figures {
    std::vector<metrics::Sample> samples;
    Usages usage;
  };
  // `version`: of the edge; one before kWholeSince gets only what it knows how to read.
  static constexpr std::uint64_t kWholeSince = 4;
  void answer(std::uint64_t id, std::uint64_t version, std::function<Figures()> begin);

 private:
  void start();
  void go_on();
  boost::asio::io_context& io_;
  Send send_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::optional<std::uint64_t> asked_;
  std::uint64_t version_ = 0;
  std::function<Figures()> begin_;
  bool busy_ = false;
  Usages usage_;
  std::size_t at_ = 0;
  std::string payload_;
};

// The figures of one engine and of its store, without those of its process.
SampleSender::Figures figures_of(engine::EngineShard& engine, const metrics::EngineProbe& probe,
                                 const session::StoreCondition& condition);

}  // namespace berth::gateway
