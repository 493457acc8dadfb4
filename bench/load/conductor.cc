#include "bench/load/conductor.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "base/clock.h"
#include "bench/load/worker.h"

namespace berth::bench {

namespace {

constexpr std::int64_t kTick_ns = 1'000'000'000;
constexpr std::int64_t kLeave_ns = 5 * kTick_ns;
constexpr double kStormAt_s = 1;

std::int64_t ns(double seconds) {
  return static_cast<std::int64_t>(seconds * 1e9);
}
double s(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e9;
}

std::uint32_t connections_of(const Plan& p) {
  return p.scenario.publishers + p.scenario.subscribers;
}

// How long connecting may take: by its rate, or a hundred a second where nothing is said.
double connect_limit_s(const Plan& p) {
  const double rate =
      p.scenario.kind == Kind::connections && p.scenario.rate > 0 ? p.scenario.rate : 200.0;
  return connections_of(p) / rate + 2 * p.connect_limit_s;
}

}  // namespace

Conductor::Conductor(const Plan& plan, Options options)
    : plan_(plan),
      options_(std::move(options)),
      shared_(plan.processes, plan.scenario.publishers),
      begun_ns_(base::monotonic_ns()),
      logged_ns_(begun_ns_) {
  next_trouble_s_ = plan.scenario.kind == Kind::storm ? kStormAt_s : plan.scenario.trouble_every_s;
}

Conductor::~Conductor() {
  for (const pid_t pid : workers_) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
}

ServerCost Conductor::cost() const {
  std::vector<pid_t> roots = options_.server_pids;
  if (options_.server != nullptr) roots.push_back(options_.server->pid());
  return ServerCost(std::move(roots));
}

void Conductor::start_workers() {
  std::fflush(nullptr);
  const pid_t parent = getpid();
  for (std::uint32_t i = 0; i < plan_.processes; ++i) {
    const pid_t pid = fork();
    if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid != 0) {
      workers_.push_back(pid);
      continue;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    int code = 0;
    try {
      Worker(plan_, shared_, i).run();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "berth bench: %s\n", e.what());
      code = 1;
    }
    _exit(code);
  }
}

// One that has ended before its time ends the run.
void Conductor::look_after_workers() {
  for (const pid_t pid : workers_) {
    siginfo_t info{};
    if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == pid)
      throw std::runtime_error("a process of the load has ended");
  }
}

bool Conductor::all_reached(Phase p) const {
  for (std::uint32_t i = 0; i < plan_.processes; ++i) {
    if (shared_.counts(i).reached.load() < static_cast<int>(p)) return false;
  }
  return true;
}

