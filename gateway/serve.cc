#include "gateway/serve.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <cstdio>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/admin/http_server.h"
#include "gateway/engine_setup.h"
#include "gateway/in_process_engine.h"
#include "gateway/process.h"
#include "gateway/registry_service.h"
#include "gateway/runtime/edge_shards.h"
#include "gateway/runtime/supervisor.h"
#include "gateway/usage.h"

namespace berth::gateway {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr double kUnreadyAfterAbsent_s = 10;  // an engine's restart must not flap readiness

class Gateway {
 public:
  explicit Gateway(const Config& config)
      : config_(config),
        edges_(io_, config.edge, config.shards, config.address_limits),
        http_(io_),
        signals_(io_, SIGTERM, SIGINT),
        drain_limit_(io_) {
    signals_.add(SIGHUP);
  }

  int run() {
    admin_ = config_.admin;
    registry_ = RegistryService::make(io_, config_);
    listeners_.bind(config_, edges_);
    routes();
    http_.require_token(admin_token(config_));
    if (registry_) registry_->serve(http_);
    http_.listen(admin_.host, admin_.port);
    wait_signal();
    if (config_.single_process) {
      InProcessEngine::Events events{.ready = [this] { open_for_devices(); },
                                     .store_lost =
                                         [this] {
                                           exit_code_ = kExitUnavailable;
                                           io_.stop();
                                         }};
      engine_ = std::make_unique<InProcessEngine>(
          io_, config_, edges_, registry_ ? &registry_->registry() : nullptr, std::move(events));
      if (registry_)
        registry_->on_change([this](const auto& who) { engine_->review_registry(who); });
    } else {
      start_supervised();
    }
    io_.run();
    edges_.stop();
    if (engine_) engine_->close();
    return exit_code_;
  }

 private:
  void start_supervised() {
    supervisor_ = std::make_unique<runtime::Supervisor>(
        io_, config_, edges_,
        runtime::Supervisor::Events{.first_ready = [this] { open_for_devices(); },
                                    .failed =
                                        [this](int code) {
                                          exit_code_ = code;
                                          io_.stop();
                                        }});
    supervisor_->start();
  }

  // Only now may devices come: what was stored is restored.
  void open_for_devices() {
    edges_.open_for_devices();
    started_ = true;
    BERTH_LOG(info, "ready {} admin={}:{} shape={} shards={} durability={}", listeners_.text(),
              admin_.host, admin_.port, config_.single_process ? "single-process" : "supervised",
              edges_.count(), config_.sync ? "disk" : "process");
  }

  void wait_signal() {
    signals_.async_wait([this](boost::system::error_code ec, int number) {
      if (ec) return;
      if (number != SIGHUP) {
        shut_down();
      } else {
        listeners_.reload_tls();
      }
      wait_signal();
    });
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
    } else {
      engine_->drain(done);
    }
  }

  bool ready() const {
    if (!started_ || draining_) return false;
    if (engine_) return engine_->store_healthy();
    return supervisor_->absent_seconds() < kUnreadyAfterAbsent_s && store_up_;
  }

  asio::awaitable<std::vector<metrics::Sample>> engine_samples() {
    if (engine_) co_return engine_->samples();
    auto initiate = [this](auto handler) {
      auto shared =
          std::make_shared<decltype(handler)>(std::move(handler));  // std::function must copy
      supervisor_->scrape([this, shared](std::vector<metrics::Sample> s) {
        asio::post(io_, [shared, s = std::move(s)]() mutable { (*shared)(std::move(s)); });
      });
    };
    auto samples = co_await asio::async_initiate<const asio::use_awaitable_t<>,
                                                 void(std::vector<metrics::Sample>)>(
        initiate, asio::use_awaitable);
    for (const metrics::Sample& s : samples) {
      if (s.family == "berth_store_up") store_up_ = s.value != 0;
    }
    co_return samples;
  }

  asio::awaitable<admin::Response> metrics_page() {
    std::vector<metrics::Sample> all = co_await engine_samples();
    const metrics::EdgeProbe edge = co_await edge_totals(io_, edges_, draining_);
    for (auto& s : metrics::samples_of(edge)) all.push_back(std::move(s));
    all.push_back({"berth_log_lines_dropped_total", "", "", "Log lines that found the queue full",
                   true, base::log_lines_dropped()});
    co_return metrics_response(all);
  }

