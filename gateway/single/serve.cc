#include "gateway/single/serve.h"

#include <signal.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "gateway/admin/http_server.h"
#include "gateway/console/console.h"
#include "gateway/link/ask.h"
#include "gateway/link/samples.h"
#include "gateway/node/config_api.h"
#include "gateway/node/descriptors.h"
#include "gateway/node/edge_shards.h"
#include "gateway/node/engine_build.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/host_check.h"
#include "gateway/node/passage_teller.h"
#include "gateway/node/process.h"
#include "gateway/node/quarantine_api.h"
#include "gateway/node/registry_service.h"
#include "gateway/node/reload.h"
#include "gateway/node/sample_sender.h"
#include "gateway/node/signals.h"
#include "gateway/node/usage.h"
#include "gateway/node/usage_series.h"
#include "gateway/rest/platform_api.h"
#include "gateway/single/in_process_engine.h"
#include "gateway/single/invocation.h"
#include "gateway/single/supervisor.h"
#include "metrics/link_names.h"
#include "store/store_access.h"

namespace berth::gateway {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr auto kAgain = std::chrono::seconds(2);
constexpr std::uint32_t kRegistryRead_ms = 5000;
constexpr auto kServeAgain = std::chrono::seconds(3);
constexpr double kUnreadyAfterAbsent_s = 10;          // an engine's restart must not flap readiness
constexpr std::chrono::seconds kReplacementMax{120};  // the new engine restores what is stored
constexpr int kEngineLooks = 50;  // at an engine that is to take a configuration: ten seconds
constexpr const char* kStoreDown = "the store does not take writes";
constexpr const char* kStarting = "starting: what is stored has not been restored yet";

edge::EdgeOptions edge_options(const Config& config) {
  edge::EdgeOptions o = config.edge;
  o.quarantine_directory = config.data_directory + "/quarantine";
  return o;
}

// Behind a reason not to be ready, where it can say more. Looks at the disk: not on the edge's
// loop.
std::string with_details(const std::string& why, bool down, const Config& config) {
  if (!down && why != kStarting) return why;
  if (!config.store_url.empty()) return why + "; it is " + redis_options(config).address.text();
  const std::uint64_t needed = down ? session::kStoreSpaceKept : session::kStoreSpaceToOpen;
  struct statvfs room {};
  if (::statvfs(config.data_directory.c_str(), &room) != 0) return why;
  const std::uint64_t free = std::uint64_t{room.f_bavail} * room.f_frsize;
  if (!down && free >= needed) return why;
  return why + "; " + config.data_directory + "/store has " + std::to_string(free) +
         " bytes free and needs " + std::to_string(needed);
}

std::string build_in(const std::vector<metrics::Sample>& samples) {
  for (const metrics::Sample& s : samples) {
    if (s.family == kEngineBuild) return s.label_value;
  }
  return "unknown";
}

// With the file that is bad.
std::string degraded_part(const std::string& part, const Config& config) {
  if (part == runtime::name_of(runtime::Part::password_file))
    return part + ": " + config.password_file;
  if (part == runtime::name_of(runtime::Part::acl_file)) return part + ": " + config.acl_file;
  if (part == runtime::name_of(runtime::Part::uplinks_file))
    return part + ": " + config.uplinks_file;
  return part;
}

std::vector<std::string> degraded_in(const std::vector<metrics::Sample>& samples,
                                     const Config& config) {
  std::vector<std::string> parts;
  for (const metrics::Sample& s : samples) {
    if (s.family == metrics::kDegraded && s.value != 0)
      parts.push_back(degraded_part(s.label_value, config));
  }
  return parts;
}

class Gateway {
 public:
  Gateway(const Config& config, const Config& loaded, const ConfigSource& source)
      : config_(config),
        reload_(io_, loaded, source,
                {.process = config.single_process ? "gateway" : "edge",
                 .role = Role::serve,
                 .starts_engines = !config.single_process}),
        edges_(io_, edge_options(config), config.shards, config.address_limits),
        http_(io_),
        signals_(io_, {.end = [this] { shut_down(); },
                       .reload = [this] { reload_.look_now([](const Reload::Outcome&) {}); }}),
        drain_limit_(io_),
        again_(io_) {}

