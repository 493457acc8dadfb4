#include "gateway/cluster/engine_server.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <optional>
#include <random>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/admin/http_server.h"
#include "gateway/cluster/crash_report.h"
#include "gateway/cluster/edge_roster.h"
#include "gateway/cluster/lease_watch.h"
#include "gateway/cluster/link_listener.h"
#include "gateway/cluster/store_taker.h"
#include "gateway/engine_setup.h"
#include "gateway/link/link_set.h"
#include "gateway/runtime/child_process.h"
#include "gateway/serve.h"
#include "metrics/registry.h"

namespace berth::gateway::cluster {

namespace asio = boost::asio;
namespace json = boost::json;
using protocol::link::EngineState;
using protocol::link::Hello;
using protocol::link::Setting;

namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::uint32_t kWatchTimeout_ms = 500;
constexpr std::uint32_t kStuck_ms = 400;  // of CPU for one input; edges wait for three heartbeats
constexpr std::int64_t kCommitSlow_ms = 600;  // then the store counts as out of reach
constexpr std::size_t kNewcomersMax = 1024;   // links, with those that have not said hello
constexpr std::int64_t kReadyAlone = 5000 * kMs;
constexpr std::int64_t kTakeAgain = 300 * kMs;
constexpr std::int64_t kSuccessorWait = 5000 * kMs;  // for a standby to have read everything
constexpr std::int64_t kOthersWait = 200 * kMs;      // when one has: for those that are younger
constexpr std::int64_t kAcceptedWait = 500 * kMs;    // a leaving engine waits for edges to catch up

std::uint64_t random_id() {
  std::random_device d;
  return (static_cast<std::uint64_t>(d()) << 32) | d();
}

// What stays when an engine is fenced and begins again as a standby.
struct Process {
  std::uint64_t started_ms = 0;
  std::unique_ptr<link::TlsContext> tls;
  std::uint16_t port = 0;
  std::uint16_t admin_port = 0;
  std::uint64_t fenced = 0;
  bool announced = false;
};

class EngineServer {
 public:
  EngineServer(const Config& config, Process& process)
      : config_(config),
        process_(process),
        engine_id_(random_id()),
        http_(io_),
        signals_(io_, SIGTERM, SIGINT),
        beat_(io_),
        gather_(io_),
        taker_(io_, config, links_, [this] { on_fenced(); }),
        crash_report_(poison_, progress_, kStuck_ms, [this](std::uint64_t word) {
          const auto conn = base::ConnId::from_packed(word);
          if (link::EngineLink* l = links_.find(conn.link())) l->last_words(conn);
        }) {
    signals_.add(SIGHUP);
  }

  // True: fenced, begin again.
  bool run(int& exit_code) {
    listen();
    routes();
    if (process_.admin_port == 0) process_.admin_port = config_.admin.port;
    http_.listen(config_.admin.host, process_.admin_port);
    wait_signal();
    if (config_.store_url.empty()) {
      store_ok_ = true;
      start_serving(0);
    } else {
      watch_store();
    }
    on_beat();
    announce();
    io_.run();
    if (engine_) engine_->close_store();
    exit_code = exit_code_;
    return fenced_;
  }

 private:
  // -- links

  void listen() {
    const Endpoint& at = config_.cluster.listen;
    if (process_.port == 0) process_.port = at.port;
    listener_ = std::make_unique<LinkListener>(io_, at.host, process_.port, link_patience_ms(),
                                               [this](int fd) { add_link(fd); });
  }

  struct Newcomer {
    std::unique_ptr<link::EngineLink> link;
    std::int64_t since_ns = 0;
    std::optional<std::uint32_t> number;  // where it has moved to
    bool lost = false;
  };

  void add_link(int fd) {
    if (newcomers_.size() >= kNewcomersMax) {
      ::close(fd);
      return;
    }
    auto owned = std::make_shared<Newcomer>();
    Newcomer* n = owned.get();
    n->since_ns = base::monotonic_ns();
    n->link = std::make_unique<link::EngineLink>(
        io_, fd, 0,
        link::EngineLink::Events{.hello = [this, n](const Hello& h) { on_hello(*n, h); },
                                 .attached_all =
                                     [this, n] {
                                       if (n->number) on_attached_all(*n->number);
                                     },
                                 .drain = [] {},
                                 .stop = [] {},
                                 .scrape = [](std::uint64_t) {},
                                 .alive =
                                     [this, n](const protocol::link::Alive& a) {
                                       if (n->number) on_alive(*n->number, a);
                                     },
                                 .goodbye =
                                     [this, n] {
                                       if (n->number) on_goodbye(*n->number);
                                     },
                                 .keep_out = [this, n](std::uint64_t hash) { pass_on(*n, hash); },
                                 .lost = [this, n] { on_lost(*n); }},
        process_.tls ? process_.tls->accept() : nullptr);
    newcomers_.push_back(std::move(owned));
  }

