// An edge, a store and a mortal engine in one deterministic box: the Broker with everything around
// it simulated. Each boundary at which a real engine can die (after an input, after a commit,
// before and after a step is accepted) is numbered; the World kills the engine at the chosen one,
// starts a new one from the store and the edge's cookies, and replays. Or it breaks the link to one
// edge there: what that edge has not accepted is lost, the engine goes on, the edge comes back.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/wall_clock.h"
#include "front/broker.h"
#include "store/memory_store.h"
#include "tests/support/wire.h"

namespace berth::test {

class World : public session::Effects {
 public:
  // `breaks`: the link that breaks at boundary `crash_at`; -1: the engine dies.
  explicit World(session::BrokerOptions options = {}, int crash_at = -1, int breaks = -1)
      : options_(options),
        crash_at_(crash_at),
        breaks_(breaks),
        store_([this](std::function<void()> f) { posted_.push_back(std::move(f)); }) {
    options_.edge_ids = {77, 78};
    options_.replay = true;
    if (options_.partitions > 1) options_.internal_edges = {78};
    options_.sys_interval_s = 0;
    start_engine();
  }

  // A device comes to edge shard `link`.
  int open(std::uint32_t link = 0) {
    conns_.emplace_back();
    conns_.back().id = base::ConnId{static_cast<std::uint32_t>(conns_.size() - 1), 1}.on_link(link);
    return static_cast<int>(conns_.size() - 1);
  }
  void comes_from(int c, const base::Address& a) { conns_[static_cast<std::size_t>(c)].peer = a; }
  // The device sends bytes.
  void feed(int c, std::string_view bytes) {
    Conn& k = conns_[static_cast<std::size_t>(c)];
    k.in.append(bytes);
    if (reachable(k.id)) deliver(k);
    settle();
  }
  // Both before the engine has a turn.
  void send_and_close(int c, std::string_view bytes) {
    Conn& k = conns_[static_cast<std::size_t>(c)];
    k.in.append(bytes);
    if (reachable(k.id)) deliver(k);
    end(k, protocol::link::CloseReason::client);
    settle();
  }
  // The device (or, with another reason, the edge) ends the connection.
  void close(int c, protocol::link::CloseReason why = protocol::link::CloseReason::client) {
    Conn& k = conns_[static_cast<std::size_t>(c)];
    end(k, why);
    settle();
  }
  // `c` says something and is ended; another connection says something before the engine has a
  // turn.
  void close_and_feed(int c, protocol::link::CloseReason why, int other, std::string_view bytes,
                      std::string_view last = {}) {
    Conn& k = conns_[static_cast<std::size_t>(c)];
    k.in.append(last);
    if (!last.empty()) deliver(k);
    end(k, why);
    feed(other, bytes);
  }
  int open_connected(const ConnectOptions& o, std::uint32_t link = 0) {
    const int c = open(link);
    feed(c, connect(o));
    return c;
  }
  // As `serve --single-process`: no edge survives the engine. Before anybody connects.
  void single_process() {
    options_.replay = false;
    start_engine();
  }
  // Called when each turn has ended.
  void each_turn(std::function<void()> f) { each_turn_ = std::move(f); }
  std::string take_bytes(int c) {
    return std::exchange(conns_[static_cast<std::size_t>(c)].out, {});
  }
  // Called with each new engine.
  void on_engine(std::function<void()> f) { on_engine_ = std::move(f); }
  // The same, before it restores its store.
  void on_broker(std::function<void()> f) {
    on_broker_ = std::move(f);
    start_engine();
  }
  session::Store& store() { return store_; }
  // The same, when it has restored its store and serves nobody yet.
  void before_serving(std::function<void()> f) { before_serving_ = std::move(f); }
  // The engine dies when its next commit is done and it has not heard of it.
  void crash_when_committed() { crash_committed_ = true; }
  // Else everybody may come in, without a Scope.
  void on_login(std::function<session::AuthResult(const session::AuthRequest&)> f) {
    on_login_ = std::move(f);
  }
  // From the beginning of each engine on, as a shell sets it.
  void use_access(const session::AccessPolicy& a) {
    access_ = &a;
    broker_->use_access(&a);
  }
  void use_registry(const session::Principals& r) {
    registry_ = &r;
    broker_->use_registry(r);
  }
  void run() { settle(); }
  // The edge drops, unsent, the packet of the delivery with this sequence number.
  void drop(int c, std::uint64_t seq) {
    Conn& k = conns_[static_cast<std::size_t>(c)];
    k.dropped.push_back(seq);
    if (k.attached && reachable(k.id) && !hold_inputs_)
      broker_->told(k.id, seq, protocol::link::Fate::dropped, now_);
    settle();
  }
  // Of drop(), what no engine has said to be durable.
  std::size_t dropped_untaken(int c) const {
    return conns_[static_cast<std::size_t>(c)].dropped.size();
  }
  std::uint64_t working_for() { return work().word(); }
  std::vector<Packet> packets(int c) {
    return take_packets(conns_[static_cast<std::size_t>(c)].out);
  }
  bool ended(int c) const { return conns_[static_cast<std::size_t>(c)].ended; }
  protocol::link::CloseReason reason(int c) const {
    return conns_[static_cast<std::size_t>(c)].reason;
  }
  void advance_s(int s) {
    pass_s(s);
    broker_->tick(now_);
    settle();
  }
  void pass_s(int s) {  // without a tick
    clocks_.wall_ms += std::int64_t{1000} * s;
    clocks_.boot_ms += std::int64_t{1000} * s;
    read_clock();
  }
  // The machine's wall clock is set. Before anything else: it is so from the beginning.
  void set_wall(std::int64_t ms) {
    clocks_.wall_ms = ms;
    read_clock();
  }
  void begin_with_wall(std::int64_t ms) {
    clocks_.wall_ms = ms;
    start_engine();
  }
  // As a shell does it now and then.
  void keep_clock() {
    broker_->keep_clock(clock_->reference().encode());
    settle();
  }
  std::int64_t wall() const { return clocks_.wall_ms; }
  const std::vector<base::WallClock::Jump>& jumps() const { return jumps_; }
  // Power is cut; `wall`: what the clock says when it is back.
  void reboot(std::uint64_t new_edge_id, std::int64_t wall) {
    clocks_ = {wall, 5000};
    ++boot_;
    restart_all(new_edge_id);
  }
  void set_writable(int c, bool w) {
    Conn& k = conns_[static_cast<std::size_t>(c)];
    k.writable = w;
    if (w) broker_->writable(k.id, now_);
    settle();
  }
  void hold_commits(bool hold) {
    hold_ = hold;
    if (!hold) settle();
  }
  // Batches that were committed at once; others might have waited for what comes next.
  int hurried_batches() const { return hurried_batches_; }
  // Bytes of the largest batch that has been committed.
  std::size_t largest_batch() const { return largest_batch_; }
  void crash() {
    crash_now_ = true;
    settle();
  }
  // From now on, until join() or gone().
  void lose(std::uint32_t link) {
    away_[link] = kLost;
    keep_away_ = true;
    settle();
  }
  void join(std::uint32_t link) {
    rejoin(link);
    keep_away_ = false;
    settle();
  }
  void gone(std::uint32_t link) {
    broker_->edge_gone(link, now_);
    away_[link] = kGone;
    settle();
  }
  // As after a kill -9 of the whole gateway: connections are gone, the store stays.
  void restart_all(std::uint64_t new_edge_id) {
    for (Conn& k : conns_) k.ended = k.released = true;
    options_.edge_ids = {new_edge_id, new_edge_id + 1};
    if (options_.partitions > 1) options_.internal_edges = {new_edge_id + 1};
    crash();
  }
  // Bytes of cookies said to this connection's edge since watch_cookies(), and kept there now.
  void watch_cookies() {
    for (Conn& k : conns_) k.cookie_bytes = 0;
  }
  std::size_t cookie_bytes(int c) const { return conns_[static_cast<std::size_t>(c)].cookie_bytes; }
  std::size_t cookie_size(int c) const {
    std::size_t n = 0;
    for (const std::string& slot : conns_[static_cast<std::size_t>(c)].cookie) n += slot.size();
    return n;
  }
  void last_release_edge(bool is) { last_release_edge_ = is; }
  session::Broker& broker() { return *broker_; }
  bool crashed() const { return crashes_ != 0; }
  const metrics::EngineProbe& probe() const { return probe_; }
  base::Instant now() const { return now_; }
  std::uint64_t turns() const { return turns_; }
  // Connections that a test attaches by hand have slots below `n`.
  void reserve(std::size_t n) { conns_.resize(n); }

