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

constexpr std::int64_t kMs = 1'000'000;
constexpr std::uint32_t kWatchTimeout_ms = 500;
constexpr std::int64_t kCommitSlow_ms = 600;  // then the store counts as out of reach
constexpr std::int64_t kReadyAlone = 5000 * kMs;
constexpr std::int64_t kTakeAgain = 300 * kMs;
constexpr std::int64_t kSuccessorWait = 5000 * kMs;  // for a standby to have read everything
constexpr std::int64_t kOthersWait = 200 * kMs;      // when one has: for those that are younger
constexpr std::int64_t kStoreStuck = 3000 * kMs;     // of a leaving engine's store without a write
constexpr std::int64_t kAcceptedWait = 500 * kMs;    // a leaving engine waits for edges to catch up
constexpr std::size_t kMissingTextMax = 500;

Config of_partition(Config config, std::uint32_t partition) {
  if (config.cluster.partitions > 1) config.redis_partition = "p" + std::to_string(partition) + ":";
  config.broker.partition = partition;
  config.broker.partitions = config.cluster.partitions;
  return config;
}

// "edge a/0, edge b/1 and 3 more"
std::string text_of_missing(const std::vector<session::RedisEdge>& known, const EdgeRoster& here) {
  std::string text;
  std::size_t more = 0;
  for (const session::RedisEdge& e : known) {
    if (here.is_linked(e.id)) continue;
    if (text.size() > kMissingTextMax) {
      ++more;
      continue;
    }
    text += fmt::format("{}edge {}", text.empty() ? "" : ", ", base::LogName{e.name});
  }
  return more == 0 ? text : text + fmt::format(" and {} more", more);
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
      wait_(io_),
      poison_(poison),
      progress_(progress),
      logins_(config_.store_url.empty() ? nullptr
                                        : std::make_unique<LoginKeeper>(redis_options(config_))),
      taker_({.io = io_,
              .config = config_,
              .options = broker_options(config_, {}, true),
              .edge = links_,
              .registry = process.registry,
              .logins = logins_ ? logins_->memory() : nullptr,
              .load_logins = logins_ ? [this] { logins_->load(); } : std::function<void()>(),
              .store_lost =
                  [this, alive = std::weak_ptr<bool>(alive_)] {
                    if (!alive.expired()) on_fenced();
                  }}),
      began_ns_(base::monotonic_ns()) {}

PartitionServer::~PartitionServer() {
  for (const auto& e : edges_) {
    e->server = nullptr;
    e->lost = true;
  }
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
  store_seen_ = true;
  store_ok_ = v.reachable;
  lease_free_ = v.reachable && v.lease.holder.empty();
  if (v.reachable) newest_term_ = std::max(newest_term_, v.lease.number);
  reach_ = v.lease.reach;
  if (v.reachable) known_edges_ = v.lease.edges;
  warmed_ = v.lease.warm == warming_ ? v.lease.warmed : 0;
  if (state_ != EngineState::standby) return;
  taker_.follow(leaving_ ? "" : v.lease.warm, engine_id_);
  consider();
}

void PartitionServer::consider() {
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

void PartitionServer::start_serving(std::uint64_t take_from) {
  set_state(EngineState::starting);
  StoreClaim claim{.owner = engine_id_, .take_from = take_from, .floor = newest_term_};
  BERTH_LOG(info, "taking the store partition={} from={}", partition_, take_from);
  taker_.take(claim, [this, alive = std::weak_ptr<bool>(alive_)](StoreTaker::Taken t) {
    if (alive.expired()) return;
    if (t.engine) {
      claim_ = t.claim;
      probe_ = std::move(t.probe);
      serve(std::move(t.engine));
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
  if (leaving_) return end();
  if (fenced_) return events_.fenced();
  not_before_ns_ = base::monotonic_ns() + kTakeAgain;
  set_state(EngineState::standby);
}

void PartitionServer::serve(std::unique_ptr<engine::EngineShard> engine) {
  engine_ = std::move(engine);
  if (fenced_) return events_.fenced();
  if (claim_.number != 0) newest_term_ = std::max(newest_term_, claim_.number);
  term_ = claim_.number != 0 ? claim_.number : static_cast<std::uint64_t>(base::now().ms);
  engine_->serve({.poison_word = &poison_,
                  .progress = &progress_,
                  .on_input =
                      [this](base::Instant now) {
                        if (now.ms - told_.ms > config_.heartbeat_ms) process_.beat_all();
                      },
                  .on_forwarded = engine::fault_of_forwarded()});
  for (const auto& w : skips_) engine_->broker().skip_forwarded(w);
  set_state(EngineState::serving);
  if (leaving_) return hand_over();
  BERTH_LOG(info, "serving partition={} term={} sessions={} edges={}", partition_, term_,
            engine_->broker().session_count(), roster_.linked());
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    if (roster_[i].linked) admit(i);
  }
  after(std::chrono::milliseconds(config_.cluster.gather_ms), [this] { gathered(); });
  check_gathered();
}

void PartitionServer::on_fenced() {
  if (std::exchange(fenced_, true)) return;
  BERTH_LOG(warn, "another engine has the store: standby again partition={}", partition_);
  events_.stops();
  if (engine_) events_.fenced();  // else when the taking has ended
}

// -- what edges are told

bool PartitionServer::store_ok() const {
  if (!engine_ || state_ != EngineState::serving) return store_ok_;
  return store_ok_ && engine_->commits().healthy() && engine_->commits().age_ms() < kCommitSlow_ms;
}

protocol::link::Status PartitionServer::status() const {
  return {.state = state_,
          .term = term(),
          .started_ms = process_.started_ms,
          // Whether this engine reaches the store, not whether the store takes writes: where
          // replicas are missing no other engine would do better.
          .store_ok = store_ok_,
          .process = process_.id,
          .held = process_.held(),
          .ending = process_.ending,
          .unfit = !process_.unfit.empty()};
}

std::uint32_t PartitionServer::link_patience_ms() const {
  return config_.heartbeat_ms * config_.cluster.heartbeats_missed;
}

// Every partition's edges hear how many this engine holds.
void PartitionServer::set_state(EngineState s) {
  state_ = s;
  process_.beat_all();
}

void PartitionServer::tell_status() {
  told_ = engine_ ? engine_->now() : base::Instant{};
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    if (link::EngineLink* l = links_.find(i)) l->send_status(status());
  }
}

void PartitionServer::tell_strike(std::string_view strike) {
  for (std::uint32_t i = 0; i < links_.size(); ++i) {
    if (link::EngineLink* l = links_.find(i)) l->send_strike(strike);
  }
}

void PartitionServer::last_words(std::uint64_t work) {
  using protocol::link::ForwardedWork;
  using protocol::link::FrameType;
  if (!ForwardedWork::is(work)) {
    const auto conn = base::ConnId::from_packed(work);
    if (link::EngineLink* l = links_.find(conn.link()))
      l->last_words(FrameType::dying, conn.local().packed());
    return;
  }
  for (std::uint32_t i = 0; i < links_.size(); ++i) {  // no one edge's: all know it
    if (link::EngineLink* l = links_.find(i)) l->last_words(FrameType::dying_forwarded, work);
  }
}

void PartitionServer::beat() {
  const std::int64_t now = base::monotonic_ns();
  const std::int64_t patience = std::int64_t{link_patience_ms()} * kMs;
  const bool stalled =
      last_beat_ns_ != 0 && now - last_beat_ns_ > patience / 2;  // read first, then judge
  last_beat_ns_ = now;
  tell_status();
  tell_admissions();
  tell_roster();
  if (!stalled) drop_silent(now);
  const std::int64_t grace = std::int64_t{config_.cluster.edge_grace_s} * 1000 * kMs;
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    const EdgeRoster::Entry& e = roster_[i];
    if (e.used && !e.linked && now - e.lost_ns > grace) give_up(i);
  }
  if (logins_ && state_ == EngineState::serving) logins_->beat();
  if (state_ == EngineState::standby) consider();
}

std::size_t PartitionServer::edges_missing() const {
  if (state_ == EngineState::serving) return 0;
  return static_cast<std::size_t>(
      std::count_if(known_edges_.begin(), known_edges_.end(),
                    [this](const session::RedisEdge& e) { return !roster_.is_linked(e.id); }));
}

std::string PartitionServer::why_not_ready() const {
  if (leaving_ && !process_.ending) return {};  // it gives the partition to another engine
  if (leaving_) return "it is leaving";
  const std::string trouble = store_trouble(redis_options(config_).slot_key);
  const std::string no_store = trouble.empty() ? "" : "the store can't be used: " + trouble;
  if (state_ == EngineState::serving) return no_store;  // its files may be bad by now
  if (!process_.unfit.empty()) return process_.unfit;
  if (state_ != EngineState::standby) return "it is taking the store";
  if (!no_store.empty()) return no_store;
  if (!store_ok_) return "the store has not answered yet";
  if (edges_missing() != 0) return "not linked to " + text_of_missing(known_edges_, roster_);
  const bool waited = base::monotonic_ns() - began_ns_ > kReadyAlone;
  return roster_.linked() != 0 || waited ? "" : "no edge is linked";
}

metrics::EngineProbe PartitionServer::figures() {
  metrics::EngineProbe p;
  if (engine_) {
    engine_->refresh_gauges();
    p = *probe_;
  }
  p.store_up = !store_seen_ || store_ok() ? 1 : 0;  // before the first answer nothing is known
  p.serving = state_ == EngineState::serving ? 1 : 0;
  p.term = term();
  p.edges = roster_.linked();
  p.edges_limbo = roster_.out_of_reach();
  p.edge_links_lost = links_lost_;
  p.edges_gone = edges_gone_;
  return p;
}

// -- the end

void PartitionServer::leave() {
  if (!std::exchange(leaving_, true)) {
    BERTH_LOG(info, "leaving partition={} state={}", partition_, name_of(state_));
    if (state_ == EngineState::serving && watch_) {
      warming_ = std::to_string(engine_id_);
      watch_->begin_warming(warming_);
      successor_by_ns_ = base::monotonic_ns() + kSuccessorWait;
      edges_by_ns_ = base::monotonic_ns() + std::int64_t{config_.cluster.edge_grace_s} * 1000 * kMs;
      return await_successor();
    }
  }
  hand_over();
}

// While a successor reads everything we serve on; and while an edge is out of reach, whose sessions
// only we know: a successor would wait for it with everybody's input.
void PartitionServer::await_successor() {
  const std::int64_t now = base::monotonic_ns();
  if (warmed_ != 0) successor_by_ns_ = std::min(successor_by_ns_, now + kOthersWait);
  const bool edges_here = roster_.out_of_reach() == 0 || now >= edges_by_ns_;
  if (!store_ok_ || roster_.linked() == 0 || (now >= successor_by_ns_ && edges_here))
    return hand_over();
  after(std::chrono::milliseconds(20), [this] { await_successor(); });
}

void PartitionServer::hand_over() {
  leave_by_ns_ = base::monotonic_ns() + kAcceptedWait;
  if (state_ == EngineState::starting) return;  // serve() or not_taken() comes back here
  if (state_ != EngineState::serving) return end();
  events_.stops();
  for (std::uint32_t i = 0; i < links_.size(); ++i) {
    if (link::EngineLink* l = links_.find(i)) l->stop_input();
  }
  engine_->turn_end();
  await_quiet();
}

void PartitionServer::await_quiet() {
  const bool late = base::monotonic_ns() > leave_by_ns_;
  const bool with_edges = (links_.all_accepted() && !engine_->broker().has_late()) || late;
  if (!engine_->broker().has_uncommitted() && with_edges) {
    engine_->close_store();
    set_state(EngineState::leaving);
    return end();
  }
  const std::int64_t now = base::monotonic_ns();
  if (store_ok())
    store_bad_since_ns_ = 0;
  else if (store_bad_since_ns_ == 0)
    store_bad_since_ns_ = now;
  const bool stuck = store_bad_since_ns_ != 0 && now - store_bad_since_ns_ > kStoreStuck;
  if (stuck)
    BERTH_LOG(warn, "ending without the store, which takes no writes partition={}", partition_);
  if (stuck || now > leave_by_ns_ + std::int64_t{config_.drain_seconds} * 1000 * kMs) {
    return end();  // the store does not take it: the edges say it again to another engine
  }
  after(std::chrono::milliseconds(1), [this] { await_quiet(); });
}

void PartitionServer::end() {
  if (std::exchange(ended_, true)) return;
  if (state_ != EngineState::leaving) set_state(EngineState::leaving);
  after(std::chrono::milliseconds(links_.all_sent() ? 0 : 100), [this] { events_.ended(); });
}

}  // namespace berth::gateway::cluster