  // What an edge says of a client that killed engines is for all edges.
  void pass_on(const Newcomer& from, std::uint64_t hash) {
    if (!from.number) return;  // not an edge yet
    for (std::uint32_t i = 0; i < links_.size(); ++i) {
      if (link::EngineLink* l = links_.find(i); l != nullptr && from.number != i) {
        l->send_keep_out(hash);
      }
    }
  }

  // Everything with a link in its call stack only marks it; the sweep destroys.
  void on_lost(Newcomer& n) {
    n.lost = true;
    asio::post(io_, [this] { sweep(); });
  }

  void sweep() {
    std::erase_if(newcomers_, [this](const std::shared_ptr<Newcomer>& n) {
      if (!n->lost) return false;
      if (n->number) unlink(*n->number, *n);
      return true;
    });
  }

  void unlink(std::uint32_t number, Newcomer& n) {
    EdgeRoster::Entry& e = roster_[number];
    if (by_number_.size() <= number || by_number_[number] != &n) return;  // replaced
    by_number_[number] = nullptr;
    const std::unique_ptr<link::EngineLink> dead = links_.take(number);
    e.linked = e.attached = false;
    e.nominated_ns = 0;
    e.lost_ns = base::monotonic_ns();
    ++links_lost_;
    BERTH_LOG(info, "edge out of reach edge={} link={}", e.name, number);
    if (!std::exchange(e.admitted, false)) {
      if (state_ != EngineState::serving) e = EdgeRoster::Entry{};
    } else if (engine_ && state_ == EngineState::serving) {
      engine_->edge_lost(number);
      check_gathered();
    }
  }

  void on_hello(Newcomer& n, const Hello& h) {
    const std::uint64_t version = protocol::link::common_version(h.version_min, h.version);
    if (!h.remote || version == 0) {
      BERTH_LOG(err, "edge refused name={} version={}..{}", h.name, h.version_min, h.version);
      return n.link->refuse("no common version of the link protocol");
    }
    const auto number = roster_.number_for(h.edge_id);
    if (!number) return n.link->refuse("too many edges");
    EdgeRoster::Entry& e = roster_[*number];
    if (e.linked && h.generation <= e.generation) return n.link->refuse("a newer link is there");
    if (by_number_.size() <= *number) by_number_.resize(*number + 1);
    if (Newcomer* old = by_number_[*number]) {  // half open, as it turns out
      old->lost = true;
      unlink(*number, *old);
      asio::post(io_, [this] { sweep(); });
    }
    e.used = e.linked = true;
    e.edge_id = h.edge_id;
    e.generation = h.generation;
    e.name = h.name;
    e.heard_ns = base::monotonic_ns();
    e.alive = {};
    n.number = number;
    by_number_[*number] = &n;
    link::EngineLink& l = *n.link;
    l.use_number(*number);
    links_.put(*number, std::move(n.link));
    l.send_welcome({.version = version,
                    .engine_id = engine_id_,
                    .settings = {{Setting::packet_max, config_.broker.packet_max},
                                 {Setting::connect_timeout_s, config_.edge.connect_timeout_s},
                                 {Setting::quarantine_s, config_.edge.quarantine_s}}});
    l.send_status(status());
    BERTH_LOG(info, "edge linked edge={} link={} version={}", e.name, *number, version);
    if (state_ == EngineState::serving) admit(*number);
  }

  // The edge may attach its connections now.
  void admit(std::uint32_t number) {
    EdgeRoster::Entry& e = roster_[number];
    e.admitted = true;
    e.attached = false;
    engine_->edge_came(number, e.edge_id);
    links_[number].use_engine(*engine_);
    links_[number].ready();
  }