  asio::awaitable<admin::Response> status_page() {
    const std::vector<metrics::Sample> samples = co_await engine_samples();
    const metrics::EdgeProbe edge = co_await edge_totals(io_, edges_, draining_);
    json::array engines;
    if (engine_) {
      engines.push_back({{"pid", static_cast<std::int64_t>(getpid())}, {"state", "serving"}});
    } else {
      for (const auto& e : supervisor_->status()) {
        engines.push_back({{"pid", static_cast<std::int64_t>(e.pid)}, {"state", e.state}});
      }
    }
    json::object figures;
    for (const metrics::Sample& s : samples) {
      if (s.counter || s.label == "tenant" || s.label == "site") continue;
      figures[s.label_value.empty() ? s.family : s.family + "{" + s.label_value + "}"] = s.value;
    }
    const json::object out{{"version", kVersion},
                           {"shape", config_.single_process ? "single-process" : "supervised"},
                           {"pid", static_cast<std::int64_t>(getpid())},
                           {"ready", ready()},
                           {"draining", draining_},
                           {"listeners", listeners_.json()},
                           {"admin", admin_.host + ":" + std::to_string(admin_.port)},
                           {"shards", edges_.count()},
                           {"connections", edge.connections},
                           {"unauthenticated", edge.unauthenticated},
                           {"engines", engines},
                           {"engine_gap_ms", edge.engine_gap_ms},
                           {"figures", figures}};
    co_return json_response(out);
  }

  asio::awaitable<admin::Response> answer_usage(admin::Request r) {
    const std::vector<metrics::Sample> samples = co_await engine_samples();
    co_return usage_page(usage_from(samples), r);
  }

  asio::awaitable<admin::Response> restart_page() {
    admin::Response r;
    if (!supervisor_) {
      r.status = 409;
      r.body = "single-process: there is no engine to replace\n";
      co_return r;
    }
    auto initiate = [this](auto handler) {
      auto shared = std::make_shared<decltype(handler)>(std::move(handler));
      supervisor_->restart_engine(
          [this, shared](bool ok) { asio::post(io_, [shared, ok] { (*shared)(ok); }); });
    };
    const bool ok = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(
        initiate, asio::use_awaitable);
    r.status = ok ? 200 : 503;
    r.body =
        ok ? "engine replaced, gap " + std::to_string(edges_.first_probe().engine_gap_ms) + " ms\n"
           : std::string("not now: no engine serves, or a restart is under way\n");
    co_return r;
  }

  asio::awaitable<admin::Response> ready_page() {
    if (supervisor_) co_await engine_samples();  // whether the store takes writes
    const bool good = ready();
    co_return health_response(good);
  }

  // Every shard's loop has run, or there is no answer.
  asio::awaitable<admin::Response> live_page() {
    co_await edge_totals(io_, edges_, draining_);
    co_return health_response(true);
  }

  void routes() {
    http_.route("GET /livez", [this] { return live_page(); });
    http_.route("GET /readyz", [this] { return ready_page(); });
    http_.route("GET /startupz", [this] { return ready_made(health_response(started_)); });
    http_.route("GET /metrics", [this] { return metrics_page(); });
    http_.route("GET /api/v1/status", [this] { return status_page(); });
    if (registry_) {
      http_.route_under("/api/v1/usage",
                        [this](admin::Request r) { return answer_usage(std::move(r)); });
    }
    http_.route("POST /api/v1/engine/restart", [this] { return restart_page(); });
  }

  const Config& config_;
  asio::io_context io_{1};
  DeviceListeners listeners_;
  runtime::EdgeShards edges_;
  std::unique_ptr<RegistryService> registry_;
  std::unique_ptr<InProcessEngine> engine_;
  std::unique_ptr<runtime::Supervisor> supervisor_;
  admin::HttpServer http_;
  asio::signal_set signals_;
  asio::steady_timer drain_limit_;
  Endpoint admin_;
  int exit_code_ = 0;
  bool started_ = false;
  bool draining_ = false;
  bool store_up_ = true;
};

}  // namespace

int serve(const Config& config) {
  return run_process(config, config.single_process ? "gateway" : "edge", [&config] {
    Gateway gateway(config);
    return gateway.run();
  });
}

}  // namespace berth::gateway
