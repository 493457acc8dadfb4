#include "gateway/cluster/partition_server.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/random_id.h"
#include "gateway/cluster/store_trouble.h"
#include "gateway/engine/faults.h"
#include "gateway/node/engine_setup.h"
#include "gateway/node/process.h"

namespace berth::gateway::cluster {

namespace asio = boost::asio;
using protocol::link::EngineState;

namespace {

using base::kMs;
constexpr std::uint32_t kWatchTimeout_ms = 500;
constexpr std::int64_t kCommitSlow_ms = 600;  // then the store counts as out of reach
constexpr std::int64_t kReadyAlone = 5000 * kMs;
constexpr std::int64_t kTakeAgain = 300 * kMs;

Config of_partition(Config config, std::uint32_t partition) {
  if (config.cluster.partitions > 1) config.redis_partition = "p" + std::to_string(partition) + ":";
  config.broker.partition = partition;
  config.broker.partitions = config.cluster.partitions;
  return config;
}

}  // namespace

PartitionServer::PartitionServer(asio::io_context& io, const Config& config,
                                 std::uint32_t partition, const EngineProcess& process,
                                 std::atomic<std::uint64_t>& poison,
                                 std::atomic<std::uint64_t>& progress, Events events)
    : io_(io),
      config_(of_partition(config, partition)),
      partition_(partition),
      process_(process),
      events_(std::move(events)),
      engine_id_(base::random_id()),
      edges_(io_, config_, partition_, engine_id_, *this),
      wait_(io_),
      poison_(poison),
      progress_(progress),
      logins_(config_.store_url.empty() ? nullptr
                                        : std::make_unique<LoginKeeper>(redis_options(config_))),
      taker_({.io = io_,
              .config = config_,
              .options = broker_options(config_, {}, true),
              .edge = edges_.links(),
              .registry = process.registry,
              .logins = logins_ ? logins_->memory() : nullptr,
              .load_logins = logins_ ? [this] { logins_->load(); } : std::function<void()>(),
              .store_lost =
                  [this, alive = std::weak_ptr<bool>(alive_)] {
                    if (!alive.expired()) on_fenced();
                  },
              .traces = process.traces,
              .reload = process.reload}),
      began_ns_(base::monotonic_ns()) {}

PartitionServer::~PartitionServer() {
  watch_.reset();
  if (engine_) engine_->close_store();
}

void PartitionServer::post(std::function<void()> f) {
  asio::post(io_, [alive = std::weak_ptr<bool>(alive_), f = std::move(f)] {
    if (!alive.expired()) f();
  });
}

// One thing is waited for at a time.
void PartitionServer::after(std::chrono::milliseconds time, std::function<void()> f) {
  wait_.expires_after(time);
  wait_.async_wait([alive = std::weak_ptr<bool>(alive_), f = std::move(f)](auto ec) {
    if (!ec && !alive.expired()) f();
  });
}

void PartitionServer::start() {
  watch_store();
}

// -- the store

void PartitionServer::watch_store() {
  const session::RedisOptions redis = redis_options(config_);
  watch_ = std::make_unique<LeaseWatch>(
      redis, redis.slot_key, config_.heartbeat_ms, kWatchTimeout_ms,
      [this] { return check_partitions(config_); },
      [this](LeaseWatch::View v) { post([this, v = std::move(v)] { on_view(v); }); });
}

void PartitionServer::on_view(const LeaseWatch::View& v) {
  if (!v.wrong.empty()) {
    BERTH_LOG(err, "not our store partition={} why=\"{}\"", partition_, v.wrong);
    return events_.failed(base::kExitConfig);
  }
  store_.see(v, departure_.warming());
  if (v.reachable) newest_term_ = std::max(newest_term_, v.lease.number);
  if (state_ != EngineState::standby) return;
  taker_.follow(leaving() ? "" : v.lease.warm, engine_id_);
  consider();
}

void PartitionServer::consider() {
  const std::int64_t now = base::monotonic_ns();
  if (!store_.reachable() || leaving() || now < not_before_ns_) return;
  std::uint64_t lost = 0;
  if (roster().elected(now, store_.reach(), lost)) return start_serving(lost);
  // Nobody holds it and no edge says anything: at the first start.
  if (store_.free_for(now, kMs * config_.heartbeat_ms * 2)) start_serving(0);
}

void PartitionServer::start_serving(std::uint64_t take_from) {
  set_state(EngineState::starting);
  StoreClaim claim{.owner = engine_id_, .take_from = take_from, .floor = newest_term_};
  BERTH_LOG(info, "taking the store partition={} from={}", partition_, take_from);
  taker_.take(claim, [this, alive = std::weak_ptr<bool>(alive_)](StoreTaker::Taken t) {
    if (alive.expired()) return;
    if (t.engine) {
      probe_ = std::move(t.probe);
      serve(std::move(t.engine), t.claim.number);
    } else {
      not_taken(t);
    }
  });
}

void PartitionServer::not_taken(const StoreTaker::Taken& t) {
  if (!t.held_by.empty()) {  // another engine was quicker, which is how it should be
    BERTH_LOG(info, "waits for the lease partition={} held_by={}", partition_,
              base::LogName{t.held_by});
  } else {
    note_store_not_taken(redis_options(config_).slot_key, "not taken: " + t.why,
                         base::monotonic_ns());
  }
  if (leaving()) return end();
  if (fenced_) return events_.fenced();
  not_before_ns_ = base::monotonic_ns() + kTakeAgain;
  set_state(EngineState::standby);
}

void PartitionServer::serve(std::unique_ptr<engine::EngineShard> engine, std::uint64_t number) {
  engine_ = std::move(engine);
  process_.equip(*engine_, partition_);
  if (fenced_) return events_.fenced();
  if (number != 0) newest_term_ = std::max(newest_term_, number);
  term_ = number != 0 ? number : static_cast<std::uint64_t>(base::now().ms);
  engine_->serve({.poison_word = &poison_,
                  .progress = &progress_,
                  .on_input =
                      [this](base::Instant now) {
                        if (now.ms - told_.ms > config_.heartbeat_ms) process_.beat_all();
                      },
                  .on_forwarded = engine::fault_of_forwarded()});
  for (const auto& w : edges_.skips()) engine_->broker().skip_forwarded(w);
  set_state(EngineState::serving);
  if (leaving()) return hand_over();
  BERTH_LOG(info, "serving partition={} term={} sessions={} edges={}", partition_, term_,
            engine_->broker().session_count(), roster().linked());
  edges_.admit_all();
  after(std::chrono::milliseconds(config_.cluster.gather_ms), [this] { gathered(); });
  edges_.check_gathered();
}

void PartitionServer::gathered() {
  if (edges_.gathered()) return;
  if (!departure_.begun()) wait_.cancel();  // else it is the departure's
  edges_.run();
  events_.serves();
}

void PartitionServer::alive(const protocol::link::Alive& a) {
  newest_term_ = std::max({newest_term_, a.serving_term, a.lost_term});
  if (state_ == EngineState::standby) consider();
}

void PartitionServer::on_fenced() {
  if (std::exchange(fenced_, true)) return;
  BERTH_LOG(warn, "another engine has the store: standby again partition={}", partition_);
  events_.stops();
  if (engine_) events_.fenced();  // else when the taking has ended
}

// -- what edges are told

bool PartitionServer::store_ok() const {
  if (!engine_ || state_ != EngineState::serving) return store_.reachable();
  return store_.reachable() && engine_->commits().healthy() &&
         engine_->commits().age_ms() < kCommitSlow_ms;
}

protocol::link::Status PartitionServer::status() const {
  return {.state = state_,
          .term = term(),
          .started_ms = process_.started_ms,
          // Whether this engine reaches the store, not whether the store takes writes: where
          // replicas are missing no other engine would do better.
          .store_ok = store_.reachable(),
          .process = process_.id,
          .held = process_.held(),
          .ending = process_.ending,
          .unfit = !process_.unfit.empty()};
}

// Every partition's edges hear how many this engine holds.
void PartitionServer::set_state(EngineState s) {
  state_ = s;
  process_.beat_all();
}

void PartitionServer::tell_status() {
  told_ = engine_ ? engine_->now() : base::Instant{};
  edges_.tell_status();
}

void PartitionServer::beat() {
  tell_status();
  tell_roster();
  edges_.beat(base::monotonic_ns());
  if (logins_ && serving()) logins_->beat();
  if (state_ == EngineState::standby) consider();
}

// What standbys must have links to before they count.
void PartitionServer::tell_roster() {
  if (!watch_) return;
  const bool holder = serving();
  watch_->tell_reach(holder ? roster().linked() : 0);
  if (!holder) return watch_->tell_edges({});
  std::vector<session::RedisEdge> edges;
  for (std::uint32_t i = 0; i < roster().size(); ++i) {
    const EdgeRoster::Entry& e = roster()[i];
    if (e.linked && !e.internal) edges.push_back({e.edge_id, e.name.substr(0, 96)});
  }
  watch_->tell_edges(std::move(edges));
}

std::size_t PartitionServer::edges_missing() const {
  return serving() ? 0 : store_.edges_missing(roster());
}

std::int64_t PartitionServer::unconfirmed_ms() const {
  return engine_ ? engine_->commits().unconfirmed_ms() : 0;
}

std::string PartitionServer::why_not_ready() const {
  if (leaving() && !process_.ending) return {};  // it gives the partition to another engine
  if (leaving()) return "it is leaving";
  const std::string trouble = store_trouble(redis_options(config_).slot_key);
  const std::string no_store = trouble.empty() ? "" : "the store can't be used: " + trouble;
  if (state_ == EngineState::serving) {  // its files may be bad by now
    const std::string unconfirmed = engine_ ? engine_->commits().trouble() : std::string();
    return no_store.empty() ? unconfirmed : no_store;
  }
  if (!process_.unfit.empty()) return process_.unfit;
  if (state_ != EngineState::standby) return "it is taking the store";
  if (!no_store.empty()) return no_store;
  if (!store_.reachable()) return "the store has not answered yet";
  if (edges_missing() != 0) return "not linked to " + store_.text_of_missing(roster());
  const bool waited = base::monotonic_ns() - began_ns_ > kReadyAlone;
  return roster().linked() != 0 || waited ? "" : "no edge is linked";
}

metrics::EngineProbe PartitionServer::figures() {
  metrics::EngineProbe p;
  if (engine_) {
    engine_->refresh_gauges();
    p = *probe_;
  }
  p.store_up = !store_.seen() || store_ok() ? 1 : 0;  // before the first answer nothing is known
  p.serving = state_ == EngineState::serving ? 1 : 0;
  p.term = term();
  p.edges = roster().linked();
  p.edges_limbo = roster().out_of_reach();
  p.edge_links_lost = edges_.links_lost();
  p.edges_gone = edges_.edges_gone();
  return p;
}

// -- the end

void PartitionServer::leave() {
  if (departure_.begin()) {
    BERTH_LOG(info, "leaving partition={} state={}", partition_, name_of(state_));
    if (serving() && watch_) {
      departure_.await_successor(std::to_string(engine_id_), base::monotonic_ns(),
                                 config_.cluster.edge_grace_s);
      watch_->begin_warming(departure_.warming());
      return await_successor();
    }
  }
  hand_over();
}

// While a successor reads everything we serve on; and while an edge is out of reach, whose sessions
// only we know: a successor would wait for it with everybody's input.
void PartitionServer::await_successor() {
  const bool waited = departure_.successor_waits_no_more(base::monotonic_ns(), store_.warmed(),
                                                         roster().out_of_reach() != 0);
  if (!store_.reachable() || roster().linked() == 0 || waited) return hand_over();
  after(std::chrono::milliseconds(20), [this] { await_successor(); });
}

void PartitionServer::hand_over() {
  departure_.await_quiet(base::monotonic_ns());
  if (state_ == EngineState::starting) return;  // serve() or not_taken() comes back here
  if (state_ != EngineState::serving) return end();
  events_.stops();
  edges_.stop_input();
  engine_->broker().uplinks().stop();
  engine_->finish();
  await_quiet();
}

void PartitionServer::await_quiet() {
  const std::int64_t now = base::monotonic_ns();
  const bool with_edges = (edges_.links().all_accepted() && !engine_->broker().has_late()) ||
                          departure_.edges_late(now);
  // What is on its way to a platform is not to be sent again by the successor.
  const bool with_platforms = !engine_->broker().uplinks().busy() || departure_.platforms_late(now);
  if (!engine_->broker().has_uncommitted() && with_edges && with_platforms) {
    engine_->close_store();
    set_state(EngineState::leaving);
    return end();
  }
  const bool stuck = departure_.store_stuck(now, store_ok());
  if (stuck)
    BERTH_LOG(warn, "ending without the store, which takes no writes partition={}", partition_);
  if (stuck || departure_.overdue(now, config_.drain_seconds)) {
    return end();  // the store does not take it: the edges say it again to another engine
  }
  after(std::chrono::milliseconds(1), [this] { await_quiet(); });
}

void PartitionServer::end() {
  if (!departure_.end()) return;
  if (state_ != EngineState::leaving) set_state(EngineState::leaving);
  after(std::chrono::milliseconds(edges_.links().all_sent() ? 0 : 100),
        [this] { events_.ended(); });
}

}  // namespace berth::gateway::cluster