  void on_alive(std::uint32_t number, const protocol::link::Alive& a) {
    EdgeRoster::Entry& e = roster_[number];
    e.heard_ns = base::monotonic_ns();
    roster_.alive(number, a, e.heard_ns);
    newest_term_ = std::max({newest_term_, a.serving_term, a.lost_term});
    if (state_ == EngineState::standby) consider();
  }

  void on_goodbye(std::uint32_t number) {
    EdgeRoster::Entry& e = roster_[number];
    BERTH_LOG(info, "edge has left edge={}", e.name);
    Newcomer* n = by_number_[number];
    n->lost = true;
    e.lost_ns = 0;  // nothing to wait for
    asio::post(io_, [this, number] {
      sweep();
      give_up(number);
    });
  }

  void give_up(std::uint32_t number) {
    EdgeRoster::Entry& e = roster_[number];
    if (!e.used || e.linked) return;
    ++edges_gone_;
    BERTH_LOG(info, "edge gone edge={} link={}", e.name, number);
    e = EdgeRoster::Entry{};
    if (engine_ && state_ == EngineState::serving) engine_->edge_gone(number);
  }

  // -- routes before inputs

  void on_attached_all(std::uint32_t number) {
    roster_[number].attached = true;
    if (gathered_) return let_run(number);
    engine_->edge_attached(number, [] {});
    check_gathered();
  }

  void check_gathered() {
    if (gathered_ || !engine_) return;
    for (std::uint32_t i = 0; i < roster_.size(); ++i) {
      if (roster_[i].admitted && !roster_[i].attached) return;
    }
    if (engine_->broker().missing_edges().empty()) gathered();
  }

  void gathered() {
    if (std::exchange(gathered_, true)) return;
    gather_.cancel();
    for (const std::uint64_t edge : engine_->broker().missing_edges()) {
      BERTH_LOG(warn, "edge has not come edge_id={}", edge);
    }
    engine_->attached_all();
    for (std::uint32_t i = 0; i < roster_.size(); ++i) {
      if (roster_[i].admitted && roster_[i].attached) let_run(i);
    }
  }

  void let_run(std::uint32_t number) {
    const std::uint64_t generation = roster_[number].generation;
    engine_->edge_attached(number, [this, number, generation] {
      const EdgeRoster::Entry& e = roster_[number];
      if (e.linked && e.generation == generation) links_[number].go();
    });
  }

  // -- the store

  void watch_store() {
    const session::RedisOptions redis = redis_options(config_);
    watch_ = std::make_unique<LeaseWatch>(
        redis, session::key_prefix(redis.address, config_.redis_prefix), config_.heartbeat_ms,
        kWatchTimeout_ms,
        [this](LeaseWatch::View v) { asio::post(io_, [this, v = std::move(v)] { on_view(v); }); });
  }

  void on_view(const LeaseWatch::View& v) {
    store_ok_ = v.reachable;
    lease_free_ = v.reachable && v.lease.holder.empty();
    if (v.reachable) newest_term_ = std::max(newest_term_, v.lease.number);
    reach_ = v.lease.reach;
    warmed_ = v.lease.warm == warming_ ? v.lease.warmed : 0;
    if (state_ == EngineState::standby) taker_.follow(leaving_ ? "" : v.lease.warm, engine_id_);
    if (state_ == EngineState::standby) consider();
  }

  void consider() {
    const std::int64_t now = base::monotonic_ns();
    if (!store_ok_ || leaving_ || now < not_before_ns_) return;
    std::uint64_t lost = 0;
    if (roster_.elected(now, reach_, lost)) return start_serving(lost);
    // Nobody holds it and no edge says anything: at the first start.
    if (!lease_free_) {
      free_since_ns_ = 0;
    } else if (free_since_ns_ == 0) {
      free_since_ns_ = now;
    } else if (now - free_since_ns_ > kMs * config_.heartbeat_ms * 2) {
      start_serving(0);
    }
  }

  void start_serving(std::uint64_t take_from) {
    set_state(EngineState::starting);
    StoreClaim claim{.owner = engine_id_, .take_from = take_from, .floor = newest_term_};
    if (config_.store_url.empty()) claim.take_from.reset();
    BERTH_LOG(info, "taking the store from={}", take_from);
    taker_.take(claim, [this](StoreTaker::Taken t) {
      if (t.engine) {
        claim_ = t.claim;
        probe_ = std::move(t.probe);
        serve(std::move(t.engine));
      } else {
        not_taken(t.why, t.config_error);
      }
    });
  }