  int run() {
    registry_ = RegistryService::make(io_, config_, true, reload_);
    listeners_.follow(reload_, edges_);
    listeners_.bind(config_, edges_);
    routes();
    if (registry_) registry_->serve(http_, platform_.asker());
    listen_admin(http_, config_, admin_, reload_);
    signals_.wait();
    reload_.start();
    passages_.start();
    if (config_.single_process) {
      start_in_process();
      if (registry_) {
        registry_->on_change([this](const auto& who) {
          if (engine_) engine_->review_registry(who);
        });
      }
    } else {
      start_supervised();
    }
    io_.run();
    edges_.stop();
    if (engine_) engine_->close();
    return exit_code_;
  }

 private:
  // Tries again as long as there is no room for the store.
  void start_in_process() {
    InProcessEngine::Events events{.ready = [this] { open_for_devices(); },
                                   .store_lost =
                                       [this] {
                                         exit_code_ = base::kExitUnavailable;
                                         io_.stop();
                                       }};
    try {
      engine_ = std::make_unique<InProcessEngine>(io_, config_, edges_,
                                                  registry_ ? &registry_->registry() : nullptr,
                                                  reload_, tracer_.get(), std::move(events));
    } catch (const session::StoreFull& e) {
      BERTH_LOG(err, "engine cannot start error=\"{}\"", e.what());
      again_.expires_after(kAgain);
      again_.async_wait([this](boost::system::error_code ec) {
        if (!ec && !draining_) start_in_process();
      });
    }
  }

  void start_supervised() {
    supervisor_ = std::make_unique<Supervisor>(
        io_, config_, edges_,
        Supervisor::Events{.first_ready = [this] { open_for_devices(); },
                           .failed =
                               [this](int code) {
                                 exit_code_ = code;
                                 io_.stop();
                               }});
    supervisor_->start();
    if (registry_)
      registry_->on_written([this](std::function<void()> done) { tell_engine(std::move(done)); });
  }

  // The engine is a process of its own: an answer over REST waits until it has read what was
  // written, or can't (it reads when it begins).
  void tell_engine(std::function<void()> done) {
    edges_.ask({protocol::link::AskKind::read_registry, kRegistryRead_ms, {}},
               [done = std::move(done)](const link::Answer&) { done(); });
  }

  // Only now may devices come: what was stored is restored.
  void open_for_devices() {
    edges_.open_for_devices();
    started_ = true;
    BERTH_LOG(info, "ready {} admin={}:{} shape={} shards={} durability={}", listeners_.text(),
              admin_.host, admin_.port, config_.single_process ? "single-process" : "supervised",
              edges_.count(), config_.sync ? "disk" : "process");
  }

  // SIGTERM: no new connections, DISCONNECT 0x8B, wills held, everything durable, then the end.
  void shut_down() {
    if (draining_) return;
    draining_ = true;
    BERTH_LOG(info, "draining");
    edges_.stop_accepting();
    drain_limit_.expires_after(std::chrono::seconds(config_.drain_seconds));
    drain_limit_.async_wait([this](boost::system::error_code ec) {
      if (!ec) io_.stop();
    });
    const auto done = [this] { asio::post(io_, [this] { io_.stop(); }); };
    if (supervisor_) {
      supervisor_->drain(done);
    } else if (engine_) {
      give_up_on_store();
      engine_->drain(done);
    } else {
      done();
    }
  }

  // --single-process: ends when the store has taken no write for a while. What waits for it was not
  // acknowledged.
  void give_up_on_store() {
    again_.expires_after(kServeAgain);
    again_.async_wait([this, failed = !engine_->store_healthy()](boost::system::error_code ec) {
      if (ec) return;
      if (!failed || engine_->store_healthy()) return give_up_on_store();
      BERTH_LOG(warn, "ending without the store, which takes no writes");
      io_.stop();
    });
  }

  // -- for operators: coroutines on the admin server's thread, which ask here what they need

  // What is in the way of being ready, but for the store.
  std::vector<std::string> not_ready() const {
    std::vector<std::string> why;
    if (!started_) why.emplace_back(kStarting);
    if (draining_) why.push_back("draining");
    if (supervisor_ && supervisor_->absent_seconds() >= kUnreadyAfterAbsent_s)
      why.push_back("no engine has served for " +
                    std::to_string(static_cast<int>(supervisor_->absent_seconds())) + " s");
    if (registry_ && !registry_->trouble().empty())
      why.push_back("the registry: " + registry_->trouble());
    return why;
  }

