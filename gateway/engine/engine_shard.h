// The engine of one thread: runs the Broker, its commits and its timers. Knows messages, not
// sockets. The edge's calls come in as link::EnginePort, the Broker's effects go out through
// link::EdgePort. One turn: inputs, then turn_end(): input that may go on, cookies, one group
// commit, flush.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <vector>

#include "base/wall_clock.h"
#include "gateway/engine/answerer.h"
#include "gateway/engine/authenticator.h"
#include "gateway/engine/device_messages.h"
#include "gateway/engine/kept_out_list.h"
#include "gateway/link/ports.h"
#include "metrics/probe.h"
#include "front/broker.h"
#include "session/fair_queue.h"
#include "session/store.h"

namespace berth::gateway::engine {

class EngineShard final : public link::EnginePort, public session::Effects {
 public:
  EngineShard(boost::asio::io_context& io, session::BrokerOptions options, link::EdgePort& edge,
              std::unique_ptr<session::AccessPolicy> access, metrics::EngineProbe& probe);
  ~EngineShard() override;

  // Another one than the machine's. Before restore().
  void use_clock(base::WallClock clock) { clock_ = std::move(clock); }
  // In this order: the store, its content, then serving.
  void use_store(std::unique_ptr<session::Store> store);
  void use_authenticator(std::unique_ptr<Authenticator> a) { authenticator_ = std::move(a); }
  void use_registry(const registry::Registry* r) {
    registry_ = r;
    if (r == nullptr) return;
    messages_ = std::make_unique<DeviceMessages>(*r);
    broker_.use_registry(*r);
    broker_.use_messages(*messages_);
  }
  // The registry has changed. What follows for connections comes in the turns to come, some
  // hundreds of sessions in each.
  void review_registry(const session::Concerned& who);
  void review_all_when_fresh();
  // Sessions of principals that are not in the registry when this engine begins to serve stay for
  // so long: somebody may have lost it, and what is in them was acknowledged. 0: they are removed
  // at once.
  void keep_unregistered_for(std::uint32_t seconds) { keep_unregistered_s_ = seconds; }
  // Rules and users of files have changed. Then review_access(): what follows for connections and
  // stored subscriptions comes in the turns to come. `is_user`: may still log in as before.
  void use_access(std::unique_ptr<session::AccessPolicy> access);
  using IsUser = std::function<bool(std::string_view)>;
  void use_passwords(PasswordFile users, IsUser is_user);
  void use_users(IsUser is_user) { is_user_ = std::move(is_user); }  // those that log-ins know
  // Made when the timers start, on the shard's thread; lives as long as the engine.
  void watch_files(std::function<std::shared_ptr<void>()> make) { make_watch_ = std::move(make); }
  void review_access();
  void access_file_failed() { ++probe_.access_files_refused; }
  void restore();  // blocking
  // The store is restored, nothing has been attached yet.
  void start_timers();
  // DISCONNECT to all; `done` when every connection is released and everything is durable.
  void drain(std::function<void()> done);
  void close_store();
  bool store_healthy() const { return store_healthy_; }
  // How long the commit under way has been under way, ms; 0: none is.
  std::int64_t commit_age_ms() const;
  // A commit has failed, and is tried again; or one has succeeded again. Any thread.
  void set_store_healthy(bool healthy) {
    store_healthy_ = healthy;
    if (!healthy) ++commit_failures_;
  }
  // The word that names whom the engine works for, for whoever survives us (session/works_for.h).
  void use_poison_word(std::atomic<std::uint64_t>* word) { work().use_word(word); }
  // Rises with every piece of work begun and every delivery: an engine that works is not stuck.
  void use_progress(std::atomic<std::uint64_t>* progress) { work().use_progress(progress); }
  // What the Broker is passed as `now`; see base::WallClock.
  base::Instant now();
  // Called between inputs with the time, so that heartbeats go out in a long turn too.
  void on_input(std::function<void(base::Instant)> f) { on_input_ = std::move(f); }
  // Called with the topic of each message of another partition (tests let it fail).
  void on_forwarded(std::function<void(std::string_view topic)> f) { on_forwarded_ = std::move(f); }
  void refresh_gauges();
  session::Broker& broker() { return broker_; }
  Answerer& answerer() { return answerer_; }
  // For what is posted to the shard's thread: expired when the engine is gone.
  std::weak_ptr<bool> alive() const { return alive_; }

  // -- link::EnginePort
  bool serving() const override { return true; }
  bool survives_engine() const override { return false; }
  void attach(const protocol::link::Attach& a) override;
  void attached_all() override;
  std::size_t input(base::ConnId conn, std::uint64_t offset, std::uint64_t in_ack,
                    base::ByteView bytes) override;
  void closed(base::ConnId conn, protocol::link::CloseReason cause) override;
  void credit(base::ConnId conn, std::uint64_t written) override;
  void expired(base::ConnId conn, std::uint64_t tag) override;
  void ask(protocol::link::Question q, link::Answered answered) override {
    answerer_.ask(std::move(q), std::move(answered));
  }
  base::Instant deadline_clock() override { return broker_.messages_at(now()); }
  void kept_out(const std::vector<protocol::link::KeptOut>& list) override;
  void turn_end() override;
  void accepted(std::uint32_t link, std::uint64_t turn) override;