 private:
  struct Conn {
    base::ConnId id;
    std::uint32_t epoch = 0;
    std::string in;  // from in_ack on
    std::uint64_t in_ack = 0;
    std::size_t engine_used = 0;  // of `in`, consumed by the present engine
    std::string out;
    std::uint64_t out_off = 0;
    bool attached = false, connected = false, ended = false, released = false, told = false,
         writable = true;
    protocol::link::CloseReason reason{};
    protocol::link::Cookie cookie;
    std::size_t cookie_bytes = 0;
    std::vector<std::uint64_t> dropped;  // see drop()
    base::Address peer;
  };
  struct Effect {
    base::ConnId conn;
    std::function<void()> apply;
  };
  struct Crash {};
  enum Away { kHere, kLost, kTold, kGone };  // kTold: the engine knows

  bool reachable(base::ConnId c) const { return away_[c.link()] == kHere; }
  void rejoin(std::uint32_t link) {
    broker_->edge_came(link, options_.edge_ids[link], options_.partitions > 1 && link == 1);
    away_[link] = kHere;
    for (Conn& k : conns_) {
      if (k.id.link() != link) continue;
      k.attached = false;
      if (!k.released && (k.connected || !k.in.empty())) attach(k);
    }
    hold_inputs_ = true;
    broker_->edge_attached(link, now_, [this] {
      hold_inputs_ = false;
      for (Conn& k : conns_) {  // of the other edge too: its events waited as well
        if (!k.attached || !reachable(k.id)) continue;
        repeat_dropped(k);
        if (!k.in.empty()) deliver(k);
        if (k.ended) tell_closed(k);
      }
    });
  }

