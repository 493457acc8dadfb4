#include "gateway/cluster/edge_node.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <filesystem>

#include "base/clock.h"
#include "base/log.h"
#include "base/random_id.h"
#include "gateway/admin/http_server.h"
#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/cluster/edge_end.h"
#include "gateway/cluster/edge_upgrade.h"
#include "gateway/cluster/end_asked.h"
#include "gateway/cluster/engine_finder.h"
#include "gateway/cluster/engine_set.h"
#include "gateway/cluster/handed_over.h"
#include "gateway/cluster/handover.h"
#include "gateway/cluster/link_policy.h"
#include "gateway/cluster/link_trial.h"
#include "gateway/console/console.h"
#include "gateway/node/config_api.h"
#include "gateway/node/descriptors.h"
#include "gateway/node/edge_shards.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/passage_teller.h"
#include "gateway/node/preflight.h"
#include "gateway/node/process.h"
#include "gateway/node/quarantine_api.h"
#include "gateway/node/reload.h"
#include "gateway/node/signals.h"
#include "gateway/rest/account_ask.h"
#include "gateway/rest/platform_api.h"
#include "metrics/link_names.h"

namespace berth::gateway::cluster {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::int64_t kUnreadyAfterAbsent_ns = 10'000'000'000;
constexpr const char* kTakingOver = "it is taking over the connections of the edge that runs here";

edge::EdgeOptions edge_options(const Config& config) {
  edge::EdgeOptions o = config.edge;
  o.partitions = config.cluster.partitions;
  // An edge has no store of its own: killing input is kept where a directory has been given to it.
  if (std::filesystem::is_directory(config.data_directory))
    o.quarantine_directory = config.data_directory + "/quarantine";
  return o;
}

std::string host_name() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return host;
}

bool has_link(const EngineSet& set) {
  const auto engines = set.engines();
  return std::any_of(engines.begin(), engines.end(),
                     [](const auto& e) { return e.state != "connecting"; });
}

class EdgeNode {
 public:
  EdgeNode(const Config& config, const Config& loaded, const ConfigSource& source,
           EndAsked& end_asked)
      : config_(config),
        end_asked_(end_asked),
        reload_(io_, loaded, source,
                {.process = "edge", .role = Role::edge, .check = check_edge_role}),
        edges_(io_, edge_options(config), config.shards, config.address_limits),
        http_(io_),
        signals_(io_, {.end = [this] { end_by(end_.signal(may_linger())); },
                       .reload = [this] { reload_.look_now([](const Reload::Outcome&) {}); }}),
        drain_limit_(io_),
        drain_look_(io_),
        successors_(io_),
        finder_(io_, config.cluster.engines, config.cluster.resolve_ms,
                loopback_only(config.cluster),
                [this](const EngineFinder::Endpoints& e) { use_endpoints(e); }) {
    if (!config.cluster.tls.enabled()) return;
    tls_ = std::make_unique<link::TlsContext>(link_tls(config));
    link_files_ = follow_links(reload_, *tls_);
  }

  int run() {
    origins_.resize(edges_.count());
    routes();
    if (!inherit()) return 0;
    listeners_.follow(reload_, edges_);
    listeners_.bind(config_, edges_);
    if (take_over_.done && !http_.has_socket()) listen_admin_socket(http_, config_, true, &reload_);
    listen_admin(http_, config_, admin_, reload_);
    BERTH_LOG(info, "waiting for an engine engines={} admin={}:{}", config_.cluster.engines,
              admin_.host, admin_.port);
    signals_.wait();
    reload_.start();
    make_sets();
    finder_.start();
    wait_successor();  // before it says that it is ready: then it can be replaced
    if (take_over_.done) open_for_devices();
    passages_.start();
    io_.run();
    edges_.stop();
    return 0;
  }
  bool handed_over() const { return end_.handed_over(); }
  int give_admin_socket() { return http_.give_socket(); }

 private:
  // -- an upgrade on one host (ADR 9)

