#include "gateway/cluster/engine_set.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <tuple>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace berth::gateway::cluster {

using protocol::link::Alive;
using protocol::link::EngineState;
using protocol::link::ForwardedWork;
using protocol::link::Hello;
using protocol::link::Setting;
using protocol::link::Settings;
using protocol::link::Status;
using protocol::link::Welcome;

namespace {

using base::kMs;
constexpr std::int64_t kRetryMin = 50 * kMs;
constexpr std::int64_t kRetryMax = 250 * kMs;
constexpr std::int64_t kRetryRefused = 2000 * kMs;
constexpr std::int64_t kFirstNomination = 1000 * kMs;  // a new edge: perhaps one serves already
constexpr std::int64_t kStoreBad = 300 * kMs;          // then an engine that reaches it is asked
constexpr std::uint64_t kPartitionsSince = 3;          // link version
constexpr int kDeathsToSkip = 2;
constexpr std::size_t kSuspectsMax = 1000;
constexpr std::int64_t kTellAgain = 60'000 * kMs;  // of a link that fails for the same reason
constexpr std::int64_t kAskAll = 2000 * kMs;       // the one asked first has not come

constexpr const char* kSuspended = "handed over";

std::string text_of(const EngineSet::Endpoint& e) {
  return e.address().to_string() + ":" + std::to_string(e.port());
}

}  // namespace