  void start_engine() {
    probe_ = {};
    hold_inputs_ = false;
    for (Away& a : away_) a = kHere;
    broker_ = std::make_unique<session::Broker>(options_, *this, nullptr, probe_);
    if (registry_ != nullptr) broker_->use_registry(*registry_);
    if (access_ != nullptr) broker_->use_access(access_);
    if (on_broker_) on_broker_();
    store_.restore(broker_->restore_sink());
    begin_clock();
    for (Conn& k : conns_) {
      k.attached = false;
      if (!k.released && (k.connected || !k.in.empty())) attach(k);
    }
    if (before_serving_) before_serving_();
    broker_->attached_all(now_);
    if (on_engine_) on_engine_();
    for (Conn& k : conns_) {
      if (!k.attached) continue;
      repeat_dropped(k);
      if (!k.in.empty()) deliver(k);
      if (k.ended) tell_closed(k);
    }
  }
  void begin_clock() {
    clock_ = std::make_unique<base::WallClock>([this] { return clocks_; }, boot_);
    if (const auto stored = base::WallClock::Reference::decode(broker_->stored_clock()))
      jumps_.push_back(clock_->go_on(*stored));
    read_clock();
  }
  void read_clock() {
    now_ = clock_->now();
    if (const auto jump = clock_->take_jump()) jumps_.push_back(*jump);
    if (clock_->changed()) broker_->use_clocks(clock_->clocks());
  }
  void attach(Conn& k) {
    k.attached = true;
    k.told = false;
    k.engine_used = 0;
    ++k.epoch;
    broker_->attach({.conn = k.id,
                     .attach_epoch = k.epoch,
                     .in_ack = k.in_ack,
                     .in_end = k.in_ack + k.in.size(),
                     .out_off = k.out_off,
                     .connected = k.connected,
                     .loopback = true,
                     .peer = k.peer,
                     .cookie = k.cookie},
                    now_);
  }
  void deliver(Conn& k) {
    if (k.released || hold_inputs_) return;
    if (!k.attached) attach(k);
    k.engine_used +=
        broker_->input(k.id, base::as_bytes(std::string_view(k.in).substr(k.engine_used)), now_);
  }
  void repeat_dropped(Conn& k) {
    const auto all = k.dropped;
    for (const std::uint64_t seq : all)
      broker_->told(k.id, seq, protocol::link::Fate::dropped, now_);
  }
  void end(Conn& k, protocol::link::CloseReason why) {
    if (k.ended) return;
    k.ended = true;
    k.reason = why;
    if (k.attached && reachable(k.id) && !hold_inputs_) tell_closed(k);
  }
  void tell_closed(Conn& k) {
    if (std::exchange(k.told, true)) return;
    broker_->closed(k.id, k.reason);
  }

