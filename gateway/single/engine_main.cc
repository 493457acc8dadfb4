#include "gateway/single/engine_main.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <cstdlib>

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "gateway/link/link_set.h"
#include "gateway/node/engine_build.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/good_files.h"
#include "gateway/node/process.h"
#include "gateway/node/registry_service.h"
#include "gateway/node/reload.h"
#include "gateway/node/sample_sender.h"
#include "gateway/runtime/child_process.h"
#include "store/store_access.h"

namespace berth::gateway {

namespace {

// An end does not wait longer for a store that takes no writes: what waits for it was not
// acknowledged, and edges and devices say it again.
constexpr auto kStoreStuck = std::chrono::seconds(3);
// The same for an engine whose successor waits for the store: devices wait too.
constexpr auto kStoreStuckReplaced = std::chrono::milliseconds(500);

// The successor waits for the end of this process, and devices wait for the successor.
constexpr auto kFlushReplaced = std::chrono::milliseconds(250);
// A platform that is near acknowledges what is on its way within milliseconds; one that hangs costs
// devices this pause.
constexpr std::int64_t kUplinksQuiet_ns = 100 * 1'000'000;

class EngineProcess {
 public:
  EngineProcess(const Config& config, const ConfigSource& source)
      : config_(config),
        reload_(io_, config, source, {.process = "engine", .role = Role::serve}),
        registry_(RegistryService::make(io_, config, false, reload_)),
        poison_(runtime::kPoisonFd),
        logins_(std::make_shared<engine::LoginMemory>(runtime::logins_given())),
        heartbeat_(io_),
        quiet_(io_),
        give_up_(io_) {
    for (std::uint32_t i = 0; i < runtime::links_given(); ++i) {
      links_.add(std::make_unique<link::EngineLink>(
          io_, runtime::kFirstLinkFd + static_cast<int>(i), i,
          link::EngineLink::Events{
              .hello = [this, i](const protocol::link::Hello& h) { on_hello(i, h); },
              .attached_all = [this] { links_.attached(*engine_); },
              .drain = [this] { drain(); },
              .stop = [this] { stop(); },
              .scrape = [this](std::uint64_t id) { scrape(id); },
              .skip =
                  [this](protocol::link::ForwardedWork w) {
                    if (engine_) engine_->broker().skip_forwarded(w);
                  },
              .lost = [this] { io_.stop(); }}));
    }
    hellos_.resize(links_.size());
    const char* first = std::getenv(runtime::kFirstVariable);
    if (first == nullptr || *first != '1') forgive_bad_files();
    links_[0].send_checked(why_not(config));
  }

  int run() {
    reload_.start();
    io_.run();
    if (engine_) engine_->close_store();
    return exit_code_;
  }

 private:
  // What stands in the way of serving with this configuration; empty: nothing.
  static std::string why_not(const Config& config) {
    try {
      prove_files(config);
      prove_store(config);
      return {};
    } catch (const std::exception& e) {
      return e.what();
    }
  }

  void on_hello(std::uint32_t number, const protocol::link::Hello& h) {
    hellos_[number] = h;
    if (++hellos_heard_ == links_.size()) start();
  }

  void start() {
    std::vector<std::uint64_t> edge_ids;
    for (const protocol::link::Hello& h : hellos_) edge_ids.push_back(h.edge_id);
    StoreClaim claim{.owner = edge_ids.front()};
    try {
      engine_ = make_engine(
          {.io = io_,
           .config = config_,
           .options = broker_options(config_, std::move(edge_ids), true),
           .edge = links_,
           .registry = registry_ ? &registry_->registry() : nullptr,
           .logins = logins_,
           .store_lost = [this] { fail(base::kExitUnavailable, "another gateway has the store"); },
           .condition = &condition_,
           .traces = tracer_.get(),
           .reload = &reload_},
          claim, probe_);
    } catch (const ConfigError& e) {
      return fail(base::kExitConfig, e.what());
    } catch (const session::StoreForbidden& e) {
      return fail(base::kExitForbidden, e.what());
    } catch (const session::StoreFull& e) {
      return fail(base::kExitTryAgain, e.what());
    } catch (const std::exception& e) {
      return fail(base::kExitUnavailable, e.what());
    }
    engine_->serve({.poison_word = poison_.word()});
    if (registry_) {
      registry_->on_change([this](const session::Concerned& who) {
        if (engine_ && links_.all_attached()) engine_->review_registry(who);
      });
    }
    for (std::size_t i = 0; i < links_.size(); ++i) {
      links_[i].use_engine(*engine_);
      links_[i].ready();
    }
    beat(hellos_[0].heartbeat_ms);
  }

  void fail(int code, const char* why) {
    BERTH_LOG(err, "engine cannot start error=\"{}\"", why);
    engine_.reset();
    exit_code_ = code;
    io_.stop();
  }

