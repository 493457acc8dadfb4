#include "gateway/cluster/edge_node.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <random>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/admin/http_server.h"
#include "gateway/cluster/engine_finder.h"
#include "gateway/cluster/engine_set.h"
#include "gateway/cluster/handover.h"
#include "gateway/engine_setup.h"
#include "gateway/process.h"
#include "gateway/runtime/edge_shards.h"

namespace berth::gateway::cluster {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::int64_t kUnreadyAfterAbsent_ns = 10'000'000'000;

edge::EdgeOptions edge_options(const Config& config) {
  edge::EdgeOptions o = config.edge;
  o.partitions = config.cluster.partitions;
  return o;
}

std::string host_name() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return host;
}

class EdgeNode {
 public:
  explicit EdgeNode(const Config& config)
      : config_(config),
        edges_(io_, edge_options(config), config.shards),
        http_(io_),
        signals_(io_, SIGTERM, SIGINT),
        drain_limit_(io_),
        drain_look_(io_),
        successors_(io_),
        finder_(io_, config.cluster.engines, config.cluster.resolve_ms,
                [this](const EngineFinder::Endpoints& e) { use_endpoints(e); }) {
    signals_.add(SIGHUP);
    if (config.cluster.tls.enabled()) tls_ = std::make_unique<link::TlsContext>(config.cluster.tls);
  }

  int run() {
    mqtt_ = config_.mqtt;
    admin_ = config_.admin;
    origins_.resize(edges_.count());
    if (!take_over()) edges_.bind(mqtt_.host, mqtt_.port);
    mqtts_ = listen_tls(config_, edges_, device_tls_);
    routes();
    http_.listen(admin_.host, admin_.port);
    BERTH_LOG(info, "waiting for an engine engines={} admin={}:{}", config_.cluster.engines,
              admin_.host, admin_.port);
    wait_signal();
    make_sets();
    if (taken_over_) open_for_devices();
    finder_.start();
    wait_successor();
    io_.run();
    edges_.stop();
    return 0;
  }

 private:
  // -- an upgrade on one host (ADR 9)

  struct Origin {  // by shard, from a predecessor
    std::uint64_t edge_id = 0;
    std::uint64_t generation = 0;
  };

  // From an edge that runs here. False: there is none.
  bool take_over() {
    if (config_.cluster.handover.empty()) return false;
    const int fd = connect_handover(config_.cluster.handover);
    if (fd < 0) return false;
    HandoverStream from(fd);
    std::string ask;
    base::put_varint(ask, kHandoverVersion);
    base::put_varint(ask, edges_.count());
    base::put_varint(ask, partitions());
    from.send('H', ask);
    std::uint32_t shard = 0;
    std::size_t connections = 0;
    for (bool more = true; more;) {
      HandoverStream::Item item = from.receive();
      switch (item.type) {
        case 'S': {
          base::RecordReader r(item.payload);
          origins_.at(shard) = {.edge_id = r.varint(), .generation = r.varint()};
          edges_.adopt_listener(shard, item.fd, mqtt_.port);
          break;
        }
        case 'C':
          if (!edges_.shard(shard).adopt(item.payload, item.fd))
            throw std::runtime_error("handover: a connection can't be read");
          ++connections;
          break;
        case 'D':
          if (!edges_.shard(shard++).adopt_rest(item.payload))
            throw std::runtime_error("handover: a shard can't be read");
          break;
        case 'R':
          throw std::runtime_error("handover refused: " + item.payload);
        default:
          more = false;
      }
    }
    if (shard != edges_.count()) throw std::runtime_error("handover: not whole");
    from.send('K', {});
    from.await_end();  // its ports are free now
    BERTH_LOG(info, "took over connections={}", connections);
    return taken_over_ = true;
  }

  void wait_successor() {
    if (config_.cluster.handover.empty()) return;
    if (!successors_.is_open())
      successors_.assign(asio::local::stream_protocol(), listen_handover(config_.cluster.handover));
    successors_.async_accept(
        [this](boost::system::error_code ec, asio::local::stream_protocol::socket s) {
          if (ec) return;
          hand_over(s.release());
          if (!left_) wait_successor();
        });
  }

  // Everything to the process at the other end; this one ends when that one has said so, and goes
  // on where it was when it has not.
  void hand_over(int fd) {
    HandoverStream to(fd);
    try {
      base::RecordReader asked(to.receive().payload);
      const bool known = asked.varint() == kHandoverVersion;
      const bool same = known && asked.varint() == edges_.count() && asked.varint() == partitions();
      if (!same || draining_ || !started_) {
        return to.send('R', "another version or number of shards or partitions, or not serving");
      }
    } catch (const std::exception& e) {
      BERTH_LOG(warn, "no handover error=\"{}\"", e.what());
      return;
    }
    BERTH_LOG(info, "handing over");
    finder_.stop();
    edges_.each([this](std::uint32_t i, asio::io_context&, edge::EdgeShard& e) {
      for (auto& set : sets_[i]) set->suspend();
      e.flush();
    });
    edges_.halt();
    try {
      for (std::uint32_t i = 0; i < edges_.count(); ++i) give_shard(to, i);
      to.send('E', {});
      if (to.receive().type != 'K') throw std::runtime_error("not taken");
      BERTH_LOG(info, "handed over");
      left_ = true;
      io_.stop();
    } catch (const std::exception& e) {
      BERTH_LOG(err, "not handed over, going on error=\"{}\"", e.what());
      edges_.go_on();
      edges_.each([this](std::uint32_t i, asio::io_context&, edge::EdgeShard&) {
        for (auto& set : sets_[i]) set->resume();
      });
      finder_.resume();
    }
  }

