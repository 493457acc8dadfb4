// The engine of `--single-process`: joined to a single edge shard by direct calls, to several by
// links within the process. The engine runs on shard 0's thread; other shards have their own
// threads and reach it by links.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "gateway/config/config.h"
#include "gateway/engine/engine_shard.h"
#include "gateway/link/link_set.h"
#include "gateway/node/edge_shards.h"
#include "gateway/node/reload.h"
#include "gateway/node/sample_sender.h"
#include "store/rocks_store.h"

namespace berth::gateway {

class InProcessEngine {
 public:
  struct Events {
    std::function<void()> ready;       // the engine serves: devices may connect
    std::function<void()> store_lost;  // another gateway has the store's lease
  };
  // Throws as make_engine().
  InProcessEngine(boost::asio::io_context& io, const Config& config, EdgeShards& edges,
                  const registry::Registry* registry, Reload& reload, tracing::Tracer* traces,
                  Events events);
  ~InProcessEngine();

  void drain(std::function<void()> done) { engine_->drain(std::move(done)); }
  bool store_healthy() const { return engine_->commits().healthy(); }
  void review_registry(const session::Concerned& who) { engine_->review_registry(who); }
  SampleSender::Figures figures();
  void close();

 private:
  void join_directly(boost::asio::io_context& io, const Config& config);
  void join_by_links(boost::asio::io_context& io, const Config& config);
  void make(boost::asio::io_context& io, const Config& config, std::vector<std::uint64_t> ids,
            link::EdgePort& edge);

  EdgeShards& edges_;
  const registry::Registry* registry_;
  Reload& reload_;
  tracing::Tracer* const traces_;  // null: no command is traced
  Events events_;
  metrics::EngineProbe probe_;
  session::StoreCondition condition_;
  link::LinkSet links_;
  std::unique_ptr<engine::EngineShard> engine_;
};

}  // namespace berth::gateway
