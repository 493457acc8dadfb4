#include "gateway/cluster/engine_node.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <optional>

#include "base/clock.h"
#include "base/log.h"
#include "base/random_id.h"
#include "base/read_file.h"
#include "gateway/admin/http_server.h"
#include "gateway/admin/parameters.h"
#include "gateway/admin/problem.h"
#include "gateway/cluster/balance.h"
#include "gateway/cluster/bridges.h"
#include "gateway/cluster/crash_report.h"
#include "gateway/cluster/engine_files.h"
#include "gateway/cluster/inner_edge.h"
#include "gateway/cluster/link_policy.h"
#include "gateway/cluster/newcomers.h"
#include "gateway/cluster/partition_questions.h"
#include "gateway/cluster/partition_server.h"
#include "gateway/cluster/told.h"
#include "gateway/cluster/usage_exchange.h"
#include "gateway/console/console.h"
#include "gateway/node/config_api.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/good_files.h"
#include "gateway/node/host_check.h"
#include "gateway/node/preflight.h"
#include "gateway/node/process.h"
#include "gateway/node/registry_service.h"
#include "gateway/node/reload.h"
#include "gateway/node/sample_sender.h"
#include "gateway/node/signals.h"
#include "gateway/node/usage_series.h"
#include "gateway/rest/account_ask.h"
#include "gateway/rest/platform_api.h"
#include "metrics/link_names.h"

namespace berth::gateway::cluster {

namespace asio = boost::asio;
namespace json = boost::json;
using protocol::link::EngineState;
using protocol::link::Hello;

namespace {

// Edges break a link that is silent for three heartbeats, of which one may have passed before.
CrashReport::Stuck stuck_of(const Config& config) {
  CrashReport::Stuck s;
  s.late_ms = config.heartbeat_ms * config.cluster.heartbeats_missed * 2 / 5;
  return s;
}

// The engine process: what all its partitions share.
class EngineNode {
 public:
  EngineNode(const Config& config, const ConfigSource& source)
      : config_(config),
        reload_(io_, config, source,
                {.process = "engine", .role = Role::engine, .check = check_engine_role}),
        tls_(config.cluster.tls.enabled() ? std::make_unique<link::TlsContext>(link_tls(config))
                                          : nullptr),
        http_(io_),
        signals_(io_, {.end = [this] { leave(false); },
                       .reload = [this] { reload_.look_now([](const Reload::Outcome&) {}); }}),
        beat_(io_),
        poison_(config.cluster.partitions),
        newcomers_(
            io_, tls_.get(), config.heartbeat_ms * config.cluster.heartbeats_missed,
            [this](const std::shared_ptr<LinkedEdge>& e, const Hello& h) { on_hello(e, h); },
            [this](std::string_view strike) {
              partitions_[0]->tell_strike(strike);  // every edge has a link to it
            }),
        crash_report_(
            poison_, progress_, stuck_of(config),
            [this](std::size_t p, std::uint64_t word) { partitions_[p]->last_words(word); }) {
    if (tls_) follows_ = follow_links(reload_, *tls_);
    process_.reload = &reload_;
    process_.traces = tracer_.get();
    forgive_bad_files();
    judge_files(engine_files_error(config_));
    follows_.push_back(reload_.on_judged(
        [this](const std::vector<Wrong>& wrong) { judge_files(engine_files_error(wrong)); }));
    registry_ = RegistryService::make(io_, config_, true, reload_);
    if (registry_) {
      process_.registry = &registry_->registry();
      usage_ = std::make_unique<UsageExchange>(*registry_, partitions_);
      registry_->on_change([this](const session::Concerned& who) {
        for (const auto& p : partitions_) {
          if (p->engine() != nullptr && p->runs_inputs()) p->engine()->review_registry(who);
        }
      });
    }
    process_.started_ms = static_cast<std::uint64_t>(base::now().ms);
    process_.held = [this] { return held(); };
    process_.equip = [this](engine::EngineShard& engine, std::uint32_t p) {
      answer_about(engine, p);
      engine.answerer().use(
          protocol::link::AskKind::config,
          [this](const protocol::link::Question& q, const link::Answered& answered) {
            answer_about_config(reload_, q, answered);
          });
      engine.answerer().use(protocol::link::AskKind::check_account,
                            [this](const protocol::link::Question& q, link::Answered answered) {
                              registry::answer_claim(registry_ ? registry_->accounts() : nullptr, q,
                                                     std::move(answered));
                            });
    };
    process_.beat_all = [this] {
      for (const auto& p : partitions_) {
        if (p) p->tell_status();
      }
    };
  }

