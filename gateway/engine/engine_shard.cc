#include "gateway/engine/engine_shard.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_event.h"
#include "gateway/engine/log_level_question.h"
#include "gateway/link/principal_id.h"

namespace berth::gateway::engine {

namespace {

constexpr std::int64_t kClockKept_s = 5;  // while messages are stored
constexpr std::int64_t kClockKeptIdle_s = 60;

std::uint64_t monotonic_us() {
  return static_cast<std::uint64_t>(base::monotonic_ns()) / 1000;
}

}  // namespace

EngineShard::EngineShard(ShardParts parts)
    : io_(parts.io),
      edge_(parts.edge),
      access_(std::move(parts.access)),
      probe_(parts.probe),
      clock_(std::move(parts.clock)),
      broker_(std::move(parts.options), *this, access_.get(), probe_),
      commits_(io_),
      platform_(io_, broker_, answerer_, parts.registry,
                {[this] { return now(); }, [this] { turn_end(); }, [this] { post_turn(); },
                 record_reader()},
                parts.platform),
      reviews_(io_, broker_, parts.registry, parts.keep_unregistered_s,
               {[this] { return now(); }, [this] { turn_end(); },
                [this] { platform().registry_complete(now()); }}),
      tick_(io_),
      make_beside_(std::move(parts.beside)) {
  if (parts.registry != nullptr) {
    messages_ = std::make_unique<DeviceMessages>(*parts.registry);
    broker_.use_registry(*parts.registry);
    broker_.use_messages(*messages_);
    messages_->on_firmware([this](const session::Scope& who, std::string_view firmware) {
      platform().devices().reports_firmware(who.who(), firmware);
    });
    messages_->on_state([this](const session::Scope& who, platform::StateReport r) {
      platform().devices().reports_state(who.who(), who.site(), std::move(r));
    });
    answerer_.use(protocol::link::AskKind::watch_reports,
                  [this](const protocol::link::Question& q, const link::Answered& a) {
                    auto said = messages_->watch(q.bytes);
                    if (!said) return a({protocol::link::AskError::too_many, {}});
                    a({protocol::link::AskError::none, std::move(*said)});
                  });
    if (parts.platform.traces != nullptr)
      messages_->trace(*parts.platform.traces,
                       [this](platform::TracedReport r) { platform().report_taken(std::move(r)); });
    messages_->use_firmwares([this](std::string_view tenant, std::string_view device) {
      return std::string(platform().devices().firmware_of(tenant, device));
    });
  }
  answerer_.use(protocol::link::AskKind::sessions,
                [this](const protocol::link::Question& q, const link::Answered& a) {
                  answer_about_sessions(q.bytes, a);
                });
  answerer_.use(protocol::link::AskKind::trace,
                [this](const protocol::link::Question& q, const link::Answered& a) {
                  a({protocol::link::AskError::none, inspection_.traces.ask(q.bytes, now())});
                });
  answerer_.use(protocol::link::AskKind::log_level,
                [](const protocol::link::Question& q, const link::Answered& a) {
                  set_log_level(q.bytes);
                  a({protocol::link::AskError::none, {}});
                });
  if (parts.authenticator) authenticator_ = parts.authenticator(poster());
  if (parts.store) commits_.use(parts.store(*this, poster()));
}

void EngineShard::answer_about_sessions(const std::string& question,
                                        const link::Answered& answered) {
  using protocol::link::AskError;
  auto said = inspection_.sessions.ask(question, now(), platform().may_confirm());
  if (said.refused) return answered({AskError::too_many, {}});
  if (!said.changed) return answered({AskError::none, std::move(said.answer)});
  platform().begin(now());
  platform().when_confirmed([answered, bytes = std::move(said.answer)] {
    answered({AskError::none, bytes});
  });
  post_turn();
}

std::unique_ptr<EngineShard> EngineShard::restored(ShardParts parts) {
  auto engine = std::make_unique<EngineShard>(std::move(parts));
  engine->restore();
  return engine;
}

EngineShard::~EngineShard() {
  close_store();
}

ShardParts::Poster EngineShard::poster() {
  return [&io = io_, alive = alive()](std::function<void()> f) {
    boost::asio::post(io, [alive, f = std::move(f)] {
      if (!alive.expired()) f();
    });
  };
}

platform::Platform::Read EngineShard::record_reader() {
  return [this](session::RecordRange range, session::Store::RecordsDone done) {
    commits_.store()->read_records(std::move(range), [this, done = std::move(done)](auto found) {
      done(std::move(found));
      turn_end();
    });
  };
}

void EngineShard::restore() {
  const std::int64_t start = base::monotonic_ns();
  commits_.store()->restore(broker_.restore_sink());
  probe_.restore_ms = static_cast<std::uint64_t>((base::monotonic_ns() - start) / 1'000'000);
  probe_.store_up = 1;
  BERTH_LOG(info, "restored sessions={} ms={}", broker_.session_count(), probe_.restore_ms);
}

// -- the clock

// Deadlines of the store go on from where the engine before us was.
void EngineShard::begin_clock() {
  if (const auto stored = base::WallClock::Reference::decode(broker_.stored_clock()))
    on_jump(clock_.go_on(*stored));
  broker_.use_clocks(clock_.clocks());
}

base::Instant EngineShard::now() {
  const base::Instant t = clock_.now();
  if (const auto jump = clock_.take_jump()) {
    on_jump(*jump);
    broker_.keep_clock(clock_.reference().encode());  // the next engine may see no jump
  }
  if (clock_.changed()) broker_.use_clocks(clock_.clocks());
  return inspection_.at = t;
}

void EngineShard::on_jump(const base::WallClock::Jump& j) {
  if (j.by_ms == 0) return;
  ++(j.by_ms > 0 ? probe_.clock_forward : probe_.clock_back);
  BERTH_LOG(warn,
            "wall clock jumped by_ms={} elapsed={} sessions=\"keep their time\" messages=\"{}\"",
            j.by_ms, j.unknown ? "unknown" : "known",
            j.by_ms > 0 || j.unknown ? "those with an expiry may be dropped" : "keep their expiry");
}

// Now and then with what is written anyway, seldom without.
void EngineShard::keep_clock() {
  if (commits_.under_way()) return;  // what waits does not become more
  const std::int64_t at = base::monotonic_ns();
  const std::int64_t age_s = (at - clock_kept_.at_ns) / 1'000'000'000;
  const bool busy = probe_.commits != clock_kept_.commits;
  if (clock_kept_.at_ns != 0 && !(busy && age_s >= kClockKept_s) && age_s < kClockKeptIdle_s)
    return;
  broker_.keep_clock(clock_.reference().encode());
  clock_kept_ = {at, probe_.commits + 1};  // its own commit is none
}

void EngineShard::serve(Serving how) {
  serving_ = std::move(how);
  work().use_word(serving_.poison_word);
  work().use_progress(serving_.progress);
  begin_clock();
  if (make_beside_) beside_ = make_beside_(*this);
  arm_tick();
}

void EngineShard::arm_tick() {
  tick_.expires_after(std::chrono::seconds(1));
  tick_.async_wait([this, alive = alive()](boost::system::error_code ec) {
    if (ec || alive.expired()) return;
    const auto late = std::chrono::steady_clock::now() - tick_.expiry();
    probe_.engine_lag.observe_ns(std::chrono::nanoseconds(late).count());
    begin_timing();
    base::log_tick(base::monotonic_ns() / 1'000'000);
    broker_.tick(now());
    platform_.tick();
    inspection_.traces.tick(inspection_.at);
    keep_clock();
    turn_end();
    arm_tick();
  });
}

void EngineShard::attach(const protocol::link::Attach& a) {
  broker_.attach(a, now());
}

void EngineShard::attached_all() {
  broker_.attached_all(now());
  platform_.attached_all();
  keep_clock();  // before anything is stored by it
  if (access_ || reviews_.knows_users())
    review_access();  // they may have changed while nobody served
  reviews_.all_when_fresh();
}

void EngineShard::use_access(std::unique_ptr<session::AccessPolicy> access) {
  broker_.use_access(access.get());
  access_ = std::move(access);
}

void EngineShard::use_passwords(PasswordFile users, IsUser is_user) {
  authenticator_->use_passwords(std::move(users));
  reviews_.use_users(std::move(is_user));
}

std::size_t EngineShard::input(base::ConnId conn, std::uint64_t, std::uint64_t in_ack,
                               base::ByteView bytes) {
  const base::Instant at = now();
  broker_.edge_acked(conn, in_ack);
  if (serving_.on_input) serving_.on_input(at);
  if (!timed_) begin_timing();
  const bool traced = !inspection_.traces.idle();
  if (traced) inspection_.traces.input_begins();
  const std::size_t used = broker_.input(conn, bytes, at);
  if (traced) inspection_.traces.in(conn, bytes.first(used), at);
  return used;
}

// One look at the clock a turn.
void EngineShard::begin_timing() {
  timed_ = true;
  broker_.times().now_is(monotonic_us());
}

void EngineShard::closed(base::ConnId conn, protocol::link::CloseReason cause) {
  if (authenticator_) authenticator_->closed(conn);
  if (!inspection_.traces.idle()) inspection_.traces.closed(conn, cause, now());
  broker_.closed(conn, cause);
}

void EngineShard::credit(base::ConnId conn, std::uint64_t) {
  broker_.writable(conn, now());
}

void EngineShard::told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) {
  broker_.told(conn, tag, fate, now());
}