  void not_taken(const std::string& why, bool config_error) {
    BERTH_LOG(warn, "store not taken error=\"{}\"", why);
    if (config_error || config_.store_url.empty()) {
      exit_code_ = config_error ? 78 : kExitUnavailable;
      return io_.stop();
    }
    if (leaving_) return end();
    if (fenced_) return io_.stop();
    not_before_ns_ = base::monotonic_ns() + kTakeAgain;
    set_state(EngineState::standby);
  }

  void serve(std::unique_ptr<engine::EngineShard> engine) {
    engine_ = std::move(engine);
    if (fenced_) return io_.stop();
    if (claim_.number != 0) newest_term_ = std::max(newest_term_, claim_.number);
    term_ = claim_.number != 0 ? claim_.number : static_cast<std::uint64_t>(base::now().ms);
    engine_->start_timers();
    engine_->use_poison_word(&poison_);
    engine_->use_progress(&progress_);
    engine_->on_input([this](base::Instant now) {
      if (now.ms - told_.ms > config_.heartbeat_ms) tell_status();
    });
    set_state(EngineState::serving);
    if (leaving_) return hand_over();
    BERTH_LOG(info, "serving term={} sessions={} edges={}", term_,
              engine_->broker().session_count(), roster_.linked());
    for (std::uint32_t i = 0; i < roster_.size(); ++i) {
      if (roster_[i].linked) admit(i);
    }
    gather_.expires_after(std::chrono::milliseconds(config_.cluster.gather_ms));
    gather_.async_wait([this](boost::system::error_code ec) {
      if (!ec) gathered();
    });
    check_gathered();
  }

  void on_fenced() {
    if (std::exchange(fenced_, true)) return;
    ++process_.fenced;
    BERTH_LOG(warn, "another engine has the store: standby again");
    if (engine_) io_.stop();
  }

  // -- heartbeats

  protocol::link::Status status() const {
    return {.state = state_,
            .term = state_ == EngineState::serving ? term_ : newest_term_,
            .started_ms = process_.started_ms,
            // Whether this engine reaches the store, not whether the store takes writes: where
            // replicas are missing no other engine would do better.
            .store_ok = store_ok_};
  }
  bool store_ok() const {
    if (!engine_ || state_ != EngineState::serving) return store_ok_;
    return store_ok_ && engine_->store_healthy() && engine_->commit_age_ms() < kCommitSlow_ms;
  }
  std::uint32_t link_patience_ms() const {
    return config_.heartbeat_ms * config_.cluster.heartbeats_missed;
  }

  void set_state(EngineState s) {
    state_ = s;
    tell_status();
  }
  void tell_status() {
    told_ = base::now();
    for (std::uint32_t i = 0; i < roster_.size(); ++i) {
      if (link::EngineLink* l = links_.find(i)) l->send_status(status());
    }
  }

  void on_beat() {
    const std::int64_t now = base::monotonic_ns();
    const auto patience = static_cast<std::int64_t>(link_patience_ms()) * kMs;
    const bool stalled =
        last_beat_ns_ != 0 && now - last_beat_ns_ > patience / 2;  // read first, then judge
    last_beat_ns_ = now;
    tell_status();
    if (watch_) watch_->tell_reach(state_ == EngineState::serving ? roster_.linked() : 0);
    for (const auto& n : newcomers_) {
      const std::int64_t heard = n->number ? roster_[*n->number].heard_ns : n->since_ns;
      if (!stalled && now - heard > patience) n->lost = true;
    }
    sweep();
    for (std::uint32_t i = 0; i < roster_.size(); ++i) {
      const EdgeRoster::Entry& e = roster_[i];
      const std::int64_t grace = std::int64_t{config_.cluster.edge_grace_s} * 1000 * kMs;
      if (e.used && !e.linked && now - e.lost_ns > grace) give_up(i);
    }
    if (state_ == EngineState::standby) consider();
    beat_.expires_after(std::chrono::milliseconds(config_.heartbeat_ms));
    beat_.async_wait([this](boost::system::error_code ec) {
      if (!ec) on_beat();
    });
  }

  // -- the end

  void wait_signal() {
    signals_.async_wait([this](boost::system::error_code ec, int number) {
      if (ec) return;
      if (number != SIGHUP) leave();
      wait_signal();
    });
  }