  int run() {
    // With bad files this engine is not fit to serve while another one is (judge_files). Where
    // there is no other, it serves those who are in, with the last good files if it has any.
    load_passwords(config_);
    load_acl(config_);
    Endpoint links = config_.cluster.listen;
    newcomers_.listen(links.host, links.port);
    routes();
    if (registry_) registry_->serve(http_, platform_.asker());
    Endpoint admin;
    listen_admin(http_, config_, admin, reload_);
    signals_.wait();
    reload_.start();
    const bool asks = registry_ && !config_.cluster.engines.empty();
    if (config_.cluster.partitions > 1 || asks)
      inner_ = std::make_unique<InnerEdge>(io_, config_, tls_.get());
    bridges_.resize(config_.cluster.partitions);
    partitions_.resize(config_.cluster.partitions);
    for (std::uint32_t p = 0; p < partitions_.size(); ++p) make_partition(p);
    on_beat();
    BERTH_LOG(info, "ready links={}:{} admin={}:{} shape=engine partitions={} tls={}", links.host,
              links.port, admin.host, admin.port, partitions_.size(), tls_ ? "yes" : "no");
    io_.run();
    bridges_.clear();
    partitions_.clear();
    inner_.reset();
    return exit_code_;
  }

 private:
  // Bad ones are told to the edges: another engine is to serve, if there is one.
  void judge_files(std::string why_bad) {
    const std::string before = std::exchange(process_.unfit, std::move(why_bad));
    if (!process_.unfit.empty()) {
      BERTH_LOG(err, "not fit to serve error=\"{}\"", process_.unfit);
      return;
    }
    if (!before.empty()) BERTH_LOG(info, "fit to serve again");
    const auto set = reload_.current();
    std::optional<base::ReadFrom> from;
    if (set) from.emplace(set->texts);
    load_passwords(config_);  // kept as the last good ones
    load_acl(config_);
  }

  void make_partition(std::uint32_t p) {
    if (partitions_[p]) metrics::add_counters(past_, partitions_[p]->figures());
    bridges_[p].reset();
    partitions_[p].reset();
    partitions_[p] = std::make_unique<PartitionServer>(
        io_, config_, p, process_, poison_[p], progress_,
        PartitionServer::Events{.fenced =
                                    [this, p] {
                                      ++ends_.fenced;
                                      replace(p);
                                    },
                                .ended = [this, p] { on_ended(p); },
                                .failed =
                                    [this](int code) {
                                      exit_code_ = code;
                                      io_.stop();
                                    },
                                .serves =
                                    [this, p] {
                                      balance_.serves(p);
                                      bridge(p);
                                    },
                                .stops = [this, p] { bridges_[p].reset(); }});
    partitions_[p]->start();
  }

  // What other partitions have for it comes from now on.
  void bridge(std::uint32_t p) {
    if (partitions_.size() == 1) return;
    bridges_[p] = std::make_unique<Bridges>(
        io_, inner_->shard(), *partitions_[p]->engine(),
        Bridges::Home{p, config_.cluster.partitions, partitions_[p]->term()});
  }

  // For questions of REST: our own engine, or over the inner edge another's; null: while we do not
  // serve, and no other engine is configured.
  link::EnginePort* serving(std::uint32_t p) {
    if (partitions_[p] && partitions_[p]->engine() != nullptr && partitions_[p]->runs_inputs())
      return partitions_[p]->engine();
    return inner_ ? inner_->shard().engine_of(p) : nullptr;
  }

  void answer_about(engine::EngineShard& engine, std::uint32_t p) {
    engine.answerer().use(
        protocol::link::AskKind::partition,
        [this, p](const protocol::link::Question& q, const link::Answered& answered) {
          const metrics::EngineProbe f = partitions_[p]->figures();
          const PartitionFacts facts{
              p,        process_.id, partitions_[p]->term(), f.sessions + f.sessions_offline,
              others(), hold_s()};
          const PartitionActs acts{[this, p] { return give_away(p); },
                                   [this](std::int64_t for_s) { hold(for_s); }};
          answered({protocol::link::AskError::none, answer_about_partition(q.bytes, facts, acts)});
        });
  }