  void boundary() {
    const bool due = boundary_++ == crash_at_;
    if (due && breaks_ >= 0) {
      ++crashes_;
      away_[static_cast<std::size_t>(breaks_)] = kLost;
    } else if (due || crash_now_) {
      crash_now_ = false;
      throw Crash{};
    }
  }
  // Runs until nothing is left to do.
  void settle() {
    for (;;) {
      try {
        if (turn()) continue;
        bool back = false;
        for (std::uint32_t link = 0; link < away_.size() && !keep_away_; ++link) {
          if (away_[link] != kTold) continue;
          back = true;
          rejoin(link);
        }
        if (!back) return;
      } catch (const Crash&) {
        ++crashes_;
        turn_.clear();
        resume_.clear();
        taken_.clear();
        posted_.clear();
        committing_ = false;
        start_engine();
      }
    }
  }
  bool turn() {
    boundary();
    bool busy = false;
    for (std::uint32_t link = 0; link < away_.size(); ++link) {
      if (away_[link] != kLost) continue;
      away_[link] = kTold;
      std::erase_if(turn_, [link](const Effect& e) { return e.conn.link() == link; });
      broker_->edge_lost(link, now_);
      busy = true;
    }
    for (const auto& [link, number] : std::exchange(taken_, {})) {
      if (away_[link] != kHere) continue;
      broker_->accepted(link, number, now_);
      busy = true;
    }
    broker_->begin_turn();
    for (const base::ConnId id : std::exchange(resume_, {})) {
      Conn& k = conn(id);
      broker_->rested(id);
      if (k.attached && !k.released && reachable(id)) deliver(k);
      busy = true;
    }
    broker_->end_turn(now_);
    BERTH_ASSERT(broker_->has_work() == broker_->look_for_work());  // nothing that waits is missed
    if (each_turn_) each_turn_();
    boundary();
    busy = apply_turn() || busy || broker_->has_work() || !resume_.empty();
    boundary();
    if (!committing_ && !hold_) {
      hurried_batches_ += broker_->wants_commit() ? 1 : 0;
      broker_->hurry();
      if (auto batch = broker_->seal()) {
        largest_batch_ = std::max(largest_batch_, batch->bytes());
        committing_ = true;
        busy = true;
        store_.commit(batch, [this](session::CommitResult r) {
          crash_now_ = std::exchange(crash_committed_, false) || crash_now_;
          boundary();  // committed, and nobody has heard of it
          committing_ = false;
          if (!r.error) broker_->committed(r, now_);
        });
      }
    }
    if (!posted_.empty()) {
      auto f = std::move(posted_.front());
      posted_.pop_front();
      f();
      busy = true;
    }
    return busy;
  }

  // The frames of a turn, one a link. The engine may die between any two.
  bool apply_turn() {
    const auto effects = std::exchange(turn_, {});
    const std::uint64_t number = ++turns_;
    bool any = false;
    for (std::uint32_t link = 0; link < options_.edge_ids.size(); ++link) {
      bool frame = false;
      for (const auto& e : effects) {
        if (e.conn.link() != link) continue;
        if (!frame && any) boundary();
        frame = true;
        if (away_[link] == kHere) e.apply();
      }
      if (frame) taken_.emplace_back(link, number);
      any = any || frame;
    }
    return any;
  }
  Conn& conn(base::ConnId c) { return conns_[c.local_slot()]; }
  void add(base::ConnId c, std::function<void()> apply) { turn_.push_back({c, std::move(apply)}); }

