#include "gateway/cluster/link_trial.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/random_id.h"
#include "gateway/cluster/engine_finder.h"
#include "gateway/cluster/engine_set.h"
#include "gateway/cluster/link_policy.h"
#include "gateway/edge/edge_shard.h"

namespace berth::gateway::cluster {

namespace asio = boost::asio;

namespace {

constexpr auto kTrial = std::chrono::seconds(5);
constexpr auto kLook = std::chrono::milliseconds(20);
// A standby has taken the link; one that serves says so a moment later, and is told when we go.
constexpr int kLooksLinked = 10;

edge::EdgeOptions without_devices(const Config& config) {
  edge::EdgeOptions o = config.edge;
  o.partitions = config.cluster.partitions;
  return o;
}

class LinkTrial {
 public:
  explicit LinkTrial(const Config& config)
      : tls_(tls_of(config)),
        shard_(io_, without_devices(config), probe_),
        set_(io_, shard_, options(config, tls_.get())),
        finder_(io_, config.cluster.engines, config.cluster.resolve_ms,
                loopback_only(config.cluster),
                [this](const EngineFinder::Endpoints& found) { set_.use_endpoints(found); }),
        look_(io_),
        deadline_(io_) {}

  void run() {
    set_.start();
    finder_.start();
    look();
    deadline_.expires_after(kTrial);
    deadline_.async_wait([this](boost::system::error_code ec) {
      if (!ec) end();
    });
    io_.run();
    if (!linked_) throw std::runtime_error("no link to an engine: " + why_not_);
  }

 private:
  // No copies: what is configured is what has to be good.
  static std::unique_ptr<link::TlsContext> tls_of(const Config& config) {
    return config.cluster.tls.enabled() ? std::make_unique<link::TlsContext>(config.cluster.tls)
                                        : nullptr;
  }

  static EngineSetOptions options(const Config& config, const link::TlsContext* tls) {
    const std::uint64_t id = base::random_id();
    return {.edge_id = id,
            .generation = 0,
            .name = "trial/" + std::to_string(id % 10'000),
            .partition = 0,
            .partitions = config.cluster.partitions,
            .internal = true,
            .input_cap = config.edge.input_cap,
            .output_cap = config.edge.output_cap,
            .heartbeat_ms = config.heartbeat_ms,
            .missed = config.cluster.heartbeats_missed,
            .tls = tls,
            .first_ready = {},
            .strike = {}};
  }

  void look() {
    const auto engines = set_.engines();
    const bool some = std::any_of(engines.begin(), engines.end(),
                                  [](const auto& e) { return e.state != "connecting"; });
    looks_linked_ = some ? looks_linked_ + 1 : 0;
    linked_ = set_.serving() || looks_linked_ == kLooksLinked;
    if (linked_) return end();
    look_.expires_after(kLook);
    look_.async_wait([this](boost::system::error_code ec) {
      if (!ec) look();
    });
  }

  void end() {
    for (const EngineSet::EngineInfo& e : set_.engines()) {
      why_not_ += why_not_.empty() ? "" : "; ";
      why_not_ += e.address + ": " + (e.failure.empty() ? "no answer" : e.failure);
    }
    if (why_not_.empty()) why_not_ = "no address is known for cluster.engines";
    finder_.stop();
    set_.leave();
    io_.stop();
  }

  asio::io_context io_{1};
  std::unique_ptr<link::TlsContext> tls_;  // null: none
  metrics::EdgeProbe probe_;
  edge::EdgeShard shard_;
  EngineSet set_;
  EngineFinder finder_;
  asio::steady_timer look_;
  asio::steady_timer deadline_;
  int looks_linked_ = 0;  // one after the other
  bool linked_ = false;
  std::string why_not_;
};

}  // namespace

void prove_link(const Config& config) {
  LinkTrial(config).run();
}

}  // namespace berth::gateway::cluster