  // What was taken is committed and its steps are with the edges; then the store is free and the
  // edges choose another.
  void leave() {
    if (!std::exchange(leaving_, true)) {
      BERTH_LOG(info, "leaving state={}", name_of(state_));
      if (state_ == EngineState::serving && watch_) {
        warming_ = std::to_string(engine_id_);
        watch_->begin_warming(warming_);
        successor_by_ns_ = base::monotonic_ns() + kSuccessorWait;
        return await_successor();
      }
    }
    hand_over();
  }

  // While a successor reads everything we serve on.
  void await_successor() {
    const std::int64_t now = base::monotonic_ns();
    if (warmed_ != 0) successor_by_ns_ = std::min(successor_by_ns_, now + kOthersWait);
    if (now >= successor_by_ns_ || !store_ok_ || roster_.linked() == 0) return hand_over();
    gather_.expires_after(std::chrono::milliseconds(20));
    gather_.async_wait([this](boost::system::error_code) { await_successor(); });
  }

  void hand_over() {
    leave_by_ns_ = base::monotonic_ns() + kAcceptedWait;
    if (state_ == EngineState::starting) return;  // serve() or not_taken() comes back here
    if (state_ != EngineState::serving) return end();
    for (std::uint32_t i = 0; i < links_.size(); ++i) {
      if (link::EngineLink* l = links_.find(i)) l->stop_input();
    }
    engine_->turn_end();
    await_quiet();
  }

  void await_quiet() {
    const bool late = base::monotonic_ns() > leave_by_ns_;
    const bool with_edges = (links_.all_accepted() && !engine_->broker().has_late()) || late;
    if (!engine_->broker().has_uncommitted() && with_edges) {
      engine_->close_store();
      set_state(EngineState::leaving);
      return end();
    }
    if (base::monotonic_ns() > leave_by_ns_ + std::int64_t{config_.drain_seconds} * 1000 * kMs) {
      return end();  // the store does not take it: the edges say it again to another engine
    }
    gather_.expires_after(std::chrono::milliseconds(1));
    gather_.async_wait([this](boost::system::error_code) { await_quiet(); });
  }

  void end() {
    if (state_ != EngineState::leaving) set_state(EngineState::leaving);
    gather_.expires_after(std::chrono::milliseconds(links_.all_sent() ? 0 : 100));
    gather_.async_wait([this](boost::system::error_code) { io_.stop(); });
  }

  // -- for operators

  void announce() {
    if (std::exchange(process_.announced, true)) return;
    BERTH_LOG(info, "ready links={}:{} admin={}:{} shape=engine tls={}",
              config_.cluster.listen.host, process_.port, config_.admin.host, process_.admin_port,
              process_.tls ? "yes" : "no");
  }

  static asio::awaitable<admin::Response> answer(int status, std::string body) {
    admin::Response r;
    r.status = status;
    r.body = std::move(body);
    co_return r;
  }

  bool ready() const {
    if (leaving_) return false;
    if (state_ == EngineState::serving) return true;
    // A standby is of use when an edge is linked to it; where there is none yet, after a while.
    const bool reachable = roster_.linked() != 0 || base::monotonic_ns() - began_ns_ > kReadyAlone;
    return state_ == EngineState::standby && store_ok_ && reachable;
  }

  // The engine's figures, where there is one, and our own.
  metrics::EngineProbe figures() {
    metrics::EngineProbe p;
    if (engine_) {
      engine_->refresh_gauges();
      p = *probe_;
    }
    const metrics::ProcessUsage u = metrics::process_usage();
    p.engine_rss = u.resident_bytes;
    p.engine_cpu_ms = u.cpu_ms;
    p.store_up = store_ok() ? 1 : 0;
    p.serving = state_ == EngineState::serving ? 1 : 0;
    p.term = state_ == EngineState::serving ? term_ : newest_term_;
    p.edges = roster_.linked();
    p.edges_limbo = roster_.out_of_reach();
    p.edge_links_lost = links_lost_;
    p.edges_gone = edges_gone_;
    return p;
  }

  asio::awaitable<admin::Response> metrics_page() {
    admin::Response r;
    r.content_type = "text/plain; version=0.0.4; charset=utf-8";
    r.body = metrics::serialize(metrics::samples_of(figures()), kVersion, revision());
    co_return r;
  }