void EngineShard::pending(base::ConnId conn, std::uint64_t tag) {
  broker_.pending(conn, tag);
}

bool EngineShard::send_until(base::ConnId conn, std::string_view head, std::string_view tail,
                             const protocol::link::Deadline& d) {
  if (deadline_clock() > d.not_after) {
    ++probe_.drop_deadline;
    return false;
  }
  if (d.watch && !edge_.watches(conn)) return false;
  work().count();
  if (!inspection_.traces.idle()) inspection_.traces.out(conn, head, tail, inspection_.at);
  edge_.send_until(conn, head, tail, d);
  return true;
}

void EngineShard::kept_out(const std::vector<protocol::link::KeptOut>& list) {
  kept_out_.add(list, base::monotonic_ns() / 1'000'000'000);
}

session::Effects::Standing EngineShard::standing_of(std::string_view principal_key,
                                                    std::string_view tenant,
                                                    protocol::link::EdgeSettings& out) {
  using protocol::link::PrincipalId;
  out.principal = link::keyed_principal_id(principal_key);
  out.tenant = tenant.empty() ? 0 : link::keyed_principal_id(tenant).low;
  const std::int64_t now_s = base::monotonic_ns() / 1'000'000'000;
  if (kept_out_.has(out.principal, now_s)) return Standing::banned;
  if (out.tenant != 0 && !kept_out_.may_pass(PrincipalId::of_tenant(out.tenant), now_s))
    return Standing::slow_down;
  return Standing::good;
}

void EngineShard::accepted(std::uint32_t link, std::uint64_t turn) {
  again_ = broker_.accepted(link, turn, now()) || again_;
}

void EngineShard::edge_attached(std::uint32_t link, std::function<void()> done) {
  broker_.edge_attached(link, now(), std::move(done));
  reviews_.all_when_fresh();
}

void EngineShard::edge_lost(std::uint32_t link) {
  broker_.edge_lost(link, now());
  turn_end();
}

void EngineShard::edge_gone(std::uint32_t link) {
  broker_.edge_gone(link, now());
  turn_end();
}

void EngineShard::release(base::ConnId conn) {
  edge_.release(conn);
}

void EngineShard::turn_end() {
  if (std::exchange(in_turn_end_, true)) return;  // flush() may bring new events of the edge
  again_ = false;
  broker_.begin_turn();
  for (std::size_t n = resume_.size(); n != 0 && !broker_.turn_spent(); --n) {
    const base::ConnId conn = resume_.pop();
    broker_.rested(conn);
    edge_.reoffer(conn);
  }
  broker_.end_turn(now());
  platform_.end_turn();
  edge_.flush();  // before the commit: what a write undoes (a will's intent) must be on its way
                  // first
  commit();
  if (broker_.times().any_acknowledged()) broker_.times().turn_ended(monotonic_us());
  timed_ = false;
  in_turn_end_ = false;
  const bool again = std::exchange(again_, false) || !resume_.empty() || broker_.has_work();
  if (again || (!commits_.under_way() && broker_.wants_commit())) post_turn();
  if (drained_) check_drained();
}

void EngineShard::post_turn() {
  if (std::exchange(posted_, true)) return;
  boost::asio::post(io_, [this, alive = alive()] {
    if (alive.expired()) return;
    posted_ = false;
    turn_end();
  });
}

// One batch under way at a time; what comes meanwhile is the next batch.
void EngineShard::commit() {
  if (commits_.under_way()) return;
  std::shared_ptr<const session::Batch> batch = broker_.seal();
  if (!batch) return commit_later();
  commits_.begin(std::move(batch), [this](const session::CommitResult& r) { on_committed(r); });
}

// For what was written without a hurry, if there is any.
void EngineShard::commit_later() {
  if (!broker_.has_uncommitted() || !commits_.put_off()) return;
  commits_.later(alive(), [this] { finish(); });
}

void EngineShard::on_committed(const session::CommitResult& result) {
  probe_.commit.observe_ns(commits_.ended());
  begin_timing();
  broker_.committed(result, now());
  turn_end();
}

void EngineShard::forwarded_begins(std::string_view topic) {
  if (serving_.on_forwarded) serving_.on_forwarded(topic);
}

void EngineShard::authenticate(base::ConnId conn, session::AuthRequest request) {
  const std::shared_ptr<bool> later =
      std::make_shared<bool>(false);  // outlives this call if not answered in it
  const std::int64_t asked_ns = base::monotonic_ns();
  const auto answer = [this, conn, later, asked_ns](session::AuthResult result) {
    probe_.authentication.observe_ns(base::monotonic_ns() - asked_ns);
    broker_.authenticated(conn, std::move(result), now());
    if (*later) turn_end();
  };
  authenticator_->check(std::move(request), answer, conn);
  *later = true;
}

void EngineShard::load_queue(base::SessionId session, std::uint64_t from, std::size_t count,
                             std::size_t bytes, std::uint64_t ticket) {
  commits_.store()->read_queue(
      session, from, count, bytes,
      [this, session, ticket](base::result<std::vector<session::StoredEntry>> entries) {
        broker_.queue_loaded(session, ticket, std::move(entries), now());
        turn_end();
      });
}

void EngineShard::drain(std::function<void()> done) {
  drained_ = std::move(done);
  broker_.drain(now());
  finish();
}

void EngineShard::finish() {
  broker_.hurry();
  turn_end();
}

void EngineShard::check_drained() {
  if (broker_.channel_count() != 0 || commits_.under_way() || broker_.has_uncommitted()) return;
  if (broker_.has_work()) return;
  auto done = std::exchange(drained_, nullptr);
  boost::asio::post(io_, std::move(done));
}

void EngineShard::close_store() {
  tick_.cancel();
  platform_.close();
  authenticator_.reset();
  if (commits_.store() != nullptr) commits_.store()->close();
}

void EngineShard::refresh_gauges() {
  broker_.refresh_gauges();
  platform().devices().refresh(probe_);
  probe_.store_up = commits_.healthy() ? 1 : 0;
  probe_.commit_failures = commits_.failures();
  if (commits_.store() != nullptr) probe_.redis_round_trip = commits_.store()->round_trips();
}

}  // namespace berth::gateway::engine