bool Conductor::wait_for(Phase p, std::int64_t deadline_ns) {
  while (!all_reached(p)) {
    const std::int64_t now = base::monotonic_ns();
    if (now > deadline_ns) return false;
    if (p != Phase::ended) look_after_workers();
    if (now >= tick_ns_) tick();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

void Conductor::connect(Result& r) {
  const ServerCost server = cost();
  const double cpu = server.known() ? server.cpu_seconds() : 0;
  memory_before_ = server.known() ? server.resident_bytes() : 0;
  const std::int64_t start = base::monotonic_ns();
  start_workers();
  tick_ns_ = start + kTick_ns;
  r.connected = wait_for(Phase::connecting, start + ns(connect_limit_s(plan_)));
  r.connect_s = s(base::monotonic_ns() - start);
  if (!server.known() || !r.connected) return;
  r.connect_cpu_s = server.cpu_seconds() - cpu;
  weigh(server, r);
}

void Conductor::weigh(const ServerCost& server, Result& r) const {
  r.bytes_per_connection = static_cast<double>(server.resident_bytes() - memory_before_) /
                           std::max(1u, connections_of(plan_));
}

void Conductor::trouble(double t_s) {
  const Scenario& scenario = plan_.scenario;
  if (scenario.trouble == Trouble::none || t_s < next_trouble_s_) return;
  const bool storm = scenario.kind == Kind::storm;
  if (!storm && t_s + scenario.trouble_every_s / 2 > scenario.seconds) return;  // time to recover
  next_trouble_s_ += storm ? 1e9 : scenario.trouble_every_s;
  if (options_.server == nullptr) {
    if (storm) shared_.cut();
    if (storm) troubles_s_.push_back(t_s);
    return;
  }
  troubles_s_.push_back(t_s);
  if (scenario.trouble == Trouble::kill_engine) options_.server->kill_engine();
  if (scenario.trouble == Trouble::rolling) options_.server->replace_engine();
  if (scenario.trouble == Trouble::kill_all) options_.server->kill_all();
}

void Conductor::go(Result& r) {
  const std::int64_t start = base::monotonic_ns() + kTick_ns / 20;
  shared_.set_start(start);
  tick_ns_ = start + kTick_ns;
  add_histograms(shared_, *at_start_);
  shared_.set_phase(Phase::running);
  const std::int64_t end = start + ns(plan_.scenario.seconds);
  while (base::monotonic_ns() < end && !all_reached(Phase::running)) {
    look_after_workers();
    const std::int64_t now = base::monotonic_ns();
    trouble(s(now - start));
    if (now >= tick_ns_) tick();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const ServerCost server = cost();
  if (server.known() && plan_.scenario.quiet() && troubles_s_.empty()) weigh(server, r);
  r.wall_s = s(base::monotonic_ns() - start);
}

// What was published is acknowledged.
void Conductor::settle() {
  shared_.set_phase(Phase::stopping);
  wait_for(Phase::stopping, base::monotonic_ns() + ns(plan_.drain_s));
}

// What was acknowledged arrives: as long as something does.
void Conductor::count() {
  shared_.set_phase(Phase::counting);
  std::uint64_t received = totals_of(shared_).received;
  while (!wait_for(Phase::counting, base::monotonic_ns() + ns(plan_.drain_s))) {
    const std::uint64_t now = totals_of(shared_).received;
    if (now == received) return;
    received = now;
  }
}

void Conductor::tick() {
  const std::int64_t now = base::monotonic_ns();
  const double length = s(now - logged_ns_);
  auto seen = std::make_unique<Histograms>();
  add_histograms(shared_, *seen);
  const Totals t = totals_of(shared_);
  auto interval = std::make_unique<Histograms>(*seen);
  interval->delivery.subtract(before_->delivery);
  interval->acknowledgement.subtract(before_->acknowledgement);
  interval->connect.subtract(before_->connect);
  interval->back.subtract(before_->back);
  const Histogram& h = interval->delivery.count() != 0          ? interval->delivery
                       : interval->acknowledgement.count() != 0 ? interval->acknowledgement
                       : interval->back.count() != 0            ? interval->back
                                                                : interval->connect;
  const bool running = shared_.phase() != Phase::connecting;
  Second row{.t_s = running ? s(now - shared_.start_ns()) : s(now - begun_ns_),
             .sent_per_s = static_cast<double>(t.sent - totals_before_.sent) / length,
             .received_per_s = static_cast<double>(t.received - totals_before_.received) / length,
             .p50_ms = static_cast<double>(h.percentile(50)) / 1e6,
             .p99_ms = static_cast<double>(h.percentile(99)) / 1e6,
             .connections = t.connections,
             .errors = t.cuts + t.connect_failures};
  if (options_.progress) {
    std::fprintf(stderr,
                 "%6.1f s  %s %8.0f/s out %8.0f/s in  p50 %.2f p99 %.2f ms  errors %llu  "
                 "connections %llu\n",
                 row.t_s, running ? "" : "connecting", row.sent_per_s, row.received_per_s,
                 row.p50_ms, row.p99_ms, static_cast<unsigned long long>(row.errors),
                 static_cast<unsigned long long>(row.connections));
  }
  if (options_.log != nullptr && running && h.count() != 0)
    options_.log->interval("delivery", s(logged_ns_ - begun_ns_), length, h);
  if (running) seconds_.push_back(row);
  before_ = std::move(seen);
  totals_before_ = t;
  logged_ns_ = now;
  tick_ns_ = std::max(tick_ns_ + kTick_ns, now);
}

Result Conductor::run() {
  Result r;
  r.plan = plan_;
  connect(r);
  if (r.connected) {
    const ServerCost server = cost();
    const double cpu = server.known() ? server.cpu_seconds() : 0;
    const std::size_t troubles = troubles_s_.size();
    go(r);
    settle();
    count();
    // Of a process that was killed, the time is gone with it.
    if (server.known() && troubles_s_.size() == troubles && !plan_.scenario.quiet())
      r.cpu_s = server.cpu_seconds() - cpu;
    const std::int64_t last = totals_of(shared_).last_ns;
    if (last > shared_.start_ns() && !plan_.scenario.quiet())
      r.wall_s = plan_.messages != 0 || !plan_.open_loop() ? s(last - shared_.start_ns())
                                                           : std::max(r.wall_s, 0.001);
  }
  shared_.set_phase(Phase::ended);
  wait_for(Phase::ended, base::monotonic_ns() + kLeave_ns);
  tick();
  r.totals = totals_of(shared_);
  add_histograms(shared_, *r.histograms);
  // What comes and goes is measured, not how it began.
  if (plan_.scenario.kind == Kind::churn) r.histograms->connect.subtract(at_start_->connect);
  r.seconds = std::move(seconds_);
  r.troubles_s = std::move(troubles_s_);
  return r;
}

}  // namespace berth::bench
