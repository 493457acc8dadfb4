#include "gateway/single/in_process_engine.h"

#include <utility>
#include <vector>

#include "base/random_id.h"
#include "gateway/node/engine_setup.h"
#include "gateway/runtime/child_process.h"

namespace berth::gateway {

namespace {

std::vector<std::uint64_t> random_ids(std::uint32_t count) {
  const std::uint64_t first = base::random_id();
  std::vector<std::uint64_t> ids;
  for (std::uint32_t i = 0; i < count; ++i) ids.push_back(first + i);
  return ids;
}

}  // namespace

InProcessEngine::InProcessEngine(boost::asio::io_context& io, const Config& config,
                                 EdgeShards& edges, const registry::Registry* registry,
                                 Reload& reload, tracing::Tracer* traces, Events events)
    : edges_(edges),
      registry_(registry),
      reload_(reload),
      traces_(traces),
      events_(std::move(events)) {
  if (edges.count() == 1) {
    join_directly(io, config);
  } else {
    join_by_links(io, config);
  }
}

InProcessEngine::~InProcessEngine() = default;

void InProcessEngine::make(boost::asio::io_context& io, const Config& config,
                           std::vector<std::uint64_t> ids, link::EdgePort& edge) {
  StoreClaim claim{.owner = ids[0]};
  engine_ = make_engine({.io = io,
                         .config = config,
                         .options = broker_options(config, std::move(ids), false),
                         .edge = edge,
                         .registry = registry_,
                         .store_lost = events_.store_lost,
                         .condition = &condition_,
                         .traces = traces_,
                         .reload = &reload_},
                        claim, probe_);
  engine_->serve({});
}

void InProcessEngine::join_directly(boost::asio::io_context& io, const Config& config) {
  make(io, config, random_ids(1), edges_.first());
  edges_.first().use_engine(*engine_);
  engine_->attached_all();
  events_.ready();
}

void InProcessEngine::join_by_links(boost::asio::io_context& io, const Config& config) {
  const std::vector<std::uint64_t> ids = random_ids(edges_.count());
  make(io, config, ids, links_);
  edges_.make_links({.ready = [] {},
                     .heartbeat = [] {},
                     .drained = [] {},
                     .lost = [] {},
                     .samples = [](std::uint64_t, std::string_view) {}});
  std::vector<int> theirs;
  for (std::uint32_t i = 0; i < edges_.count(); ++i) {
    const auto [edge_end, engine_end] = runtime::link_pair();
    theirs.push_back(edge_end);
    auto& l = links_.add(std::make_unique<link::EngineLink>(
        io, engine_end, i,
        link::EngineLink::Events{.hello = [](const protocol::link::Hello&) {},
                                 .attached_all =
                                     [this] {
                                       if (links_.attached(*engine_)) events_.ready();
                                     },
                                 .drain = [] {},
                                 .stop = [] {},
                                 .scrape = [](std::uint64_t) {},
                                 .lost = [] {}}));
    l.use_engine(*engine_);
    l.ready();
  }
  edges_.open_links(std::move(theirs), {.edge_id = ids[0],
                                        .output_cap = config.edge.output_cap,
                                        .heartbeat_ms = config.heartbeat_ms});
}

SampleSender::Figures InProcessEngine::figures() {
  return figures_of(*engine_, probe_, condition_);
}

void InProcessEngine::close() {
  engine_->close_store();
}

}  // namespace berth::gateway
