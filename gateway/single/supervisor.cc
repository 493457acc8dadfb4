#include "gateway/single/supervisor.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/random_id.h"
#include "gateway/single/invocation.h"

namespace berth::gateway {

using namespace runtime;  // child processes
using protocol::link::ForwardedWork;

namespace {
using base::kMs;
constexpr auto kProofLook = std::chrono::milliseconds(20);
constexpr int kProofLooks = 250;                   // 5 s
constexpr std::int64_t kStartMax = 120'000 * kMs;  // opening a store and restoring it
constexpr std::int64_t kQuickDeath = 500 * kMs;
constexpr std::size_t kWorkMax = 1000;
constexpr int kDeathsToSkip = 2;
constexpr int kReapMax_ms = 2000;  // of a child that was sent SIGKILL
constexpr auto kStartAgain = std::chrono::milliseconds(1000);

bool is_fault(int status) {
  if (!WIFSIGNALED(status)) return WIFEXITED(status) && WEXITSTATUS(status) != 0;
  const int s = WTERMSIG(status);
  return s == SIGSEGV || s == SIGABRT || s == SIGBUS || s == SIGILL || s == SIGFPE;
}

// It can't begin as things are, which is no death: there is no room, or (of an engine that has a
// predecessor, for which devices wait) its files belong to another user.
bool waits_for_something(int status, bool has_predecessor) {
  if (!WIFEXITED(status)) return false;
  const int code = WEXITSTATUS(status);
  return code == base::kExitTryAgain || (code == base::kExitForbidden && has_predecessor);
}

struct Proof {
  bool said = false;
  std::string why_not;
};

// The first frame in a link that is not read yet.
Proof proof_of(int link_fd) {
  std::string in(4096, '\0');
  const ssize_t n = ::recv(link_fd, in.data(), in.size(), MSG_PEEK | MSG_DONTWAIT);
  if (n <= 0) return {};
  protocol::link::FrameView f;
  const std::string_view got(in.data(), static_cast<std::size_t>(n));
  if (protocol::link::next_frame(got, f) != protocol::link::FrameResult::complete ||
      f.type != protocol::link::FrameType::checked)
    return {};
  return {true, std::string(f.payload)};
}

}  // namespace

Supervisor::Supervisor(boost::asio::io_context& io, const Config& config, EdgeShards& edges,
                       Events events)
    : io_(io),
      config_(config),
      edges_(edges),
      probe_(edges.first_probe()),
      events_(std::move(events)),
      path_(engine_path()),
      edge_id_(base::random_id()),
      child_signal_(io, SIGCHLD),
      watch_(io),
      backoff_(io),
      link_lost_(io),
      warm_up_(io),
      restart_(to_environment(config)),
      heartbeats_(config.heartbeat_ms, config.heartbeats_missed) {
  edges_.make_links({.ready = [this] { on_ready(); },
                     .heartbeat = [this] { heartbeats_.heard(base::monotonic_ns()); },
                     .drained = [] {},
                     .lost = [this] { on_link_lost(); },
                     .samples =
                         [this](std::uint64_t id, std::string_view payload) {
                           scrapes_.answer(id, std::make_shared<const std::string>(payload));
                         }});
}

Supervisor::~Supervisor() {
  closing_ = true;
  for (auto* e : {&active_, &standby_}) {
    if (!*e || (*e)->child.pid <= 0) continue;
    ::kill((*e)->child.pid, SIGKILL);
    int status = 0;
    reap_within((*e)->child.pid, status, kReapMax_ms);
  }
}

Supervisor::Engine Supervisor::spawn() {
  Engine e;
  e.poison = std::make_shared<PoisonPage>();
  auto environment = restart_.settings();
  environment[kFirstVariable] = ever_ready_ ? "0" : "1";
  path_ = engine_path();  // its symlinks may lead to another program by now
  e.child = spawn_engine(path_, environment, e.poison->fd(), edges_.count(), logins_.fd());
  e.started_ns = base::monotonic_ns();
  e.oom_kills = oom_kills();
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
                     .heartbeat_ms = config_.heartbeat_ms},
                    {active_->poison, active_->poison->word()});
  for (const auto& [work, deaths] : deaths_of_work_) {
    if (deaths >= kDeathsToSkip) edges_.send_skip(ForwardedWork::from_packed(work));
  }
}

