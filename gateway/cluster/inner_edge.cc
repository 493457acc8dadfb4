#include "gateway/cluster/inner_edge.h"

#include <algorithm>

#include "base/random_id.h"
#include "gateway/cluster/link_policy.h"

namespace berth::gateway::cluster {

namespace {

edge::EdgeOptions inner_options(const Config& config) {
  edge::EdgeOptions o = config.edge;
  o.partitions = config.cluster.partitions;
  o.input_cap = std::max<std::size_t>(o.input_cap, 4u << 20);
  o.output_cap = std::max<std::size_t>(o.output_cap, 4u << 20);
  return o;
}

}  // namespace

InnerEdge::InnerEdge(boost::asio::io_context& io, const Config& config, const link::TlsContext* tls)
    : shard_(io, inner_options(config), probe_),
      finder_(io, config.cluster.engines, config.cluster.resolve_ms, loopback_only(config.cluster),
              [this](const EngineFinder::Endpoints& found) {
                for (const auto& set : sets_) set->use_endpoints(found);
              }) {
  const std::uint64_t id = base::random_id();
  for (std::uint32_t p = 0; p < config.cluster.partitions; ++p) {
    sets_.push_back(std::make_unique<EngineSet>(
        io, shard_,
        EngineSetOptions{.edge_id = id,
                         .name = "engine/" + std::to_string(id % 10'000),
                         .partition = p,
                         .partitions = config.cluster.partitions,
                         .internal = true,
                         .input_cap = inner_options(config).input_cap,
                         .output_cap = inner_options(config).output_cap,
                         .heartbeat_ms = config.heartbeat_ms,
                         .missed = config.cluster.heartbeats_missed,
                         .tls = tls,
                         .first_ready = {},
                         .strike = {}}));
    sets_.back()->start();
  }
  shard_.start();
  finder_.start();
}

InnerEdge::~InnerEdge() {
  finder_.stop();
  shard_.stop();
}

std::vector<InnerEdge::Share> InnerEdge::shares() const {
  std::vector<Share> out;
  for (const auto& e : sets_.front()->engines()) {
    if (e.status.process == 0 || e.status.ending || !e.status.store_ok) continue;
    out.push_back({e.status.process, e.status.held});
  }
  std::sort(out.begin(), out.end(),
            [](const Share& a, const Share& b) { return a.process < b.process; });
  return out;
}

bool must_give(const std::vector<InnerEdge::Share>& shares, std::uint64_t self,
               std::uint64_t partitions) {
  std::uint64_t all = 0;
  const InnerEdge::Share* most = nullptr;
  const InnerEdge::Share* least = nullptr;
  for (const auto& s : shares) {
    all += s.held;
    if (most == nullptr || s.held > most->held) most = &s;
    if (least == nullptr || s.held < least->held) least = &s;
  }
  return all == partitions && most->process == self && most->held >= least->held + 2;
}

}  // namespace berth::gateway::cluster