  // Engines beside this one that could serve a partition; 0 too where we have no links to them.
  std::size_t others() const {
    if (!inner_) return 0;
    const auto all = inner_->shares();
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [this](const auto& s) { return s.process != process_.id; }));
  }

  // The balance leaves partitions where they are: an operator has a reason.
  void hold(std::int64_t for_s) {
    BERTH_LOG(info, "partitions are held where they are seconds={}", for_s);
    balance_.hold(base::monotonic_ns() + for_s * 1'000'000'000);
  }
  std::int64_t hold_s() const {
    const std::int64_t left = balance_.held_until_ns() - base::monotonic_ns();
    return left > 0 ? left / 1'000'000'000 + 1 : 0;
  }

  // Because an operator wants it. Why not; empty: it begins.
  std::string give_away(std::uint32_t p) {
    const PartitionServer& server = *partitions_[p];
    if (process_.ending || server.leaving()) return "the engine gives it away already";
    if (!inner_)
      return "this engine does not know the others: it does with cluster.engines and several "
             "partitions or a registry. Stop or restart it: a standby takes the partition over";
    if (others() == 0)
      return "no other engine could serve it now (cluster.engines names those that may)";
    if (server.roster().out_of_reach() != 0) return "an edge is out of reach of this engine";
    asio::post(io_, [this, p] {
      balance_.moved(base::monotonic_ns());
      if (!process_.ending && !partitions_[p]->leaving()) partitions_[p]->leave();
    });
    return {};
  }

  // To an engine that has fewer partitions, one at a time, when nothing has moved for a while.
  void even_out() {
    if (!inner_ || process_.ending) return;
    const std::int64_t now = base::monotonic_ns();
    balance_.is(inner_->shares(), now);
    if (!balance_.due(now)) return;
    for (const auto& p : partitions_) {
      if (p->leaving() || p->roster().out_of_reach() != 0) return;
    }
    for (const auto& p : partitions_) {
      if (!p->runs_inputs()) continue;
      BERTH_LOG(info, "giving a partition away partition={} held={} patience={}", p->partition(),
                held(), balance_.patience());
      balance_.gives(p->partition(), now);
      return p->leave();
    }
  }

  // A standby again, unless the process ends.
  void replace(std::uint32_t p) {
    asio::post(io_, [this, p] {
      if (process_.ending) return on_ended(p);
      make_partition(p);
    });
  }

  void on_hello(const std::shared_ptr<LinkedEdge>& e, const Hello& h) {
    const std::uint64_t version = protocol::link::common_version(h.version_min, h.version);
    if (!h.remote || version == 0) {
      if (refusals_.due(h.name, "version", base::monotonic_ns()))
        BERTH_LOG(err, "edge refused name={} version={}..{}", base::LogName{h.name}, h.version_min,
                  h.version);
      return e->link->refuse("no common version of the link protocol");
    }
    if (h.partitions != partitions_.size() || h.partition >= partitions_.size()) {
      if (refusals_.due(h.name, "partitions", base::monotonic_ns()))
        BERTH_LOG(err, "edge refused name={} partitions={} ours={}", base::LogName{h.name},
                  h.partitions, partitions_.size());
      return e->link->refuse("cluster.partitions differs: the edge has " +
                             std::to_string(h.partitions) + ", this engine " +
                             std::to_string(partitions_.size()));
    }
    partitions_[h.partition]->adopt(e, h);
  }

  std::uint64_t held() const {
    std::uint64_t n = 0;
    for (const auto& p : partitions_) {
      n += p && (p->state() == EngineState::serving || p->state() == EngineState::starting) ? 1 : 0;
    }
    return n;
  }

  void on_beat() {
    newcomers_.beat();
    for (const auto& p : partitions_) p->beat();
    even_out();
    if (usage_) usage_->beat();
    beat_.expires_after(std::chrono::milliseconds(config_.heartbeat_ms));
    beat_.async_wait([this](boost::system::error_code ec) {
      if (!ec) on_beat();
    });
  }

  // -- the end

  // What serves is given away one partition after another: a move costs the engine that takes it
  // and its edges CPU, and each device waits for its own partition only. Asked again, or without
  // the store, which has no next holder: all at once.
  // Signals end the process when that is done; ?stay=true of the drain lets it wait for a signal.
  void leave(bool stay) {
    ends_.stays = stay;
    if (ends_.ended == partitions_.size()) return ends_.stays ? void() : io_.stop();
    const bool no_store = std::any_of(partitions_.begin(), partitions_.end(),
                                      [](const auto& p) { return !p->store_ok(); });
    const bool again = std::exchange(process_.ending, true) || no_store;
    for (const auto& p : partitions_) {
      if (again || p->state() != EngineState::serving) p->leave();
    }
    leave_next();
  }

  void leave_next() {
    const PartitionServer* serving = nullptr;
    for (const auto& p : partitions_) {
      if (p->leaving() && p->state() == EngineState::serving) return;
      if (!p->leaving()) serving = p.get();
    }
    if (serving != nullptr) partitions_[serving->partition()]->leave();
  }

  void on_ended(std::uint32_t p) {
    if (!process_.ending) return replace(p);  // this partition only was given away
    if (++ends_.ended == partitions_.size()) {
      BERTH_LOG(info, "drained");
      if (!ends_.stays) io_.stop();
      return;
    }
    leave_next();
  }

  // -- for operators

  std::vector<std::string> not_ready() const {
    std::vector<std::string> why;
    if (tls_ && !tls_->error().empty()) why.push_back("certificates of links: " + tls_->error());
    for (std::size_t p = 0; p < partitions_.size(); ++p) {
      const std::string one = partitions_[p] ? partitions_[p]->why_not_ready() : "it begins";
      if (!one.empty()) why.push_back("partition " + std::to_string(p) + ": " + one);
    }
    if (partitions_.empty()) why.emplace_back("starting");
    if (process_.ending) why.emplace_back("draining");
    if (registry_ && !registry_->trouble().empty())
      why.push_back("the registry: " + registry_->trouble());
    return why;
  }

  // On this thread.
  std::vector<metrics::Sample> link_samples() const {
    auto all = newcomers_.samples();
    std::uint64_t missing = 0;
    for (const auto& p : partitions_) missing += p ? p->edges_missing() : 0;
    all.push_back({metrics::kEdgesMissing, "", "",
                   "Edge shards that the serving engine is linked to and this one is not", false,
                   missing});
    std::int64_t unconfirmed_ms = 0;
    for (const auto& p : partitions_)
      unconfirmed_ms = std::max(unconfirmed_ms, p ? p->unconfirmed_ms() : 0);
    all.push_back(unconfirmed_sample(unconfirmed_ms));
    if (tls_) {
      for (auto& s : certificate_samples(tls_->expiries())) all.push_back(std::move(s));
    }
    for (auto& s : degraded_samples(kEngineParts)) all.push_back(std::move(s));
    for (auto& s : uplink_samples()) all.push_back(std::move(s));
    for (auto& s : degraded_samples(kLinkParts)) all.push_back(std::move(s));
    add_samples(all, reload_.samples());
    return all;
  }

  // Of all partitions here: sums, and the longest lag.
  std::vector<metrics::Sample> uplink_samples() const {
    std::vector<metrics::Sample> all;
    for (const auto& p : partitions_) {
      std::vector<metrics::Sample> one;
      if (p && p->engine() != nullptr) p->engine()->add_more_samples(one);
      for (metrics::Sample& s : one) {
        const auto same = std::find_if(all.begin(), all.end(), [&s](const metrics::Sample& a) {
          return a.family == s.family && a.label_value == s.label_value;
        });
        if (same == all.end()) {
          all.push_back(std::move(s));
        } else {
          same->value = s.family.ends_with("_seconds") ? std::max(same->value, s.value)
                                                       : same->value + s.value;
        }
      }
    }
    return all;
  }

  metrics::EngineProbe figures() {
    metrics::EngineProbe sum = partitions_[0]->figures();
    metrics::add_counters(sum, past_);
    for (std::size_t i = 1; i < partitions_.size(); ++i)
      metrics::add(sum, partitions_[i]->figures());
    sum.partitions = partitions_.size();
    return sum;
  }

  // Of a process with one partition that one's; else the one that says most.
  EngineState state() const {
    const auto any = [this](EngineState s) {
      return std::any_of(partitions_.begin(), partitions_.end(),
                         [s](const auto& p) { return p->state() == s; });
    };
    for (const EngineState s : {EngineState::serving, EngineState::starting, EngineState::standby})
      if (any(s)) return s;
    return EngineState::leaving;
  }

  // Of all partitions: an edge has a link for each, and one of them may be away.
  json::array edges() const {
    json::array edges;
    for (const auto& p : partitions_) {
      for (std::uint32_t i = 0; i < p->roster().size(); ++i) {
        const EdgeRoster::Entry& e = p->roster()[i];
        if (!e.used || e.internal) continue;
        edges.push_back(
            {{"name", e.name}, {"partition", p->partition()}, {"link", i}, {"linked", e.linked}});
      }
    }
    return edges;
  }

  admin::Response status_page() {
    const metrics::EngineProbe p = figures();
    json::array why_not;
    for (const std::string& why : not_ready()) why_not.emplace_back(why);
    json::array partitions;
    for (const auto& each : partitions_) {
      const metrics::EngineProbe f = each->figures();
      partitions.push_back({{"partition", each->partition()},
                            {"state", name_of(each->state())},
                            {"term", each->term()},
                            {"store_up", f.store_up != 0},
                            {"sessions", f.sessions + f.sessions_offline}});
    }
    const json::object out{{"version", kVersion},
                           {"revision", revision()},
                           {"shape", "engine"},
                           {"pid", static_cast<std::int64_t>(getpid())},
                           {"state", name_of(state())},
                           {"ready", why_not.empty()},
                           {"not_ready", why_not},
                           {"term", p.term},
                           {"store_up", p.store_up != 0},
                           {"fenced", ends_.fenced},
                           {"sessions", p.sessions + p.sessions_offline},
                           {"restore_ms", p.restore_ms},
                           {"draining", process_.ending},
                           {"drained", ends_.ended == partitions_.size()},
                           {"held", held()},
                           {"partitions", partitions},
                           {"edges", edges()}};
    return json_response(out);
  }

  // Coroutines on the admin server's thread, which ask here what they need.
  struct Counted {
    metrics::EngineProbe probe;
    Usages usage;
    std::vector<metrics::Sample> links;
    std::vector<std::string> not_ready;
  };
  asio::awaitable<admin::Response> metrics_page(admin::Request asked) {
    std::function<Counted()> count = [this] {
      return Counted{figures(), usage_ ? usage_->here() : Usages(), link_samples(), not_ready()};
    };
    std::optional<Counted> c = co_await http_.home().call<Counted>(std::move(count));
    std::vector<metrics::Sample> all;
    if (c) {
      all = metrics::samples_of(c->probe);
      for (auto& s : c->links) all.push_back(std::move(s));
      all.push_back(ready_sample(c->not_ready));
      for (auto& s : usage_series_.samples(c->usage, base::monotonic_ns() / 1'000'000'000))
        all.push_back(std::move(s));
    }
    all.push_back(files_replaced_sample());
    for (auto& s : metrics::process_samples("engine")) all.push_back(std::move(s));
    for (auto& s : trace_samples(tracer_.get(), "engine")) all.push_back(std::move(s));
    for (auto& s : host_samples(config_, http_)) all.push_back(std::move(s));
    if (registry_) all.push_back(registry_->sample());
    if (registry_) all.push_back(registry_->doubt_sample());
    co_return metrics_response(asked, all);
  }

  asio::awaitable<admin::Response> answer_usage(admin::Request r) {
    using Known = std::pair<Usages, bool>;
    std::function<Known()> look = [this, tenant = usage_tenant(r)] {
      return Known(usage_->everywhere(), registry_->has_tenant(tenant));
    };
    const std::optional<Known> all = co_await http_.home().call<Known>(std::move(look));
    co_return all ? usage_page(all->first, r, all->second) : usage_page({}, r, false);
  }

  // What is made at home as it is.
  asio::awaitable<admin::Response> page_of(std::function<admin::Response()> make) {
    std::optional<admin::Response> r = co_await http_.home().call<admin::Response>(std::move(make));
    co_return r ? std::move(*r) : text_response(503, "the engine's loop does not run\n");
  }

  asio::awaitable<admin::Response> drain_page(admin::Request r) {
    const std::string fault = admin::fault_of(r, {{"stay", {admin::Parameter::Kind::flag}}});
    if (!fault.empty()) co_return admin::problem(admin::codes::kInvalid, fault);
    asio::post(io_, [this, stay = admin::flag(r, "stay")] { leave(stay); });
    co_return text_response(202, "leaving\n");
  }

  void routes() {
    const auto page = [this](const char* target, const std::function<admin::Response()>& make) {
      http_.route(target, [this, make] { return page_of(make); });
    };
    page("GET /livez", [] { return health_response(true); });
    page("GET /startupz", [] { return health_response(true); });
    page("GET /readyz", [this] { return ready_response(not_ready()); });
    page("GET /api/v1/status", [this] { return status_page(); });
    http_.route("POST /api/v1/drain",
                [this](admin::Request r) { return drain_page(std::move(r)); });
    http_.route("GET /metrics", [this](admin::Request r) { return metrics_page(std::move(r)); });
    say_who_answers(http_, {.quarantine = "this process is an engine of a cluster: ask an edge, "
                                          "each one has the whole list",
                            .restart_engine = "this process is an engine of a cluster: restart its "
                                              "service, another engine serves meanwhile",
                            .drain = {},
                            .registry = registry_ ? std::string() : kNoRegistry,
                            .platform = registry_ ? std::string() : kNoRegistry});
    constexpr const char* kNotAsked = "edges, and engines that stand by: ask each";
    serve_config(http_, reload_, {}, {&platform_.asker(), kNotAsked});
    platform_.operators().say_not_asked(kNotAsked);
    platform_.operators().add_to(http_);
    platform_.passages().add_to(http_);
    platform_.sessions().add_to(http_);
    console::serve_console(http_);
    if (!registry_) return platform_.insights().add_to(http_);
    platform_.add_to(http_);
    const auto usage = [this](admin::Request r) { return answer_usage(std::move(r)); };
    http_.route("GET /api/v1/usage", usage);
    http_.route("GET /api/v1/usage/{tenant}", usage, {.who = admin::For::accounts});
  }

  const Config& config_;
  const std::unique_ptr<tracing::Tracer> tracer_ = tracer_of(config_, "engine");  // null: off
  asio::io_context io_{1};
  Reload reload_;  // before the parts that read files
  EngineProcess process_;
  std::unique_ptr<RegistryService> registry_;
  std::unique_ptr<link::TlsContext> tls_;  // of the links; null: none
  std::vector<Reload::Subscription> follows_;
  admin::HttpServer http_;
  Signals signals_;
  asio::steady_timer beat_;
  CrashReport::Words poison_;
  std::atomic<std::uint64_t> progress_{0};
  std::vector<std::unique_ptr<PartitionServer>> partitions_;
  std::unique_ptr<UsageExchange> usage_;  // null: there is no registry
  // Null: there is one partition, and no other engine to ask or nothing to be asked.
  std::unique_ptr<InnerEdge> inner_;
  rest::PlatformApi platform_{config_.cluster.partitions,
                              [this](std::uint32_t p) { return serving(p); }, nullptr, nullptr,
                              tracer_.get()};
  std::vector<std::unique_ptr<Bridges>> bridges_;  // by partition; null: it does not serve
  Balance balance_{process_.id, config_.cluster.rebalance_ms, config_.cluster.partitions};
  Newcomers newcomers_;
  CrashReport crash_report_;
  Told refusals_;                                         // of edges, by their names
  UsageSeries usage_series_{config_.metrics_max_series};  // the admin server's thread
  metrics::EngineProbe past_;  // counters of what served here and does not any more
  struct {
    std::uint64_t fenced = 0;
    std::size_t ended = 0;
    bool stays = false;  // the process, until a signal, when all of them have ended
  } ends_;               // of partitions
  int exit_code_ = 0;
};

}  // namespace

int run_engine(const Config& config, const ConfigSource& source) {
  check_engine_role(config);
  return run_process(config, "engine", [&config, &source] {
    warn_if_all_are_refused(config, Role::engine);
    EngineNode node(config, source);
    return node.run();
  });
}

}  // namespace berth::gateway::cluster