void Supervisor::on_ready() {
  const std::int64_t now = base::monotonic_ns();
  heartbeats_.heard(now);
  absence_.serves(now);
  BERTH_LOG(info, "engine serving pid={} after_ms={} gap_ms={}", active_->child.pid,
            (now - active_->started_ns) / kMs, probe_.engine_gap_ms);
  if (!std::exchange(ever_ready_, true)) events_.first_ready();
  active_->served = true;
  restart_.end(true);
  boost::asio::post(io_, [this] { ensure_standby(); });
}

void Supervisor::ensure_standby() {
  if (closing_ || standby_ || !config_.standby || drain_done_) return;
  try {
    standby_ = spawn();
  } catch (const std::exception& e) {
    ++probe_.engine_start_failures;
    BERTH_LOG(err, "standby failed error=\"{}\"", e.what());
    backoff_.expires_after(kStartAgain);
    backoff_.async_wait([this](boost::system::error_code ec) {
      if (!ec) ensure_standby();
    });
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
    standby_end_ = text_of_status(status);
    if (!standby_->stopping) {
      BERTH_LOG(warn, "standby ended pid={} by=\"{}\" file=\"{}\"", standby_->child.pid,
                standby_end_, path_);
    }
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
  const std::int64_t now = base::monotonic_ns();
  const std::uint64_t word = active_->poison->word()->load();
  const bool planned = active_->stopping;
  const bool later = waits_for_something(status, ever_ready_);
  if (planned && status != 0) {
    BERTH_LOG(warn, "engine ended badly when it was asked to end pid={} by=\"{}\"",
              active_->child.pid, text_of_status(status));
  }
  const edge::EngineEnd how = planned || later ? edge::EngineEnd::planned : judge(status);
  const auto pid = static_cast<std::uint64_t>(active_->child.pid);
  edges_.engine_gone(how, active_->silent_since_ns, {"engine " + std::to_string(pid), pid});
  absence_.ended(now);
  if (how == edge::EngineEnd::proven) {
    if (ForwardedWork::is(word)) {
      count_deaths_of(ForwardedWork::from_packed(word));
    } else {
      edges_.suspect(base::ConnId::from_packed(word));
    }
  }
  const bool quick = now - active_->started_ns < kQuickDeath;
  const bool unproven = !active_->served && !later;
  active_.reset();
  if (drain_done_) return std::exchange(drain_done_, nullptr)();
  if (closing_) return;
  if (!ever_ready_ && !later) {
    return events_.failed(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 69);
  }
  if (unproven && restart_.under_way()) refuse_restart("the new engine ended before it served");
  const std::chrono::milliseconds delay =
      pace_.after(later               ? StartPace::End::lacking
                  : quick && !planned ? StartPace::End::quick
                                      : StartPace::End::ordinary);
  if (delay.count() == 0) return start_next();
  start_next_after(delay);
}

// What the active engine has died of. Proven: of a fault of its own, or in a loop of its own, while
// it worked for somebody; SIGKILL from outside proves nothing, nor does want of memory.
edge::EngineEnd Supervisor::judge(int status) {
  ++probe_.engine_deaths;
  const bool no_memory = WIFEXITED(status) && WEXITSTATUS(status) == base::kExitOutOfMemory;
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  const bool kernel = killed && active_->killed == Killed::no && oom_kills() > active_->oom_kills;
  BERTH_LOG(warn, "engine died pid={} by=\"{}\"{}", active_->child.pid, text_of_status(status),
            no_memory || kernel ? " out_of_memory=true" : "");
  if (no_memory || kernel) return edge::EngineEnd::fault;
  if (active_->killed == Killed::stopped) return edge::EngineEnd::planned;
  const bool own = is_fault(status) || active_->killed == Killed::running;
  if (!own) return edge::EngineEnd::unproven;
  return active_->poison->word()->load() != 0 ? edge::EngineEnd::proven : edge::EngineEnd::fault;
}

// A will that no connection has any more: after two deaths the next engine leaves it out.
void Supervisor::count_deaths_of(ForwardedWork w) {
  if (deaths_of_work_.size() >= kWorkMax) deaths_of_work_.erase(deaths_of_work_.begin());
  ++deaths_of_work_[w.packed()];
}

// The standby, or a new one. Where none can be started (no descriptors, no memory, the binary is
// being replaced) it is tried again; devices wait.
void Supervisor::start_next() {
  if (closing_ || active_) return;
  try {
    active_ = standby_ ? std::move(*standby_) : spawn();
    standby_.reset();
    activate();
  } catch (const std::exception& e) {
    ++probe_.engine_start_failures;
    BERTH_LOG(err, "engine start failed error=\"{}\"", e.what());
    start_next_after(kStartAgain);
  }
}

void Supervisor::start_next_after(std::chrono::milliseconds delay) {
  backoff_.expires_after(delay);
  backoff_.async_wait([this](boost::system::error_code ec) {
    if (!ec) start_next();
  });
}

// Every heartbeat interval. A stall of our own is not held against the engine.
void Supervisor::watch() {
  heartbeats_.wait(base::monotonic_ns());
  watch_.expires_after(std::chrono::milliseconds(config_.heartbeat_ms));
  watch_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    const std::int64_t now = base::monotonic_ns();
    heartbeats_.look(now);
    if (active_ && edges_.serving() && heartbeats_.silent(now)) {
      ++probe_.engine_kills;
      active_->silent_since_ns = heartbeats_.last_ns();
      const char state = process_state(active_->child.pid);
      active_->killed = state == 'R'   ? Killed::running
                        : state == 'T' ? Killed::stopped
                                       : Killed::no;
      kill_engine(state == 'T' ? "stopped" : "missed heartbeats");
      heartbeats_.heard(now);
    } else if (active_ && !edges_.serving() && now - active_->started_ns > kStartMax) {
      kill_engine("did not get ready");
    }
    watch();
  });
}