  void give_shard(HandoverStream& to, std::uint32_t i) {
    std::string head;
    std::uint64_t generation = 0;
    for (const auto& set : sets_[i]) generation = std::max(generation, set->generation());
    base::put_varint(head, sets_[i].front()->edge_id());
    base::put_varint(head, generation);
    edge::EdgeShard& shard = edges_.shard(i);
    to.send('S', head, shard.listener());
    const std::string rest = shard.hand_over(
        [&to](std::string_view record, int socket) { to.send('C', record, socket); });
    to.send('D', rest);
  }

  void make_sets() {
    sets_.resize(edges_.count());
    std::random_device random;
    const std::uint64_t id = (static_cast<std::uint64_t>(random()) << 32) | random();
    const std::string name = config_.cluster.name.empty() ? host_name() : config_.cluster.name;
    edges_.each([this, id, name](std::uint32_t i, asio::io_context& io, edge::EdgeShard& edge) {
      for (std::uint32_t p = 0; p < partitions(); ++p) {
        sets_[i].push_back(std::make_unique<EngineSet>(io, edge, set_options(id, name, i, p)));
        sets_[i].back()->start();
      }
    });
    edges_.on_quarantine([this](std::uint64_t hash) { sets_[0].front()->tell_keep_out(hash); });
    edges_.start_threads();
  }

  EngineSetOptions set_options(std::uint64_t id, const std::string& name, std::uint32_t shard,
                               std::uint32_t partition) {
    const Origin& origin = origins_[shard];
    EngineSetOptions o{.edge_id = origin.edge_id != 0 ? origin.edge_id : id + shard,
                       .generation = origin.generation,
                       .name = name + "/" + std::to_string(shard),
                       .partition = partition,
                       .partitions = partitions(),
                       .input_cap = config_.edge.input_cap,
                       .output_cap = config_.edge.output_cap,
                       .heartbeat_ms = config_.heartbeat_ms,
                       .missed = config_.cluster.heartbeats_missed,
                       .tls = tls_.get(),
                       .first_ready = {}};
    if (shard == 0) {
      o.first_ready = [this] {
        if (++partitions_ready_ == partitions()) open_for_devices();
      };
    }
    return o;
  }

  void use_endpoints(const EngineFinder::Endpoints& endpoints) {
    edges_.each([this, endpoints](std::uint32_t i, asio::io_context&, edge::EdgeShard&) {
      for (auto& set : sets_[i]) set->use_endpoints(endpoints);
    });
  }

  void open_for_devices() {
    if (draining_ || std::exchange(started_, true)) return;
    edges_.open_for_devices();
    BERTH_LOG(info, "ready mqtt={}:{} mqtts={} admin={}:{} shape=edge shards={} tls={}", mqtt_.host,
              mqtt_.port, mqtts_, admin_.host, admin_.port, edges_.count(), tls_ ? "yes" : "no");
  }

  void wait_signal() {
    signals_.async_wait([this](boost::system::error_code ec, int number) {
      if (ec) return;
      if (number != SIGHUP) {
        drain();
      } else {
        reload_tls(device_tls_.get());
      }
      wait_signal();
    });
  }

  // No new connections; those that are end at a pace that others can admit, wills held back by the
  // engine; then goodbye.
  void drain() {
    if (std::exchange(draining_, true)) return;
    BERTH_LOG(info, "draining per_second={}", config_.cluster.drain_per_s);
    const std::uint32_t pace = std::max(1u, config_.cluster.drain_per_s / edges_.count());
    edges_.each([this, pace](std::uint32_t, asio::io_context&, edge::EdgeShard& e) {
      e.drain(pace, config_.cluster.server_reference);
    });
    drain_limit_.expires_after(std::chrono::seconds(config_.drain_seconds));
    drain_limit_.async_wait([this](boost::system::error_code ec) {
      if (!ec) leave();
    });
    look_if_drained();
  }

  void look_if_drained() {
    drain_look_.expires_after(std::chrono::milliseconds(20));
    drain_look_.async_wait([this](boost::system::error_code ec) {
      if (ec) return;
      auto left = std::make_shared<std::uint32_t>(edges_.count());
      auto all = std::make_shared<bool>(true);
      edges_.each([this, left, all](std::uint32_t, asio::io_context&, edge::EdgeShard& e) {
        const bool drained = e.drained();
        asio::post(io_, [this, left, all, drained] {
          *all = *all && drained;
          if (--*left != 0) return;
          if (*all) return leave();
          look_if_drained();
        });
      });
    });
  }