  asio::awaitable<admin::Response> status_page() {
    const metrics::EngineProbe p = figures();
    json::array edges;
    for (std::uint32_t i = 0; i < roster_.size(); ++i) {
      const EdgeRoster::Entry& e = roster_[i];
      if (!e.used) continue;
      edges.push_back({{"name", e.name}, {"link", i}, {"linked", e.linked}});
    }
    const json::object out{{"version", kVersion},
                           {"shape", "engine"},
                           {"pid", static_cast<std::int64_t>(getpid())},
                           {"state", name_of(state_)},
                           {"ready", ready()},
                           {"term", p.term},
                           {"store_up", p.store_up != 0},
                           {"fenced", process_.fenced},
                           {"sessions", p.sessions + p.sessions_offline},
                           {"restore_ms", p.restore_ms},
                           {"edges", edges}};
    admin::Response r;
    r.content_type = "application/json";
    r.body = json::serialize(out) + "\n";
    co_return r;
  }

  void routes() {
    http_.route("GET /livez", [] { return answer(200, "ok\n"); });
    http_.route("GET /startupz", [] { return answer(200, "ok\n"); });
    http_.route("GET /readyz",
                [this] { return ready() ? answer(200, "ok\n") : answer(503, "not ok\n"); });
    http_.route("GET /metrics", [this] { return metrics_page(); });
    http_.route("GET /api/v1/status", [this] { return status_page(); });
    http_.route("POST /api/v1/drain", [this] {
      asio::post(io_, [this] { leave(); });
      return answer(202, "leaving\n");
    });
  }

  const Config& config_;
  Process& process_;
  const std::uint64_t engine_id_;
  asio::io_context io_{1};
  std::uint64_t links_lost_ = 0;
  std::uint64_t edges_gone_ = 0;
  link::LinkSet links_;
  EdgeRoster roster_;
  std::vector<Newcomer*> by_number_;  // whose link has the number now
  std::vector<std::shared_ptr<Newcomer>> newcomers_;
  admin::HttpServer http_;
  std::unique_ptr<LinkListener> listener_;
  asio::signal_set signals_;
  asio::steady_timer beat_;
  asio::steady_timer gather_;
  std::atomic<std::uint64_t> poison_{0};
  std::atomic<std::uint64_t> progress_{0};
  std::unique_ptr<metrics::EngineProbe> probe_;  // the engine's
  std::unique_ptr<engine::EngineShard> engine_;
  std::unique_ptr<LeaseWatch> watch_;
  StoreTaker taker_;
  CrashReport crash_report_;
  StoreClaim claim_;     // with which the engine has its store
  std::string warming_;  // the one we have begun
  std::uint64_t warmed_ = 0;
  std::uint64_t reach_ = 0;  // edges linked to the engine that serves
  std::int64_t successor_by_ns_ = 0;
  EngineState state_ = EngineState::standby;
  std::uint64_t term_ = 0;
  std::uint64_t newest_term_ = 0;
  const std::int64_t began_ns_ = base::monotonic_ns();
  std::int64_t free_since_ns_ = 0;
  std::int64_t last_beat_ns_ = 0;
  base::Instant told_;  // when edges were told our status
  std::int64_t leave_by_ns_ = 0;
  std::int64_t not_before_ns_ = 0;  // of the next try to take the store
  int exit_code_ = 0;
  bool store_ok_ = false;
  bool lease_free_ = false;
  bool gathered_ = false;
  bool leaving_ = false;
  bool fenced_ = false;
};

}  // namespace

int run_engine(const Config& config) {
  runtime::raise_descriptor_limit();
  signal(SIGPIPE, SIG_IGN);
  base::start_log(
      {.format = config.log_format == "ecs" ? base::LogFormat::ecs : base::LogFormat::text,
       .level = config.log_level,
       .role = "engine"});
  int code = 0;
  try {
    Process process;
    process.started_ms = static_cast<std::uint64_t>(base::now().ms);
    if (config.cluster.tls.enabled())
      process.tls = std::make_unique<link::TlsContext>(config.cluster.tls);
    for (bool again = true; again;) {
      EngineServer server(config, process);
      again = server.run(code);
    }
  } catch (const std::exception& e) {
    BERTH_LOG(err, "cannot start error={}", e.what());
    code = kExitUnavailable;
  }
  base::stop_log();
  return code;
}

}  // namespace berth::gateway::cluster