  // -- edges that come and go; see session::Broker
  void edge_came(std::uint32_t link, std::uint64_t edge_id, bool internal = false) {
    broker_.edge_came(link, edge_id, internal);
  }
  void edge_attached(std::uint32_t link, std::function<void()> done);
  void edge_lost(std::uint32_t link);
  void edge_gone(std::uint32_t link);

  // -- session::Effects
  void send(base::ConnId conn, std::string_view head, std::string_view tail) override {
    work().count();
    edge_.send(conn, head, tail);
  }
  bool send_until(base::ConnId conn, std::string_view head, std::string_view tail,
                  const protocol::link::Deadline& d) override;
  void expired_taken(base::ConnId conn, std::uint64_t tag) override {
    edge_.expired_taken(conn, tag);
  }
  std::uint64_t turn_of(base::ConnId conn) override { return edge_.turn_of(conn); }
  void acknowledge(base::ConnId conn, std::uint64_t offset) override {
    edge_.acknowledge(conn, offset);
  }
  void cookie(base::ConnId conn, protocol::link::CookieSlot slot, std::string bytes) override {
    edge_.cookie(conn, slot, std::move(bytes));
  }
  bool keeps(base::ConnId conn, protocol::link::CookieSlot slot) override {
    return edge_.keeps(conn, slot);
  }
  void connected(base::ConnId conn, const protocol::link::EdgeSettings& s) override {
    edge_.connected(conn, s);
  }
  void close(base::ConnId conn, protocol::link::CloseReason reason) override {
    edge_.close(conn, reason);
  }
  void release(base::ConnId conn) override;
  void resume(base::ConnId conn) override { resume_.push(broker_.fair_key(conn), conn); }
  bool writable(base::ConnId conn) override { return edge_.writable(conn); }
  void forwarded_begins(std::string_view topic) override;
  Standing standing_of(std::string_view principal_key, std::string_view tenant,
                       protocol::link::EdgeSettings& out) override;
  void authenticate(base::ConnId conn, session::AuthRequest request) override;
  void load_queue(base::SessionId session, std::uint64_t from, std::size_t count, std::size_t bytes,
                  std::uint64_t ticket) override;

 private:
  void begin_clock();
  void keep_clock();
  void on_jump(const base::WallClock::Jump& j);
  void review_some();
  void review_some_access();
  void post_turn();
  void commit();
  void on_committed(const session::CommitResult& result);
  void arm_tick();
  void begin_timing();
  void check_drained();

  boost::asio::io_context& io_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  link::EdgePort& edge_;
  std::unique_ptr<session::AccessPolicy> access_;
  metrics::EngineProbe& probe_;
  base::WallClock clock_;
  struct {
    std::int64_t at_ns = 0;  // 0: not yet, or not as it is since
    std::uint64_t commits = 0;
  } clock_kept_;
  Answerer answerer_;
  session::Broker broker_;
  std::unique_ptr<session::Store> store_;
  std::unique_ptr<Authenticator> authenticator_;
  const registry::Registry* registry_ = nullptr;
  std::unique_ptr<DeviceMessages> messages_;  // of the registry
  struct Review {
    base::SessionId session;
    bool removes;  // the session, if its principal is not there
    bool removed;  // its principal has been: the session ends, whoever has that name now
  };
  void review(const session::Concerned& who, bool removes);
  std::vector<Review> review_;               // still to be done
  std::vector<std::string> removed_topics_;  // and then
  std::uint32_t keep_unregistered_s_ = 0;
  boost::asio::steady_timer unregistered_;
  std::vector<base::SessionId> access_review_;
  IsUser is_user_;
  boost::asio::steady_timer tick_;
  session::FairQueue<base::ConnId> resume_;  // input that is to be offered again
  KeptOutList kept_out_;
  std::function<void()> drained_;
  std::function<void(base::Instant)> on_input_;
  std::function<void(std::string_view)> on_forwarded_;
  std::atomic<bool> store_healthy_{true};
  std::atomic<std::uint64_t> commit_failures_{0};
  bool committing_ = false;
  std::int64_t commit_began_ns_ = 0;
  bool in_turn_end_ = false;
  bool timed_ = false;   // the Broker knows when this turn began
  bool again_ = false;   // another turn is due
  bool posted_ = false;  // and on its way; a second one would be a second before sockets are read
  std::function<std::shared_ptr<void>()> make_watch_;
  std::shared_ptr<void> watch_;  // owned here alone; its type is of another folder
};

}  // namespace berth::gateway::engine