int start_connect(const boost::asio::ip::tcp::endpoint& at, std::uint32_t user_timeout_ms) {
  const int fd = socket(at.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
  if (::connect(fd, at.data(), static_cast<socklen_t>(at.size())) == 0 || errno == EINPROGRESS)
    return fd;
  ::close(fd);
  return -1;
}

EngineSet::EngineSet(boost::asio::io_context& io, edge::EdgeShard& edge, EngineSetOptions options)
    : io_(io), edge_(edge), options_(std::move(options)), tick_(io) {
  generation_ = options_.generation;
  edge_.use_engine(nobody_, options_.partition);
}

EngineSet::~EngineSet() {
  tick_.cancel();
  edge_.use_engine(nobody_, options_.partition);
}

void EngineSet::start() {
  started_ns_ = last_tick_ns_ = base::monotonic_ns();
  arm_tick();
}

void EngineSet::use_endpoints(const std::vector<Endpoint>& endpoints) {
  for (auto& c : candidates_) {
    c->listed = std::find(endpoints.begin(), endpoints.end(), c->at) != endpoints.end();
  }
  for (const Endpoint& e : endpoints) {
    const bool known = std::any_of(candidates_.begin(), candidates_.end(),
                                   [&e](const auto& c) { return c->at == e; });
    if (known) continue;
    auto c = std::make_unique<Candidate>();
    c->at = e;
    Candidate& added = *c;
    candidates_.push_back(std::move(c));
    added.link = std::make_unique<link::EdgeLink>(
        io_, edge_,
        link::EdgeLink::Events{
            .ready = [this, &added] { on_ready(added); },
            .heartbeat = [] {},
            .drained = [] {},
            .lost =
                [this, &added] {
                  const std::string& why = added.link->why_lost();
                  const std::string refusal = std::exchange(added.refusal, {});
                  drop(added, !refusal.empty() ? "refused: " + refusal
                              : why.empty()    ? "malformed turn"
                                               : why);
                },
            .samples = [](std::uint64_t, std::string_view) {},
            .welcome = [this, &added](const Welcome& w) { on_welcome(added, w); },
            .status = [this, &added](const Status& s) { on_status(added, s); },
            .refused = [this,
                        &added](std::string_view why) { on_refused(added, std::string(why)); },
            .dying =
                [this, &added](base::ConnId conn) {
                  proven_ = proven_ || &added == current_;
                  edge_.suspect(conn);
                },
            .settings =
                [this, &added](const Settings& s) {
                  if (&added == current_) apply(s);
                },
            .dying_forwarded =
                [this, &added](ForwardedWork w) {
                  proven_ = proven_ || &added == current_;
                  suspect(w);
                },
            .strike =
                [this](std::string_view s) {
                  if (options_.strike) options_.strike(s);
                }});
    connect(added);
  }
}

void EngineSet::connect(Candidate& c) {
  const std::int64_t now = base::monotonic_ns();
  c.retry_after_ns = std::clamp(c.retry_after_ns * 2, kRetryMin, kRetryMax);
  c.retry_at_ns = now + c.retry_after_ns;
  c.welcomed = c.doomed = false;
  c.refusal.clear();
  c.status = Status{};
  SSL* stream = nullptr;
  if (options_.tls != nullptr && (stream = options_.tls->connect()) == nullptr)
    return tell_failure(c, "no certificate of ours: " + options_.tls->error());
  const int fd = start_connect(c.at, options_.heartbeat_ms * options_.missed);
  if (fd < 0) {
    tell_failure(c, std::strerror(errno));
    return SSL_free(stream);
  }
  Hello hello;
  hello.edge_id = options_.edge_id;
  hello.output_cap = options_.output_cap;
  hello.heartbeat_ms = options_.heartbeat_ms;
  hello.generation = ++generation_;
  hello.remote = true;
  hello.internal = options_.internal;
  hello.name = options_.name;
  hello.partition = options_.partition;
  hello.partitions = options_.partitions;
  // An older engine would take an internal edge for one with devices.
  if (options_.partitions > 1 || options_.internal) hello.version_min = kPartitionsSince;
  c.link->open(fd, hello, stream);
}

void EngineSet::on_welcome(Candidate& c, const Welcome& w) {
  for (const auto& [setting, value] : w.settings) {
    if (setting == Setting::packet_max && value >= options_.input_cap) {
      BERTH_LOG(err, "engine's packets do not fit engine={} max_packet={} input_buffer={}",
                text_of(c.at), value, options_.input_cap);
      c.doomed = true;  // not in a call of its link
      return;
    }
  }
  apply(w.settings);
  c.engine_id = w.engine_id;
  c.welcomed = true;
  c.failure.clear();
  c.retry_after_ns = 0;
  BERTH_LOG(info, "linked engine={} version={}", text_of(c.at), w.version);
  for (const auto& [work, deaths] : suspected_) {
    if (deaths >= kDeathsToSkip) c.link->send_skip(work);
  }
  say_alive();
}

void EngineSet::apply(const Settings& settings) {
  for (const auto& [setting, value] : settings) edge_.apply_setting(setting, value);
}

// A message of another partition: two engines have died while they worked on it, a third is told
// to pass it over (I12).
void EngineSet::suspect(ForwardedWork w) {
  auto it = std::find_if(suspected_.begin(), suspected_.end(),
                         [w](const auto& s) { return s.first == w; });
  if (it == suspected_.end()) {
    if (suspected_.size() == kSuspectsMax) suspected_.erase(suspected_.begin());
    it = suspected_.insert(suspected_.end(), {w, 0});
  }
  if (++it->second != kDeathsToSkip) return;
  for (const auto& c : candidates_) {
    if (c->welcomed) c->link->send_skip(w);
  }
}

void EngineSet::on_status(Candidate& c, const Status& s) {
  const EngineState before = std::exchange(c.status, s).state;
  newest_term_ = std::max(newest_term_, s.term);
  if (s.store_ok) {
    c.store_bad_since_ns = 0;
  } else if (c.store_bad_since_ns == 0) {
    c.store_bad_since_ns = base::monotonic_ns();
  }
  if (&c == current_ && s.state != EngineState::serving) {  // it has given the store back
    BERTH_LOG(info, "engine gives the partition up engine={}", text_of(c.at));
    release_current(edge::EngineEnd::planned);
    say_alive();
  } else if (current_ == nullptr && before != s.state) {
    say_alive();
  }
}

void EngineSet::on_ready(Candidate& c) {
  if (leaving_ || !c.welcomed || (current_ != nullptr && c.status.term <= current_term_)) return;
  if (Candidate* before = current_; before != nullptr) {
    release_current(edge::EngineEnd::planned);
    drop(*before, "another engine serves");
  }
  current_ = &c;
  current_term_ = c.status.term;
  lost_ns_ = 0;
  absence_.serves(base::monotonic_ns());
  const bool same = c.status.process != 0 && c.status.process == last_process_;
  if (same) edge_.forgive(options_.partition);  // the link broke, the engine did not die
  const bool died = std::exchange(died_, false) && !same && options_.dead != nullptr;
  if (died && options_.dead->note(last_process_)) edge_.count_engine_death();
  last_process_ = c.status.process;
  edge_.use_engine(*c.link, options_.partition);
  c.link->set_serving(true);
  edge_.engine_ready(options_.partition);
  BERTH_LOG(info, "engine serves us engine={} partition={} term={} connections={}", text_of(c.at),
            options_.partition, current_term_, edge_.open_connections());
  say_alive();
  if (!std::exchange(ever_ready_, true) && options_.first_ready) options_.first_ready();
}

// No engine from here on; what it had written whole has been applied.
void EngineSet::release_current(edge::EngineEnd how, std::int64_t silent_since_ns) {
  Candidate* c = std::exchange(current_, nullptr);
  if (c == nullptr) return;
  c->link->set_serving(false);
  if (std::exchange(proven_, false)) how = edge::EngineEnd::proven;
  died_ = how != edge::EngineEnd::planned;
  edge_.engine_gone(options_.partition, how, silent_since_ns,
                    {"engine " + text_of(c->at), last_process_});
  edge_.use_engine(nobody_, options_.partition);
  lost_ns_ = base::monotonic_ns();
  absence_.ended(lost_ns_);
}

// Of a link that never was: each reason once, and again while it lasts.
void EngineSet::tell_failure(Candidate& c, const std::string& why) {
  const std::int64_t now = base::monotonic_ns();
  if (c.failure == why && now - c.failure_told_ns < kTellAgain) return;
  c.failure = why;
  c.failure_told_ns = now;
  if (options_.partition != 0) return;  // the links of the others fail in the same way
  if (why.starts_with("TLS") || options_.tls != nullptr) {
    BERTH_LOG(warn, "link failed engine={} reason=\"{}\"", text_of(c.at), why);
  } else {
    BERTH_LOG(info, "link failed engine={} reason=\"{}\"", text_of(c.at), why);
  }
}

// It would refuse the next link too, until an operator has corrected a configuration.
void EngineSet::on_refused(Candidate& c, const std::string& why) {
  const std::int64_t now = base::monotonic_ns();
  c.retry_at_ns = now + kRetryRefused;
  c.refusal = why;
  if (options_.partition == 0 && c.refusals.due("", why, now))
    BERTH_LOG(err, "engine refuses us engine={} why=\"{}\"", text_of(c.at), why);
}

void EngineSet::drop(Candidate& c, const std::string& why, std::int64_t silent_since_ns) {
  const bool suspended = why == kSuspended;
  if (c.welcomed) {
    BERTH_LOG(info, "link ended engine={} reason=\"{}\"", text_of(c.at), why);
  } else if (!leaving_ && !suspended) {
    tell_failure(c, why);
  }
  c.welcomed = c.doomed = false;
  c.link->close();
  c.status = Status{};
  if (&c != current_) return;
  release_current(leaving_ ? edge::EngineEnd::planned : edge::EngineEnd::unproven, silent_since_ns);
  say_alive();
}

// -- time

void EngineSet::arm_tick() {
  tick_.expires_after(std::chrono::milliseconds(options_.heartbeat_ms));
  tick_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    tick();
    arm_tick();
  });
}