void Supervisor::restart_engine(const Config& settings, std::function<void(bool)> done) {
  restart_.lacks("no engine serves, or a restart is under way");
  if (restart_.under_way() || !active_ || !edges_.serving()) return done(false);
  if (const std::string why = why_no_new_engine(); !why.empty()) {
    refuse_restart(why);
    return done(false);
  }
  end_standby();  // it may be of an older binary
  standby_end_.clear();
  restart_.try_with(to_environment(settings));
  try {
    standby_ = spawn();
  } catch (const std::exception& e) {
    restart_.take_back();
    restart_.lacks(e.what());
    BERTH_LOG(err, "restart refused error=\"{}\"", e.what());
    return done(false);  // the present engine goes on
  }
  restart_.begin(std::move(done));
  await_proof(0);
}

// A successor that can't serve (its binary, a bad file) shows it now, while the present engine
// serves. What it says waits in its link, where nobody reads yet.
void Supervisor::await_proof(int looks) {
  if (!restart_.under_way()) return;
  if (!active_ || !edges_.serving()) return refuse_restart("no engine serves");
  if (!standby_) return refuse_restart(path_ + " has ended at once: " + standby_end_);
  const Proof proof = proof_of(standby_->child.link_fds[0]);
  if (proof.said && !proof.why_not.empty()) {
    end_standby();
    return refuse_restart(proof.why_not);
  }
  // An older release says nothing of itself.
  if (!proof.said && looks < (process_state(standby_->child.pid) == 0 ? 0 : kProofLooks)) {
    warm_up_.expires_after(kProofLook);
    warm_up_.async_wait([this, looks](boost::system::error_code ec) {
      if (!ec) await_proof(looks + 1);
    });
    return;
  }
  active_->stopping = true;
  edges_.send_empty(protocol::link::FrameType::stop);
}

void Supervisor::refuse_restart(std::string why) {
  BERTH_LOG(err, "restart refused error=\"{}\"", why);
  restart_.lacks(std::move(why));
  restart_.end(false);
  boost::asio::post(io_, [this] { ensure_standby(); });
}

void Supervisor::end_standby() {
  if (!standby_) return;
  ::kill(standby_->child.pid, SIGKILL);
  int status = 0;
  reap_within(standby_->child.pid, status, kReapMax_ms);
  for (const int fd : standby_->child.link_fds) ::close(fd);
  standby_.reset();
}

void Supervisor::drain(std::function<void()> done) {
  if (standby_) {
    standby_->stopping = true;
    ::kill(standby_->child.pid, SIGKILL);
  }
  if (!active_ || !edges_.serving()) return done();
  drain_done_ = std::move(done);
  active_->stopping = true;
  edges_.send_empty(protocol::link::FrameType::drain);
}

double Supervisor::absent_seconds() const {
  return static_cast<double>(absence_.ns(base::monotonic_ns())) / 1e9;
}

void Supervisor::scrape(Scrapes::Scraped done) {
  if (!edges_.serving()) return done(nullptr);
  const std::optional<std::uint64_t> question = scrapes_.add(std::move(done));
  if (!question) return;
  edges_.scrape(*question);
  auto timer = std::make_shared<boost::asio::steady_timer>(
      io_, std::chrono::seconds(1));  // owned by its wait
  timer->async_wait(
      [this, timer, id = *question](boost::system::error_code) { scrapes_.answer(id, nullptr); });
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

}  // namespace berth::gateway