  void beat(std::uint64_t interval_ms) {
    heartbeat_.expires_after(std::chrono::milliseconds(interval_ms));
    heartbeat_.async_wait([this, interval_ms](boost::system::error_code ec) {
      if (ec) return;
      links_[0].send_empty(protocol::link::FrameType::heartbeat);
      beat(interval_ms);
    });
  }

  // Shutdown: devices are told, everything is durable, then we end.
  void drain() {
    if (!engine_) return io_.stop();
    give_up_on_store(kStoreStuck);
    engine_->drain([this] {
      links_[0].send_empty(protocol::link::FrameType::drained);
      rest_uplinks();
      finish_then_exit();
    });
  }

  void stop() {
    if (engine_) give_up_on_store(kStoreStuckReplaced);
    if (engine_) rest_uplinks();
    finish_then_exit();
  }

  // What is on its way to a platform is not to be sent again by the successor.
  void rest_uplinks() {
    engine_->broker().uplinks().stop();
    uplinks_until_ns_ = base::monotonic_ns() + kUplinksQuiet_ns;
  }
  bool uplinks_quiet() const {
    return !engine_->broker().uplinks().busy() || base::monotonic_ns() >= uplinks_until_ns_;
  }

  // Ends when the store has taken no write for `limit`.
  void give_up_on_store(std::chrono::milliseconds limit) {
    give_up_.expires_after(limit);
    const bool failed = !engine_->commits().healthy();
    give_up_.async_wait([this, failed, limit](boost::system::error_code ec) {
      if (ec) return;
      if (!failed || engine_->commits().healthy()) return give_up_on_store(limit);
      BERTH_LOG(warn, "ending without the store, which takes no writes");
      io_.stop();
    });
  }

  // Planned replacement: no more input is taken; what was taken is committed and its steps are
  // sent.
  void finish_then_exit() {
    for (std::size_t i = 0; i < links_.size(); ++i) links_[i].stop_input();
    if (engine_) engine_->finish();
    const bool quiet = !engine_ || (!engine_->broker().has_uncommitted() &&
                                    !engine_->broker().has_late() && uplinks_quiet());
    const bool done = quiet && (!engine_ || links_.all_sent());
    if (done) return io_.stop();
    quiet_.expires_after(std::chrono::milliseconds(1));  // heartbeats go on meanwhile
    quiet_.async_wait([this](boost::system::error_code) { finish_then_exit(); });
  }

  void scrape(std::uint64_t id) {
    if (!engine_) return;
    sender_.answer(id, hellos_[0].version, [this] {
      SampleSender::Figures f = figures_of(*engine_, probe_, condition_);
      f.samples.push_back(engine_build_sample());
      for (auto& s : metrics::process_samples("engine")) f.samples.push_back(std::move(s));
      for (auto& s : reload_.samples()) f.samples.push_back(std::move(s));
      for (auto& s : trace_samples(tracer_.get(), "engine")) f.samples.push_back(std::move(s));
      return f;
    });
  }

  const Config& config_;
  const std::unique_ptr<tracing::Tracer> tracer_ =
      tracer_of(config_, "engine", kFlushReplaced);  // null: off
  boost::asio::io_context io_{1};
  Reload reload_;  // before the parts that read files
  std::unique_ptr<RegistryService> registry_;
  metrics::EngineProbe probe_;
  session::StoreCondition condition_;
  link::LinkSet links_;
  std::vector<protocol::link::Hello> hellos_;
  std::size_t hellos_heard_ = 0;
  runtime::PoisonPage poison_;
  std::shared_ptr<engine::LoginMemory> logins_;  // shared with the engine that is made of it
  boost::asio::steady_timer heartbeat_;
  boost::asio::steady_timer quiet_;
  boost::asio::steady_timer give_up_;
  std::unique_ptr<engine::EngineShard> engine_;
  SampleSender sender_{io_,
                       [this](const std::string& payload) { links_[0].send_samples(payload); }};
  std::int64_t uplinks_until_ns_ = 0;
  int exit_code_ = 0;
};

}  // namespace

int run_engine_child(const Config& config, const ConfigSource& source) {
  runtime::adopt_child_limits(config.engine_memory_mb);
  base::start_log(
      {.format = config.log_format == "ecs" ? base::LogFormat::ecs : base::LogFormat::text,
       .level = config.log_level,
       .role = "engine"});
  BERTH_LOG(info, "engine begins version={} revision={} pid={}", kVersion, revision(), ::getpid());
  int code = 0;
  {
    EngineProcess process(config, source);
    code = process.run();
  }
  if (!base::stop_log()) std::_Exit(code);  // whoever reads the log does not
  return code;
}

}  // namespace berth::gateway