void EngineSet::tick() {
  const std::int64_t now = base::monotonic_ns();
  const std::int64_t patience = options_.heartbeat_ms * options_.missed * kMs;
  const bool stalled = now - std::exchange(last_tick_ns_, now) > patience / 2;
  for (std::size_t i = 0; i < candidates_.size();) {
    Candidate& c = *candidates_[i];
    if (c.link->is_open()) {
      // After a stall of our own: read first, then judge.
      if (c.doomed || (!stalled && now - c.link->heard_ns() > patience)) {
        drop(c, c.doomed ? "refused" : "silent", c.doomed ? 0 : c.link->heard_ns());
      }
    } else if (!c.listed) {
      candidates_.erase(candidates_.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    } else if (now >= c.retry_at_ns && !leaving_) {
      connect(c);
    }
    ++i;
  }
  say_alive();
}

bool EngineSet::need_engine(std::int64_t now_ns) const {
  if (leaving_) return false;
  if (current_ == nullptr) {
    const std::int64_t since = lost_ns_ != 0 ? lost_ns_ : started_ns_;
    const bool one_comes =
        std::any_of(candidates_.begin(), candidates_.end(), [this](const auto& c) {
          return c->welcomed && c->status.state == EngineState::serving &&
                 c->status.term >= newest_term_;
        });
    if (one_comes && now_ns - since < kAskAll) return false;  // it is about to say "ready"
    return lost_ns_ != 0 || now_ns - started_ns_ > kFirstNomination;
  }
  return current_->store_bad_since_ns != 0 && now_ns - current_->store_bad_since_ns > kStoreBad;
}

// Of those that could serve, whose files are good if there are such, and hold the fewest partitions
// the youngest.
const EngineSet::Candidate* EngineSet::best() const {
  const Candidate* best = nullptr;
  for (const auto& c : candidates_) {
    const bool can =
        c->welcomed && c->status.store_ok && !c->status.ending &&
        (c->status.state == EngineState::standby || c->status.state == EngineState::starting);
    if (!can) continue;
    const auto fitness = [](const Candidate& x) {
      const bool begun = x.status.state == EngineState::starting;  // on the way to be ours
      return std::tuple(!x.status.unfit, begun, ~x.status.held, x.status.started_ms, x.engine_id);
    };
    if (best == nullptr || fitness(*c) > fitness(*best)) best = c.get();
  }
  return best;
}

void EngineSet::say_alive() {
  const std::int64_t now = base::monotonic_ns();
  const bool need = need_engine(now);
  const bool ask_all = need && lost_ns_ != 0 && now - lost_ns_ > kAskAll;
  const Candidate* chosen = need ? best() : nullptr;
  for (const auto& c : candidates_) {
    if (!c->welcomed) continue;
    c->link->send_alive({.serving_term = current_ == nullptr ? 0 : current_term_,
                         .lost_term = newest_term_,
                         .nominate = c.get() == chosen || (ask_all && c.get() != current_)});
    if (!options_.internal) c->link->send_admits(edge_.admits_per_s());
  }
}

void EngineSet::tell_strike(std::string_view strike) {
  for (const auto& c : candidates_) {
    if (c->welcomed) c->link->send_strike(strike);
  }
}

void EngineSet::suspend() {
  tick_.cancel();
  release_current(edge::EngineEnd::planned);
  for (auto& c : candidates_) drop(*c, kSuspended);
}

void EngineSet::leave() {
  leaving_ = true;
  if (current_ != nullptr) current_->link->send_empty(protocol::link::FrameType::goodbye);
  for (auto& c : candidates_) c->link->close();
}

std::vector<EngineSet::EngineInfo> EngineSet::engines() const {
  std::vector<EngineInfo> out;
  for (const auto& c : candidates_) {
    out.push_back({.address = text_of(c->at),
                   .state = c->welcomed ? name_of(c->status.state) : "connecting",
                   .term = c->status.term,
                   .current = c.get() == current_,
                   .failure = c->welcomed ? "" : c->failure,
                   .status = c->status});
  }
  return out;
}

}  // namespace berth::gateway::cluster