  // From an edge that runs here, if there is one, whose admin port is not free yet: until then only
  // the probes of this process's own socket are answered. False: this process is to end.
  bool inherit() {
    if (config_.cluster.handover.empty()) return true;
    take_over_.under_way = true;
    listen_admin_socket(http_, config_, false);
    const auto prove = [this](bool other_has_link) {
      prove_certificates(config_);
      if (other_has_link) prove_link(config_);
    };
    try {
      auto origins = take_over(config_.cluster.handover, edges_, partitions(), prove,
                               [this] { return end_asked_.asked() || take_over_.given_up; });
      take_over_.done = origins.has_value();
      if (origins) origins_ = std::move(*origins);
    } catch (const GivenUp& e) {
      BERTH_LOG(info, "not taken over why=\"{}\"", e.what());
      return false;
    }
    take_over_.under_way = false;
    return true;
  }

  void wait_successor() {
    if (config_.cluster.handover.empty()) return;
    if (!successors_.is_open())
      successors_.assign(asio::local::stream_protocol(), listen_handover(config_.cluster.handover));
    successors_.async_accept(
        [this](boost::system::error_code ec, asio::local::stream_protocol::socket s) {
          if (ec) return;
          if (!on_successor(std::make_shared<HandoverStream>(s.release()))) wait_successor();
        });
  }

  // False: it is refused.
  bool on_successor(const std::shared_ptr<HandoverStream>& to) {
    try {
      const HandoverStream::Item asked = to->receive();
      if (asks_for_link(asked)) {
        say_linked(*to, has_link(*sets_[0].front()));
        return false;
      }
      if (end_.draining() || !started_ || !asks_for_the_same(asked, edges_.count(), partitions())) {
        to->send('R', "another version or number of shards or partitions, or not serving");
        return false;
      }
    } catch (const std::exception& e) {
      BERTH_LOG(warn, "no handover error=\"{}\"", e.what());
      return false;
    }
    end_.begin_handover();
    BERTH_LOG(info, "handover begins per_second={}", config_.cluster.drain_per_s);
    const std::uint32_t pace = std::max(1u, config_.cluster.drain_per_s / edges_.count());
    edges_.each(
        [pace](std::uint32_t, asio::io_context&, edge::EdgeShard& e) { e.drain_tls(pace); });
    const auto limit = std::int64_t{config_.drain_seconds} * 1'000'000'000;
    await_no_tls(to, base::monotonic_ns() + limit);
    return true;
  }

  // OpenSSL can't hand a connection to another process: those with TLS end first, their devices
  // wait in the listening socket for the successor.
  void await_no_tls(const std::shared_ptr<HandoverStream>& to, std::int64_t until_ns) {
    const auto look = [this, to, until_ns](bool none) {
      if (none || base::monotonic_ns() > until_ns) return hand_over(*to);
      try {
        say_wait(*to);
      } catch (const std::exception& e) {
        return go_on(e.what());
      }
      drain_look_.expires_after(std::chrono::milliseconds(50));
      drain_look_.async_wait([this, to, until_ns](boost::system::error_code ec) {
        if (!ec) await_no_tls(to, until_ns);
      });
    };
    ask_all([](edge::EdgeShard& e) { return !e.has_tls(); }, look);
  }

  // Everything to the process at the other end; this one ends when that one has said so, and goes
  // on where it was when it has not.
  void hand_over(HandoverStream& to) {
    BERTH_LOG(info, "handing over");
    finder_.stop();
    edges_.each([this](std::uint32_t i, asio::io_context&, edge::EdgeShard& e) {
      e.end_tls();
      for (auto& set : sets_[i]) set->suspend();
      e.flush();
    });
    edges_.halt();
    try {
      give_all(to, edges_, [this](std::uint32_t i) {
        ShardOrigin o{.edge_id = sets_[i].front()->edge_id(), .generation = 0};
        for (const auto& set : sets_[i]) o.generation = std::max(o.generation, set->generation());
        return o;
      });
      BERTH_LOG(info, "handed over");
      left_ = true;
      end_.end_handover();
      http_.stop();  // its port is the successor's from here on
      io_.stop();
    } catch (const std::exception& e) {
      edges_.go_on();
      edges_.each([this](std::uint32_t i, asio::io_context&, edge::EdgeShard&) {
        for (auto& set : sets_[i]) set->resume();
      });
      finder_.resume();
      go_on(e.what());
    }
  }