  using Figures = SampleSender::Figures;
  asio::awaitable<Figures> engine_figures() {
    if (config_.single_process) co_return co_await figures_here();
    using Payload = Supervisor::Payload;
    std::function<void(admin::HomeLoop::Done<Payload>)> start =
        [this](admin::HomeLoop::Done<Payload> done) {
          if (!supervisor_) return done(nullptr);
          supervisor_->scrape(std::move(done));
        };
    const std::optional<Payload> answer = co_await http_.home().ask<Payload>(std::move(start));
    Figures f;
    std::uint64_t id = 0;
    if (answer && *answer && !link::get_samples(**answer, id, f.samples)) f.samples.clear();
    f.usage = take_usage(f.samples);
    look_at_store(f);
    if (!f.samples.empty()) engine_degraded_ = degraded_in(f.samples, config_);
    if (!f.samples.empty()) engine_build_ = build_in(f.samples);
    co_return f;
  }

  asio::awaitable<Figures> figures_here() {
    std::function<Figures()> look = [this] { return engine_ ? engine_->figures() : Figures(); };
    std::optional<Figures> f = co_await http_.home().call<Figures>(std::move(look));
    engine_build_ = build_text();
    if (f) look_at_store(*f);
    co_return f ? std::move(*f) : Figures();
  }

  // An engine of an older release says only that there is trouble.
  void look_at_store(Figures& f) {
    const std::string why = take_store_trouble(f.samples);
    for (const metrics::Sample& s : f.samples) {
      if (s.family == "berth_store_up") store_trouble_ = s.value != 0 ? "" : kStoreDown;
    }
    if (!why.empty()) store_trouble_ = why;
  }

  struct State {
    std::vector<std::string> not_ready;
    std::vector<Supervisor::EngineStatus> engines;
    std::vector<metrics::Sample> configuration;
    bool started = false;
    bool draining = false;
  };
  asio::awaitable<State> state() {
    std::function<State()> look = [this] {
      State s{not_ready(), {}, reload_.samples(), started_, draining_};
      if (supervisor_) s.engines = supervisor_->status();
      if (engine_) s.engines.push_back({getpid(), "serving"});
      return s;
    };
    std::optional<State> s = co_await http_.home().call<State>(std::move(look));
    State out = s ? std::move(*s) : State();
    if (!s) out.not_ready.emplace_back("the edge's loop does not run");
    for (std::string& why : out.not_ready) why = with_details(why, false, config_);
    if (!store_trouble_.empty())
      out.not_ready.push_back(with_details(store_trouble_, true, config_));
    co_return out;
  }