  // -- Effects: gathered, applied to the edges at the end of the turn
  void send(base::ConnId c, std::string_view head, std::string_view tail) override {
    BERTH_ASSERT(work().word() != 0);  // nothing runs for a connection without a scope (I12)
    add(c, [this, c, bytes = std::string(head).append(tail)] {
      if (!conn(c).ended) conn(c).out += bytes;
      conn(c).out_off += bytes.size();
    });
  }
  bool send_until(base::ConnId c, std::string_view head, std::string_view tail,
                  const protocol::link::Deadline& d) override {
    if (d.not_after < broker_->messages_at(now_)) return false;
    send(c, head, tail);
    return true;
  }
  void told_taken(base::ConnId c, std::uint64_t seq, protocol::link::Fate) override {
    BERTH_ASSERT(work().word() == c.packed());
    add(c, [this, c, seq] { std::erase(conn(c).dropped, seq); });
  }
  std::uint64_t turn_of(base::ConnId) override { return turns_ + 1; }
  void acknowledge(base::ConnId c, std::uint64_t offset) override {
    BERTH_ASSERT(work().word() != 0);
    add(c, [this, c, offset] {
      Conn& k = conn(c);
      if (offset <= k.in_ack) return;
      const std::size_t n = offset - k.in_ack;
      k.in.erase(0, n);
      k.engine_used -= n;
      k.in_ack = offset;
      broker_->edge_acked(c, offset);
    });
  }
  void cookie(base::ConnId c, protocol::link::CookieSlot s, std::string bytes) override {
    BERTH_ASSERT(work().word() == c.packed());
    add(c, [this, c, s, bytes] {
      conn(c).cookie[static_cast<std::size_t>(s)] = bytes;
      conn(c).cookie_bytes += bytes.size();
    });
  }
  bool keeps(base::ConnId, protocol::link::CookieSlot s) override {
    return !last_release_edge_ || s != protocol::link::CookieSlot::subscriptions;
  }
  void connected(base::ConnId c, const protocol::link::EdgeSettings&) override {
    BERTH_ASSERT(work().word() == c.packed());
    add(c, [this, c] { conn(c).connected = true; });
  }
  void close(base::ConnId c, protocol::link::CloseReason reason) override {
    BERTH_ASSERT(work().word() != 0);
    add(c, [this, c, reason] { end(conn(c), reason); });
  }
  void release(base::ConnId c) override {
    BERTH_ASSERT(work().word() != 0);
    add(c, [this, c] { conn(c).released = true; });
  }
  void resume(base::ConnId c) override { resume_.push_back(c); }
  bool writable(base::ConnId c) override { return conn(c).writable; }
  void authenticate(base::ConnId c, session::AuthRequest r) override {
    broker_->authenticated(c, on_login_ ? on_login_(r) : session::AuthResult{}, now_);
  }
  void load_queue(base::SessionId s, std::uint64_t from, std::size_t count, std::size_t bytes,
                  std::uint64_t ticket) override {
    store_.read_queue(s, from, count, bytes, [this, s, ticket](auto entries) {
      broker_->queue_loaded(s, ticket, std::move(entries), now_);
    });
  }

  session::BrokerOptions options_;
  std::function<void()> on_broker_;
  std::function<void()> on_engine_;
  std::function<void()> each_turn_;
  std::function<void()> before_serving_;
  bool crash_committed_ = false;
  std::function<session::AuthResult(const session::AuthRequest&)> on_login_;
  const session::Principals* registry_ = nullptr;
  const session::AccessPolicy* access_ = nullptr;
  int crash_at_;
  int breaks_;
  int boundary_ = 0;
  int crashes_ = 0;
  bool crash_now_ = false;
  bool committing_ = false;
  int hurried_batches_ = 0;
  bool hold_ = false;
  bool hold_inputs_ = false;
  bool keep_away_ = false;
  bool last_release_edge_ = false;
  std::array<Away, 2> away_{};
  std::uint64_t turns_ = 0;
  std::size_t largest_batch_ = 0;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> taken_;  // link, turn
  base::WallClock::Reading clocks_{1'700'000'000'000, 1'000'000};
  std::uint64_t boot_ = 1;
  std::unique_ptr<base::WallClock> clock_;
  std::vector<base::WallClock::Jump> jumps_;
  base::Instant now_{1'700'000'000'000};
  std::deque<std::function<void()>> posted_;
  session::MemoryStore store_;
  metrics::EngineProbe probe_;
  std::deque<Conn> conns_;
  std::vector<Effect> turn_;
  std::vector<base::ConnId> resume_;
  std::unique_ptr<session::Broker> broker_;
};

// All PUBLISHes for `c`; those with QoS 1 are acknowledged.
inline const ConnectOptions kPersistent{
    .client_id = "s", .clean = false, .properties = expiry(600)};

inline std::vector<Packet> take_publishes(World& w, int c) {
  std::vector<Packet> all;
  for (bool more = true; more;) {
    more = false;
    for (Packet& k : w.packets(c)) {
      if (k.type != 3) continue;
      more = true;
      if (k.qos() == 1) w.feed(c, ack(4, k.id()));
      all.push_back(std::move(k));
    }
  }
  return all;
}
// What this client got, DUP marked: "m1", "m1 dup".
inline std::vector<std::string> heard(World& w, int c) {
  std::vector<std::string> out;
  for (const Packet& p : w.packets(c)) {
    if (p.type == 3) out.push_back(p.payload(5) + (p.dup() ? " dup" : ""));
  }
  return out;
}

}  // namespace berth::test