  void go_on(const char* why) {
    BERTH_LOG(err, "not handed over, going on error=\"{}\"", why);
    edges_.each([](std::uint32_t, asio::io_context&, edge::EdgeShard& e) { e.keep_tls(); });
    if (end_.handover_failed()) return end_by(end_.drain(end_.stays(), may_linger()));
    wait_successor();
  }

  void make_sets() {
    sets_.resize(edges_.count());
    const std::uint64_t id = base::random_id();
    const std::string name = own_name();
    edges_.each([this, id, name](std::uint32_t i, asio::io_context& io, edge::EdgeShard& edge) {
      for (std::uint32_t p = 0; p < partitions(); ++p) {
        sets_[i].push_back(std::make_unique<EngineSet>(io, edge, set_options(id, name, i, p)));
        sets_[i].back()->start();
      }
    });
    edges_.on_strike(
        [this](const edge::Quarantine::Strike& s) { sets_[0].front()->tell_strike(s.encode()); });
    edges_.start_threads();
  }

  std::string own_name() const {
    return config_.cluster.name.empty() ? host_name() : config_.cluster.name;
  }

  EngineSetOptions set_options(std::uint64_t id, const std::string& name, std::uint32_t shard,
                               std::uint32_t partition) {
    const ShardOrigin& origin = origins_[shard];
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
                       .first_ready = {},
                       .strike = [this](std::string_view s) { edges_.struck_elsewhere(s); },
                       .dead = &dead_engines_};
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
    if (end_.draining() || std::exchange(started_, true)) return;
    edges_.open_for_devices();
    BERTH_LOG(info, "ready {} admin={}:{} shape=edge shards={} tls={}", listeners_.text(),
              admin_.host, admin_.port, edges_.count(), tls_ ? "yes" : "no");
  }

  bool may_linger() const { return config_.drain_linger_s != 0 && started_; }

  void end_by(EdgeEnd::Do what) {
    if (what == EdgeEnd::Do::stop) return io_.stop();
    if (what == EdgeEnd::Do::close) return drain_now();
    if (what != EdgeEnd::Do::linger) return;
    BERTH_LOG(info, "draining soon linger_s={}", config_.drain_linger_s);
    drain_look_.expires_after(std::chrono::seconds(config_.drain_linger_s));
    drain_look_.async_wait([this](boost::system::error_code ec) {
      if (!ec) end_by(end_.lingered());
    });
  }

  // No new connections; those that are end at a pace that others can admit, wills held back by the
  // engine; then goodbye.
  void drain_now() {
    BERTH_LOG(info, "draining per_second={}", config_.cluster.drain_per_s);
    const std::uint32_t pace = std::max(1u, config_.cluster.drain_per_s / edges_.count());
    edges_.each([this, pace](std::uint32_t, asio::io_context&, edge::EdgeShard& e) {
      e.drain(pace, {config_.cluster.server_reference, config_.cluster.park_endpoint});
    });
    drain_limit_.expires_after(std::chrono::seconds(config_.drain_seconds));
    drain_limit_.async_wait([this](boost::system::error_code ec) {
      if (!ec) leave();
    });
    look_if_drained();
  }

  // Calls `then` with whether `f` holds for every shard.
  void ask_all(const std::function<bool(edge::EdgeShard&)>& f,
               const std::function<void(bool)>& then) {
    auto left = std::make_shared<std::uint32_t>(edges_.count());
    auto all = std::make_shared<bool>(true);
    edges_.each([this, f, then, left, all](std::uint32_t, asio::io_context&, edge::EdgeShard& e) {
      const bool holds = f(e);
      asio::post(io_, [then, left, all, holds] {
        *all = *all && holds;
        if (--*left == 0) then(*all);
      });
    });
  }

  void look_if_drained() {
    drain_look_.expires_after(std::chrono::milliseconds(20));
    drain_look_.async_wait([this](boost::system::error_code ec) {
      if (ec) return;
      ask_all([](edge::EdgeShard& e) { return e.drained(); },
              [this](bool drained) { drained ? leave() : look_if_drained(); });
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
        if (--*missing != 0) return;
        BERTH_LOG(info, "drained");
        end_by(end_.drained());
      });
    });
  }

  // -- for operators

  // Coroutines on the admin server's thread, which ask here what they need.
  using Partitions = std::vector<std::vector<EngineSet::EngineInfo>>;  // of shard 0
  struct State {
    Partitions engines;
    std::vector<std::string> not_ready;
    std::vector<metrics::Sample> configuration;
    bool draining = false;
    bool lingers = false;
    bool drained = false;
  };

  asio::awaitable<State> state() {
    std::function<State()> look = [this] {
      State s{
          {}, not_ready(), reload_.samples(), end_.draining(), end_.lingers(), end_.is_drained()};
      if (!sets_.empty()) {
        for (const auto& set : sets_[0]) s.engines.push_back(set->engines());
      }
      return s;
    };
    std::optional<State> s = co_await http_.home().call<State>(std::move(look));
    State out = s ? std::move(*s) : State();
    if (!s) out.not_ready.emplace_back("the edge's loop does not run");
    co_return out;
  }

  // The links are those of shard 0, on this thread.
  std::vector<std::string> not_ready() {
    std::vector<std::string> why;
    const std::int64_t now = base::monotonic_ns();
    if (end_.draining()) why.emplace_back("draining");
    for (std::size_t p = 0; !sets_.empty() && p < sets_[0].size(); ++p) {
      const EngineSet& set = *sets_[0][p];
      if (started_ ? set.absent_ns(now) < kUnreadyAfterAbsent_ns : set.serving()) continue;
      why.push_back("no engine serves partition " + std::to_string(p));
      for (const auto& e : set.engines()) {
        if (!e.failure.empty()) why.push_back("engine " + e.address + ": " + e.failure);
      }
    }
    if (!started_) why.emplace_back("starting: engines have not served every partition yet");
    if (!why.empty() && tls_ && !tls_->error().empty())
      why.push_back("certificates of links: " + tls_->error());
    return why;
  }

  static std::uint64_t standbys(const Partitions& partitions) {
    std::uint64_t fewest = partitions.empty() ? 0 : ~std::uint64_t{0};
    for (const auto& engines : partitions) {
      const auto n = std::count_if(engines.begin(), engines.end(), [](const auto& e) {
        return !e.current && e.status.store_ok && !e.status.ending;
      });
      fewest = std::min(fewest, static_cast<std::uint64_t>(n));
    }
    return fewest;
  }

  // Links to engines that are known by their addresses, those that fail apart.
  static std::vector<metrics::Sample> link_samples(const Partitions& partitions) {
    std::uint64_t failing = 0;
    std::uint64_t all = 0;
    for (const auto& engines : partitions) {
      all += engines.size();
      failing += static_cast<std::uint64_t>(std::count_if(
          engines.begin(), engines.end(), [](const auto& e) { return !e.failure.empty(); }));
    }
    const char* help = "Links of this edge to engines, of all partitions";
    return {{metrics::kEngineLinks, "state", "failing", help, false, failing},
            {metrics::kEngineLinks, "state", "good", help, false, all - failing}};
  }

  asio::awaitable<admin::Response> metrics_page(admin::Request asked) {
    if (take_over_.under_way) co_return metrics_response(asked, metrics::process_samples("edge"));
    const auto probe = co_await edge_totals(http_.home(), edges_, end_.draining());
    const State now = co_await state();
    std::vector<metrics::Sample> all;
    if (probe) all = metrics::samples_of(*probe);
    for (auto& s : host_samples(config_, http_)) all.push_back(std::move(s));
    for (auto& s : metrics::process_samples("edge")) all.push_back(std::move(s));
    for (auto& s : trace_samples(tracer_.get(), "edge")) all.push_back(std::move(s));
    for (auto& s : link_samples(now.engines)) all.push_back(std::move(s));
    all.push_back(ready_sample(now.not_ready));
    all.push_back(standbys_sample(standbys(now.engines)));
    if (tls_) {
      for (auto& s : certificate_samples(tls_->expiries())) all.push_back(std::move(s));
    }
    for (auto& s : certificate_samples(listeners_.expiries())) all.push_back(std::move(s));
    for (auto& s : degraded_samples(kEdgeParts)) all.push_back(std::move(s));
    for (auto& s : degraded_samples(kLinkParts)) all.push_back(std::move(s));
    add_samples(all, now.configuration);
    co_return metrics_response(asked, all);
  }

  asio::awaitable<admin::Response> status_page() {
    if (take_over_.under_way) co_return taking_over_status();
    const auto totals = co_await edge_totals(http_.home(), edges_, end_.draining());
    const State now = co_await state();
    json::array engines;
    for (std::size_t p = 0; p < now.engines.size(); ++p) {
      for (const auto& e : now.engines[p]) {
        engines.push_back({{"partition", p},
                           {"address", e.address},
                           {"state", e.state},
                           {"term", e.term},
                           {"current", e.current},
                           {"failure", e.failure}});
      }
    }
    json::array not_ready;
    for (const std::string& why : now.not_ready) not_ready.emplace_back(why);
    const metrics::EdgeProbe probe = totals ? *totals : metrics::EdgeProbe();
    const json::object out{{"version", kVersion},
                           {"revision", revision()},
                           {"shape", "edge"},
                           {"pid", static_cast<std::int64_t>(getpid())},
                           {"ready", not_ready.empty()},
                           {"not_ready", not_ready},
                           {"draining", now.draining},
                           {"lingers", now.lingers},
                           {"drained", now.drained},
                           {"listeners", listeners_.json()},
                           {"admin", admin_.host + ":" + std::to_string(admin_.port)},
                           {"shards", edges_.count()},
                           {"partitions", partitions()},
                           {"connections", probe.connections},
                           {"unauthenticated", probe.unauthenticated},
                           {"engine_gap_ms", probe.engine_gap_ms},
                           {"engines", engines}};
    co_return json_response(out);
  }

  // Of a process whose loop does not run yet.
  static admin::Response taking_over_status() {
    json::array not_ready;
    not_ready.emplace_back(kTakingOver);
    const json::object out{{"version", kVersion}, {"revision", revision()},
                           {"shape", "edge"},     {"pid", static_cast<std::int64_t>(getpid())},
                           {"ready", false},      {"not_ready", not_ready},
                           {"taking_over", true}};
    return json_response(out);
  }

  // Every shard's loop has run, or the answer is no.
  asio::awaitable<admin::Response> live_page() {
    if (take_over_.under_way) co_return health_response(true);
    const auto totals = co_await edge_totals(http_.home(), edges_, end_.draining());
    co_return health_response(totals.has_value());
  }

  asio::awaitable<admin::Response> ready_page() {
    if (take_over_.under_way) co_return ready_response({kTakingOver});
    const State now = co_await state();
    co_return ready_response(now.not_ready);
  }

  // An edge without engines has begun all the same: a start-up probe that fails gets the process
  // killed, which brings no engine nearer.
  asio::awaitable<admin::Response> startup_page() {
    if (take_over_.under_way) co_return text_response(503, std::string(kTakingOver) + "\n");
    co_return co_await live_page();
  }

  // ?stay=true: the process waits for SIGTERM when it is drained.
  asio::awaitable<admin::Response> drain_page(admin::Request r) {
    const std::string fault = admin::fault_of(r, {{"stay", {admin::Parameter::Kind::flag}}});
    if (!fault.empty()) co_return admin::problem(admin::codes::kInvalid, fault);
    if (take_over_.under_way) {
      take_over_.given_up = true;
      co_return text_response(202, "giving up: it has nothing yet\n");
    }
    asio::post(io_,
               [this, stay = admin::flag(r, "stay")] { end_by(end_.drain(stay, may_linger())); });
    co_return text_response(202, "draining\n");
  }

  void routes() {
    http_.route("GET /livez", [this] { return live_page(); });
    http_.route("GET /readyz", [this] { return ready_page(); });
    http_.route("GET /startupz", [this] { return startup_page(); });
    http_.route("GET /metrics", [this](admin::Request r) { return metrics_page(std::move(r)); });
    http_.route("GET /api/v1/status", [this] { return status_page(); });
    serve_quarantine(http_, edges_);
    serve_config(http_, reload_, {}, {&platform_.asker(), kNotAsked});
    platform_.add_to(http_);
    platform_.operators().say_not_asked(kNotAsked);
    platform_.operators().add_to(http_);
    platform_.passages().add_to(http_);
    platform_.sessions().add_to(http_);
    console::serve_console(http_);
    http_.use_accounts(registry::remote_accounts(http_.home(), platform_.asker()));
    say_who_answers(http_, {.quarantine = {},
                            .restart_engine = "this process is an edge of a cluster: an engine is "
                                              "replaced by a restart of its own service",
                            .drain = {},
                            .registry = "this process is an edge of a cluster: ask an engine"});
    http_.route("POST /api/v1/drain",
                [this](admin::Request r) { return drain_page(std::move(r)); });
  }

  // Of questions about a whole gateway: an edge has links to engines only.
  static constexpr const char* kNotAsked = "other edges, and engines that stand by: ask each";
  std::uint32_t partitions() const { return config_.cluster.partitions; }

  const Config& config_;
  const std::unique_ptr<tracing::Tracer> tracer_ = tracer_of(config_, "edge");  // null: off
  EndAsked& end_asked_;
  struct {
    std::atomic<bool> under_way{false};  // read on the admin server's thread
    std::atomic<bool> given_up{false};   // written there: end before everything is taken over
    bool done = false;
  } take_over_;
  asio::io_context io_{1};
  Reload reload_;                          // before the parts that read files
  std::unique_ptr<link::TlsContext> tls_;  // of the links; null: none
  std::vector<Reload::Subscription> link_files_;
  DeviceListeners listeners_;
  EdgeShards edges_;
  rest::PlatformApi platform_{partitions(), [this](std::uint32_t p) { return edges_.engine_of(p); },
                              &io_, &edges_.first_probe(), tracer_.get()};
  PassageTeller passages_{io_, edges_.passages(), platform_.asker(), own_name()};
  DeadEngines dead_engines_;
  using Sets = std::vector<std::unique_ptr<EngineSet>>;  // by partition
  std::vector<Sets> sets_;                               // by shard; each on its shard's thread
  admin::HttpServer http_;
  Signals signals_;
  asio::steady_timer drain_limit_;
  asio::steady_timer drain_look_;
  asio::local::stream_protocol::acceptor successors_;
  EngineFinder finder_;
  std::vector<ShardOrigin> origins_;  // by shard, from a predecessor
  Endpoint admin_;
  EdgeEnd end_;
  std::uint32_t partitions_ready_ = 0;
  bool started_ = false;
  bool left_ = false;
};

}  // namespace

int run_edge(const Config& config, const ConfigSource& source) {
  check_edge_role(config);
  return run_process(config, "edge", [&config, &source] {
    const Config fitted = fitted_to_descriptors(config);
    EndAsked end;  // hears of a signal that comes when the node does not listen any more
    auto node = std::make_unique<EdgeNode>(fitted, config, source, end);
    int code = 0;
    try {
      code = node->run();
    } catch (const OtherSideGone& e) {
      // Killed while it handed over. What it had is lost; devices come again, to us.
      BERTH_LOG(warn, "starting without what the other process had error=\"{}\"", e.what());
      node.reset();
      node = std::make_unique<EdgeNode>(fitted, config, source, end);
      code = node->run();
    }
    if (!node->handed_over() || !config.cluster.handover_linger) return code;
    const int admin_socket = node->give_admin_socket();
    node.reset();
    wait_handed_over(end, config, admin_socket);
    return code;
  });
}

}  // namespace berth::gateway::cluster