  asio::awaitable<admin::Response> metrics_page(admin::Request asked) {
    Figures f = co_await engine_figures();
    std::vector<metrics::Sample> all = std::move(f.samples);
    const auto add = [&all](std::vector<metrics::Sample> more) {
      for (auto& s : more) all.push_back(std::move(s));
    };
    const auto edge = co_await edge_totals(http_.home(), edges_, draining_);
    const State now = co_await state();
    if (edge) add(metrics::samples_of(*edge));
    add(usage_series_.samples(f.usage, base::monotonic_ns() / 1'000'000'000));
    add(host_samples(config_, http_));
    add(metrics::process_samples("edge"));
    add(trace_samples(tracer_.get(), "edge"));
    all.push_back(ready_sample(now.not_ready));
    if (supervisor_ && config_.standby) all.push_back(standbys_sample(standbys(now)));
    if (registry_) all.push_back(registry_->sample());
    if (registry_) all.push_back(registry_->doubt_sample());
    add(certificate_samples(listeners_.expiries()));
    add(degraded_samples(kEdgeParts));
    add_samples(all, now.configuration);
    co_return metrics_response(asked, all);
  }

  static std::uint64_t standbys(const State& s) {
    return static_cast<std::uint64_t>(std::count_if(
        s.engines.begin(), s.engines.end(), [](const auto& e) { return e.state == "standby"; }));
  }

  asio::awaitable<admin::Response> status_page() {
    const Figures told = co_await engine_figures();
    const auto edge = co_await edge_totals(http_.home(), edges_, draining_);
    const State now = co_await state();
    json::array engines;
    for (const auto& e : now.engines)
      engines.push_back(
          {{"pid", static_cast<std::int64_t>(e.pid)},
           {"state", e.state},
           {"version", e.state == "serving" ? json::value(engine_build_) : json::value(nullptr)}});
    json::object figures;
    for (const metrics::Sample& s : told.samples) {
      if (s.counter || s.family == kEngineBuild) continue;
      json::value& v =
          figures[s.label_value.empty() ? s.family : s.family + "{" + s.label_value + "}"];
      if (s.plain()) {
        v = s.value;
      } else {
        v = s.exported();
      }
    }
    json::array not_ready;
    for (const std::string& why : now.not_ready) not_ready.emplace_back(why);
    const metrics::EdgeProbe probe = edge ? *edge : metrics::EdgeProbe();
    const json::object out{{"version", kVersion},
                           {"revision", revision()},
                           {"shape", config_.single_process ? "single-process" : "supervised"},
                           {"pid", static_cast<std::int64_t>(getpid())},
                           {"ready", not_ready.empty()},
                           {"not_ready", not_ready},
                           {"draining", now.draining},
                           {"listeners", listeners_.json()},
                           {"admin", admin_.host + ":" + std::to_string(admin_.port)},
                           {"shards", edges_.count()},
                           {"connections", probe.connections},
                           {"unauthenticated", probe.unauthenticated},
                           {"engines", engines},
                           {"engine_gap_ms", probe.engine_gap_ms},
                           {"figures", figures}};
    co_return json_response(out);
  }

  asio::awaitable<admin::Response> answer_usage(admin::Request r) {
    std::function<bool()> look = [this, tenant = usage_tenant(r)] {
      return registry_ && registry_->has_tenant(tenant);
    };
    const std::optional<bool> registered = co_await http_.home().call<bool>(std::move(look));
    const Figures f = co_await engine_figures();
    co_return usage_page(f.usage, r, registered.value_or(false));
  }

  struct Replaced {
    bool done = false;
    std::uint64_t gap_ms = 0;
    std::string why_not;
  };
  // The new engine has the keys of engines as the files have them now.
  void restart_engine(std::function<void(bool ok, const std::string& why_not)> done) {
    reload_.look_now([this, done = std::move(done)](const Reload::Outcome& o) {
      if (!o.wrong.empty()) return done(false, o.wrong.front().why);
      try {
        const Config settings = reload_.for_engine();
        supervisor_->restart_engine(settings, [this, settings, done](bool ok) {
          if (ok) reload_.engine_has(settings);
          done(ok, supervisor_->why_not());
        });
      } catch (const ConfigError& e) {
        done(false, e.what());
      }
    });
  }

  asio::awaitable<admin::Response> restart_page() {
    if (config_.single_process)
      co_return text_response(409, "single-process: there is no engine to replace\n");
    co_await engine_figures();
    const std::string before = engine_build_;
    using Done = admin::HomeLoop::Done<Replaced>;
    std::function<void(Done)> start = [this](Done done) {
      restart_engine([this, done = std::move(done)](bool ok, const std::string& why_not) {
        done({ok, edges_.first_probe().engine_gap_ms, why_not});
      });
    };
    const auto r = co_await http_.home().ask<Replaced>(std::move(start), kReplacementMax);
    if (!r) co_return text_response(504, "no answer yet: berth ctl status says what runs\n");
    if (!r->done) co_return text_response(503, "not now: " + r->why_not + "\n");
    co_await engine_figures();
    co_return text_response(200, "engine replaced, gap " + std::to_string(r->gap_ms) +
                                     " ms\nbefore: " + before + "\nnow:    " + engine_build_ +
                                     "\nfrom:   " + engine_path() + "\n");
  }

  asio::awaitable<admin::Response> ready_page() {
    co_await engine_figures();  // whether the store takes writes
    const State now = co_await state();
    co_return ready_response(now.not_ready, engine_degraded_);
  }

  asio::awaitable<admin::Response> startup_page() {
    const State now = co_await state();
    co_return health_response(now.started);
  }

  // The engine is a process of its own, which looks at the same files by itself: within seconds.
  asio::awaitable<std::string> engine_has_taken(std::uint64_t hash) {
    asio::steady_timer wait(co_await asio::this_coro::executor);
    bool refused = false;
    for (int looks = 0; looks < kEngineLooks; ++looks) {
      const Figures f = co_await engine_figures();
      bool same = false;
      for (const metrics::Sample& s : f.samples) {
        if (s.family == metrics::kConfigRefused) refused = s.value != 0;
        if (s.family == metrics::kConfigHash) same = s.value == hash;
      }
      if (same && !refused) co_return "taken";
      wait.expires_after(std::chrono::milliseconds(200));
      co_await wait.async_wait(asio::use_awaitable);
    }
    if (refused) co_return "refused";
    co_return "late";
  }

  // Every shard's loop has run, or the answer is no.
  asio::awaitable<admin::Response> live_page() {
    const auto edge = co_await edge_totals(http_.home(), edges_, draining_);
    co_return health_response(edge.has_value());
  }

  void routes() {
    http_.route("GET /livez", [this] { return live_page(); });
    http_.route("GET /readyz", [this] { return ready_page(); });
    http_.route("GET /startupz", [this] { return startup_page(); });
    http_.route("GET /metrics", [this](admin::Request r) { return metrics_page(std::move(r)); });
    http_.route("GET /api/v1/status", [this] { return status_page(); });
    if (registry_) {
      const auto usage = [this](admin::Request r) { return answer_usage(std::move(r)); };
      http_.route("GET /api/v1/usage", usage);
      http_.route("GET /api/v1/usage/{tenant}", usage, {.who = admin::For::accounts});
    }
    serve_quarantine(http_, edges_);
    EngineHas engine_has;
    if (!config_.single_process)
      engine_has = [this](std::uint64_t hash) { return engine_has_taken(hash); };
    serve_config(http_, reload_, std::move(engine_has));
    if (registry_) platform_.add_to(http_);
    if (!registry_) platform_.insights().add_to(http_);
    platform_.operators().add_to(http_);
    platform_.passages().add_to(http_);
    platform_.sessions().add_to(http_);
    console::serve_console(http_);
    say_who_answers(http_, {.quarantine = {},
                            .restart_engine = {},
                            .drain = "this process is berth serve: SIGTERM drains and ends it; "
                                     "drain is for edges and engines of a cluster",
                            .registry = registry_ ? std::string() : kNoRegistry,
                            .platform = registry_ ? std::string() : kNoRegistry});
    http_.route("POST /api/v1/engine/restart", [this] { return restart_page(); });
  }

  const Config& config_;
  const std::unique_ptr<tracing::Tracer> tracer_ = tracer_of(config_, "edge");  // null: off
  asio::io_context io_{1};
  Reload reload_;  // before the parts that read files
  DeviceListeners listeners_;
  EdgeShards edges_;
  std::unique_ptr<RegistryService> registry_;
  rest::PlatformApi platform_{1, [this](std::uint32_t p) { return edges_.engine_of(p); }, &io_,
                              &edges_.first_probe(), tracer_.get()};
  PassageTeller passages_{io_, edges_.passages(), platform_.asker(), "of this host"};
  std::unique_ptr<InProcessEngine> engine_;
  std::unique_ptr<Supervisor> supervisor_;
  admin::HttpServer http_;
  Signals signals_;
  asio::steady_timer drain_limit_;
  asio::steady_timer again_;
  Endpoint admin_;
  int exit_code_ = 0;
  bool started_ = false;
  bool draining_ = false;
  UsageSeries usage_series_{config_.metrics_max_series};  // the admin server's thread
  std::string store_trouble_;                 // as an engine said last; the admin server's thread
  std::vector<std::string> engine_degraded_;  // the same
  std::string engine_build_ = "unknown";      // the same
};

}  // namespace

int serve(const Config& config, const ConfigSource& source) {
  return run_process(config, config.single_process ? "gateway" : "edge", [&config, &source] {
    const Config fitted = fitted_to_descriptors(config);
    warn_if_all_are_refused(fitted, Role::serve);
    hand_down(source);
    Gateway gateway(fitted, config, source);
    return gateway.run();
  });
}

}  // namespace berth::gateway
