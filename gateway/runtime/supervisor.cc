#include "gateway/runtime/supervisor.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <random>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace berth::gateway::runtime {

namespace {
constexpr std::int64_t kMs = 1'000'000;
constexpr auto kWarmUp = std::chrono::milliseconds(200);
constexpr std::int64_t kStartMax = 120'000 * kMs;  // opening a store and restoring it
constexpr std::int64_t kQuickDeath = 500 * kMs;
constexpr int kWaitMax_ms = 8000;  // for what an engine lacks (kExitTryAgain)

std::uint64_t random_id() {
  std::random_device d;
  return (static_cast<std::uint64_t>(d()) << 32) | d();
}

// Death by our own fault while an input was worked on. SIGKILL from outside proves nothing.
bool proves_poison(int status, bool killed_while_running) {
  if (killed_while_running) return true;
  if (!WIFSIGNALED(status)) return WIFEXITED(status) && WEXITSTATUS(status) != 0;
  const int s = WTERMSIG(status);
  return s == SIGSEGV || s == SIGABRT || s == SIGBUS || s == SIGILL || s == SIGFPE;
}

}  // namespace

Supervisor::Supervisor(boost::asio::io_context& io, const Config& config, EdgeShards& edges,
                       Events events)
    : io_(io),
      config_(config),
      edges_(edges),
      probe_(edges.first_probe()),
      events_(std::move(events)),
      path_(executable_path()),
      edge_id_(random_id()),
      child_signal_(io, SIGCHLD),
      watch_(io),
      backoff_(io),
      link_lost_(io),
      warm_up_(io) {
  edges_.make_links({.ready = [this] { on_ready(); },
                     .heartbeat = [this] { last_heartbeat_ns_ = base::monotonic_ns(); },
                     .drained = [] {},
                     .lost = [this] { on_link_lost(); },
                     .samples =
                         [this](std::uint64_t id, std::string_view payload) {
                           scraped(id, std::make_shared<const std::string>(payload));
                         }});
}

Supervisor::~Supervisor() {
  closing_ = true;
  for (auto* e : {&active_, &standby_}) {
    if (!*e || (*e)->child.pid <= 0) continue;
    ::kill((*e)->child.pid, SIGKILL);
    int status = 0;
    waitpid((*e)->child.pid, &status, 0);
  }
}

Supervisor::Engine Supervisor::spawn() {
  Engine e;
  e.poison = std::make_unique<PoisonPage>();
  e.child = spawn_engine(path_, to_environment(config_), e.poison->fd(), edges_.count());
  e.started_ns = base::monotonic_ns();
  return e;
}

void Supervisor::start() {
  wait_children();
  active_ = spawn();
  activate();
  watch();
}

// Tells the waiting child that it is its turn: the store is free.
void Supervisor::activate() {
  ++probe_.engine_starts;
  active_->hello_sent = true;
  active_->started_ns = base::monotonic_ns();
  edges_.open_links(std::exchange(active_->child.link_fds, {}),
                    {.edge_id = edge_id_,
                     .output_cap = config_.edge.output_cap,
                     .heartbeat_ms = config_.heartbeat_ms});
}

void Supervisor::on_ready() {
  last_heartbeat_ns_ = base::monotonic_ns();
  gone_ns_ = 0;
  BERTH_LOG(info, "engine serving pid={} after_ms={} gap_ms={}", active_->child.pid,
            (last_heartbeat_ns_ - active_->started_ns) / kMs, probe_.engine_gap_ms);
  if (!std::exchange(ever_ready_, true)) events_.first_ready();
  if (restart_done_) std::exchange(restart_done_, nullptr)(true);
  boost::asio::post(io_, [this] { ensure_standby(); });
}

void Supervisor::ensure_standby() {
  if (closing_ || standby_ || !config_.standby || drain_done_) return;
  try {
    standby_ = spawn();
  } catch (const std::exception& e) {
    BERTH_LOG(err, "standby failed error={}", e.what());
  }
}

void Supervisor::on_link_lost() {
  // Most often the process is ending; one that lives on without a link must not keep the store.
  if (!active_) return;
  link_lost_.expires_after(std::chrono::seconds(1));
  link_lost_.async_wait([this, pid = active_->child.pid](boost::system::error_code ec) {
    if (!ec && active_ && active_->child.pid == pid && !edges_.serving()) kill_engine("link lost");
  });
}

void Supervisor::kill_engine(const char* why) {
  if (!active_ || active_->child.pid <= 0) return;
  BERTH_LOG(warn, "engine kill pid={} why=\"{}\"", active_->child.pid, why);
  ::kill(active_->child.pid, SIGKILL);
}

void Supervisor::wait_children() {
  child_signal_.async_wait([this](boost::system::error_code ec, int) {
    if (ec) return;
    reap();
    wait_children();
  });
}

void Supervisor::reap() {
  int status = 0;
  if (standby_ && waitpid(standby_->child.pid, &status, WNOHANG) == standby_->child.pid) {
    BERTH_LOG(warn, "standby ended pid={} status={}", standby_->child.pid, status);
    for (const int fd : standby_->child.link_fds) ::close(fd);
    standby_.reset();
    if (active_ && edges_.serving()) {
      backoff_.expires_after(std::chrono::seconds(1));
      backoff_.async_wait([this](boost::system::error_code ec) {
        if (!ec) ensure_standby();
      });
    }
  }
  if (active_ && waitpid(active_->child.pid, &status, WNOHANG) == active_->child.pid) {
    on_active_death(status);
  }
}