  void leave() {
    if (std::exchange(left_, true)) return;
    drain_limit_.cancel();
    drain_look_.cancel();
    finder_.stop();
    auto missing = std::make_shared<std::uint32_t>(edges_.count());
    edges_.each([this, missing](std::uint32_t i, asio::io_context&, edge::EdgeShard& e) {
      for (auto& set : sets_[i]) {
        if (e.drained()) set->leave();
      }
      asio::post(io_, [this, missing] {
        if (--*missing == 0) io_.stop();
      });
    });
  }

  // -- for operators

  struct View {
    metrics::EdgeProbe probe;
    std::vector<std::vector<EngineSet::EngineInfo>> engines;  // of shard 0, by partition
  };

  asio::awaitable<View> look() {
    View v;
    v.probe = co_await edge_totals(io_, edges_, draining_);
    for (const auto& set : sets_[0]) v.engines.push_back(set->engines());
    co_return v;
  }

  bool ready() {
    const std::int64_t now = base::monotonic_ns();
    const auto& sets = sets_[0];
    if (std::all_of(sets.begin(), sets.end(), [](const auto& set) { return set->serving(); }))
      served_ns_ = now;
    return started_ && !draining_ && now - served_ns_ < kUnreadyAfterAbsent_ns;
  }

  asio::awaitable<admin::Response> metrics_page() {
    const View v = co_await look();
    std::vector<metrics::Sample> all = metrics::samples_of(v.probe);
    all.push_back({"berth_log_lines_dropped_total", "", "", "Log lines that found the queue full",
                   true, base::log_lines_dropped()});
    co_return metrics_response(all);
  }

  asio::awaitable<admin::Response> status_page() {
    const View v = co_await look();
    json::array engines;
    for (std::size_t p = 0; p < v.engines.size(); ++p) {
      for (const auto& e : v.engines[p]) {
        engines.push_back({{"partition", p},
                           {"address", e.address},
                           {"state", e.state},
                           {"term", e.term},
                           {"current", e.current}});
      }
    }
    const json::object out{{"version", kVersion},
                           {"shape", "edge"},
                           {"pid", static_cast<std::int64_t>(getpid())},
                           {"ready", ready()},
                           {"draining", draining_},
                           {"mqtt", mqtt_.host + ":" + std::to_string(mqtt_.port)},
                           {"mqtts", mqtts_},
                           {"admin", admin_.host + ":" + std::to_string(admin_.port)},
                           {"shards", edges_.count()},
                           {"partitions", partitions()},
                           {"connections", v.probe.connections},
                           {"unauthenticated", v.probe.unauthenticated},
                           {"engine_gap_ms", v.probe.engine_gap_ms},
                           {"engines", engines}};
    co_return json_response(out);
  }

  asio::awaitable<admin::Response> live_page() {
    co_await look();  // every shard's loop has run
    co_return health_response(true);
  }

  void routes() {
    http_.route("GET /livez", [this] { return live_page(); });
    http_.route("GET /readyz", [this] { return ready_made(health_response(ready())); });
    http_.route("GET /startupz", [this] { return ready_made(health_response(started_)); });
    http_.route("GET /metrics", [this] { return metrics_page(); });
    http_.route("GET /api/v1/status", [this] { return status_page(); });
    http_.route("POST /api/v1/drain", [this] {
      asio::post(io_, [this] { drain(); });
      return ready_made(text_response(202, "draining\n"));
    });
  }

  std::uint32_t partitions() const { return config_.cluster.partitions; }

  const Config& config_;
  asio::io_context io_{1};
  std::unique_ptr<link::TlsContext> tls_;        // of the links
  std::unique_ptr<edge::TlsServer> device_tls_;  // of devices
  runtime::EdgeShards edges_;
  using Sets = std::vector<std::unique_ptr<EngineSet>>;  // by partition
  std::vector<Sets> sets_;                               // by shard; each on its shard's thread
  admin::HttpServer http_;
  asio::signal_set signals_;
  asio::steady_timer drain_limit_;
  asio::steady_timer drain_look_;
  asio::local::stream_protocol::acceptor successors_;
  EngineFinder finder_;
  std::vector<Origin> origins_;
  Endpoint mqtt_;
  std::string mqtts_ = "off";
  Endpoint admin_;
  std::uint32_t partitions_ready_ = 0;
  std::int64_t served_ns_ = 0;
  bool started_ = false;
  bool draining_ = false;
  bool left_ = false;
  bool taken_over_ = false;
};

}  // namespace

int run_edge(const Config& config) {
  if (config.cluster.engines.empty()) throw ConfigError("cluster.engines (--engines) is not set");
  return run_process(config, "edge", [&config] {
    try {
      EdgeNode node(config);
      return node.run();
    } catch (const std::invalid_argument& e) {
      throw ConfigError(std::string("cluster.engines: ") + e.what());
    }
  });
}

}  // namespace berth::gateway::cluster