void Supervisor::on_active_death(int status) {
  edges_.engine_gone();
  gone_ns_ = base::monotonic_ns();
  const bool planned = active_->stopping;
  const bool quick = gone_ns_ - active_->started_ns < kQuickDeath;
  const bool later = WIFEXITED(status) && WEXITSTATUS(status) == kExitTryAgain;
  if (!planned && !later) {
    ++probe_.engine_deaths;
    BERTH_LOG(warn, "engine died pid={} status={}", active_->child.pid, status);
    const std::uint64_t suspect = active_->poison->word()->load();
    if (suspect != 0 && proves_poison(status, killed_while_running_)) {
      edges_.suspect(base::ConnId::from_packed(suspect));
    }
  }
  killed_while_running_ = false;
  active_.reset();
  if (drain_done_) return std::exchange(drain_done_, nullptr)();
  if (closing_) return;
  if (!ever_ready_ && !later) {
    return events_.failed(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 69);
  }
  quick_deaths_ = quick && !planned && !later ? quick_deaths_ + 1 : 0;
  waits_ = later ? waits_ + 1 : 0;
  const int delay_ms = later                ? std::min(kWaitMax_ms, 500 << std::min(waits_, 4))
                       : quick_deaths_ <= 3 ? 0
                                            : std::min(1000, 50 << std::min(quick_deaths_ - 4, 5));
  const auto next = [this] {
    if (closing_ || active_) return;
    try {
      active_ = standby_ ? std::move(*standby_) : spawn();
      standby_.reset();
      activate();
    } catch (const std::exception& e) {
      BERTH_LOG(err, "engine start failed error={}", e.what());
      backoff_.expires_after(std::chrono::seconds(1));
      backoff_.async_wait([this](boost::system::error_code ec) {
        if (!ec && !active_) on_active_death(0);
      });
    }
  };
  if (delay_ms == 0) return next();
  backoff_.expires_after(std::chrono::milliseconds(delay_ms));
  backoff_.async_wait([next](boost::system::error_code ec) {
    if (!ec) next();
  });
}

// Every heartbeat interval. A stall of our own is not held against the engine.
void Supervisor::watch() {
  last_watch_ns_ = base::monotonic_ns();
  watch_.expires_after(std::chrono::milliseconds(config_.heartbeat_ms));
  watch_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    const std::int64_t now = base::monotonic_ns();
    const std::int64_t interval = static_cast<std::int64_t>(config_.heartbeat_ms) * kMs;
    const bool we_stalled = now - last_watch_ns_ > 3 * interval;
    if (we_stalled) last_heartbeat_ns_ = std::max(last_heartbeat_ns_, now - interval);
    if (active_ && edges_.serving() &&
        now - last_heartbeat_ns_ > interval * config_.heartbeats_missed) {
      ++probe_.engine_kills;
      const char state = process_state(active_->child.pid);
      killed_while_running_ = state == 'R';
      kill_engine(state == 'T' ? "stopped" : "missed heartbeats");
      last_heartbeat_ns_ = now;
    } else if (active_ && !edges_.serving() && now - active_->started_ns > kStartMax) {
      kill_engine("did not get ready");
    }
    watch();
  });
}

void Supervisor::restart_engine(std::function<void(bool)> done) {
  if (restart_done_ || !active_ || !edges_.serving()) return done(false);
  if (standby_) {  // it may be of an older binary
    ::kill(standby_->child.pid, SIGKILL);
    int status = 0;
    waitpid(standby_->child.pid, &status, 0);
    for (const int fd : standby_->child.link_fds) ::close(fd);
    standby_.reset();
  }
  try {
    standby_ = spawn();
  } catch (const std::exception& e) {
    BERTH_LOG(err, "restart refused error={}", e.what());
    return done(false);  // the present engine goes on
  }
  restart_done_ = std::move(done);
  // A binary that can't start shows it now, while the present engine still serves.
  warm_up_.expires_after(kWarmUp);
  warm_up_.async_wait([this](boost::system::error_code ec) {
    if (ec || !restart_done_) return;
    if (!standby_ || !active_ || !edges_.serving()) {
      return std::exchange(restart_done_, nullptr)(false);
    }
    active_->stopping = true;
    edges_.send_empty(protocol::link::FrameType::stop);
  });
}

void Supervisor::drain(std::function<void()> done) {
  if (standby_) {
    ::kill(standby_->child.pid, SIGKILL);
  }
  if (!active_ || !edges_.serving()) return done();
  drain_done_ = std::move(done);
  active_->stopping = true;
  edges_.send_empty(protocol::link::FrameType::drain);
}

double Supervisor::absent_seconds() const {
  return gone_ns_ == 0 ? 0.0 : static_cast<double>(base::monotonic_ns() - gone_ns_) / 1e9;
}

void Supervisor::scrape(Scraped done) {
  if (!edges_.serving()) return done(nullptr);
  scrapers_.push_back(std::move(done));
  if (scrapers_.size() > 1) return;
  edges_.scrape(++scrape_id_);
  auto timer = std::make_shared<boost::asio::steady_timer>(
      io_, std::chrono::seconds(1));  // owned by its wait
  timer->async_wait(
      [this, timer, id = scrape_id_](boost::system::error_code) { scraped(id, nullptr); });
}

void Supervisor::scraped(std::uint64_t id, const Payload& payload) {
  if (id != scrape_id_) return;
  for (const Scraped& done : std::exchange(scrapers_, {})) done(payload);
}

std::vector<Supervisor::EngineStatus> Supervisor::status() const {
  std::vector<EngineStatus> out;
  if (active_) {
    out.push_back({active_->child.pid, active_->stopping  ? "stopping"
                                       : edges_.serving() ? "serving"
                                                          : "starting"});
  }
  if (standby_) out.push_back({standby_->child.pid, "standby"});
  return out;
}

}  // namespace berth::gateway::runtime
