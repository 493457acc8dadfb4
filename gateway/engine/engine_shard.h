// The engine of one thread: runs the Broker, its commits and its timers. Knows messages, not
// sockets. The edge's calls come in as link::EnginePort, the Broker's effects go out through
// link::EdgePort. One turn: inputs, then turn_end(): input that may go on, changed cookies, flush
// of the steps, then the commit of the batch (ADR 1).
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "base/wall_clock.h"
#include "front/broker.h"
#include "gateway/engine/answerer.h"
#include "gateway/engine/authenticator.h"
#include "gateway/engine/commits.h"
#include "gateway/engine/device_messages.h"
#include "gateway/engine/inspection.h"
#include "gateway/engine/kept_out_list.h"
#include "gateway/engine/platform_side.h"
#include "gateway/engine/reviews.h"
#include "gateway/link/ports.h"
#include "metrics/probe.h"
#include "session/fair_queue.h"
#include "session/store.h"

namespace berth::gateway::engine {

class EngineShard;

// What an EngineShard is made of. References outlive it. The functions `authenticator` and `store`
// are called once, by the constructor; through the Poster they are given the engine's thread is
// reached, until the engine is gone: what is posted later is dropped.
struct ShardParts {
  using Poster = session::Store::Poster;
  boost::asio::io_context& io;
  session::BrokerOptions options = {};
  link::EdgePort& edge;
  metrics::EngineProbe& probe;
  std::unique_ptr<session::AccessPolicy> access = nullptr;  // null: everything is allowed
  base::WallClock clock = {};                               // the machine's
  const registry::Registry* registry = nullptr;             // null: none
  platform::PlatformOptions platform = {};
  // Sessions of principals that are not in the registry when this engine begins to serve stay for
  // so long: somebody may have lost it, and what is in them was acknowledged. 0: they are removed
  // at once.
  std::uint32_t keep_unregistered_s = 0;
  // Both empty: an engine that no client comes to and that stores nothing, for tests.
  std::function<std::unique_ptr<Authenticator>(const Poster&)> authenticator = {};
  std::function<std::unique_ptr<session::Store>(EngineShard&, const Poster&)> store = {};
  // Called when the engine begins to serve, on its thread; what it returns lives as long as the
  // engine: files that are watched, uplinks. Empty: there is nothing of that.
  std::function<std::shared_ptr<void>(EngineShard&)> beside = {};
};

// How an EngineShard serves. What is pointed to outlives it.
struct Serving {
  // The word that names whom the engine works for, for whoever survives us (session/works_for.h).
  std::atomic<std::uint64_t>* poison_word = nullptr;
  // Rises with every piece of work begun and every delivery: an engine that works is not stuck.
  std::atomic<std::uint64_t>* progress = nullptr;
  // Called between inputs with the time, so that heartbeats go out in a long turn too.
  std::function<void(base::Instant)> on_input = {};
  // Called with the topic of each message of another partition (tests let it fail).
  std::function<void(std::string_view topic)> on_forwarded = {};
};

class EngineShard final : public link::EnginePort, public session::Effects {
 public:
  // With its store open, and nothing restored: for a store that restores by itself. May throw what
  // `authenticator` and `store` throw.
  explicit EngineShard(ShardParts parts);
  // The same with everything restored, as far as serve(). Blocking, on any thread.
  static std::unique_ptr<EngineShard> restored(ShardParts parts);
  ~EngineShard() override;

  // REQUIRES: everything is restored, nothing is attached. On the shard's thread.
  void serve(Serving how);
  // The registry has changed. What follows for connections comes in the turns to come, some
  // hundreds of sessions in each.
  void review_registry(const session::Concerned& who) {
    platform().registry_changed(who, now());
    reviews_.registry_changed(who);
  }
  // Rules and users of files have changed. Then review_access(): what follows for connections and
  // stored subscriptions comes in the turns to come. `is_user`: may still log in as before.
  void use_access(std::unique_ptr<session::AccessPolicy> access);
  using IsUser = Reviews::IsUser;
  void use_passwords(PasswordFile users, IsUser is_user);
  void use_users(IsUser is_user) { reviews_.use_users(std::move(is_user)); }
  void review_access() { reviews_.access_changed(); }
  void access_file_failed() { ++probe_.access_files_refused; }
  // DISCONNECT to all; `done` when every connection is released and everything is durable.
  void drain(std::function<void()> done);
  void close_store();
  Commits& commits() { return commits_; }
  // What the Broker is passed as `now`; see base::WallClock.
  base::Instant now();
  void refresh_gauges();
  session::Broker& broker() { return broker_; }
  platform::Platform& platform() { return platform_.platform(); }
  Answerer& answerer() { return answerer_; }
  // What parts beside the engine count, for whoever asks for the engine's figures.
  using MoreSamples = Inspection::MoreSamples;
  void count_with(MoreSamples f) { inspection_.more_samples = std::move(f); }
  void add_more_samples(std::vector<metrics::Sample>& out) const {
    if (inspection_.more_samples) inspection_.more_samples(out);
  }

  // -- link::EnginePort
  bool serving() const override { return true; }
  bool survives_engine() const override { return false; }
  void attach(const protocol::link::Attach& a) override;
  void attached_all() override;
  std::size_t input(base::ConnId conn, std::uint64_t offset, std::uint64_t in_ack,
                    base::ByteView bytes) override;
  void closed(base::ConnId conn, protocol::link::CloseReason cause) override;
  void credit(base::ConnId conn, std::uint64_t written) override;
  void told(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) override;
  void pending(base::ConnId conn, std::uint64_t tag) override;
  void ask(protocol::link::Question q, link::Answered answered) override {
    answerer_.ask(std::move(q), std::move(answered));
  }
  base::Instant deadline_clock() override { return broker_.messages_at(now()); }
  void kept_out(const std::vector<protocol::link::KeptOut>& list) override;
  void turn_end() override;
  // Ends the turn and commits all that has been taken, also what is in no hurry.
  void finish();
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
    if (!inspection_.traces.idle()) inspection_.traces.out(conn, head, tail, inspection_.at);
    edge_.send(conn, head, tail);
  }
  bool send_until(base::ConnId conn, std::string_view head, std::string_view tail,
                  const protocol::link::Deadline& d) override;
  void told_taken(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) override {
    edge_.told_taken(conn, tag, fate);
  }
  bool watches(base::ConnId conn) override { return edge_.watches(conn); }
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
    inspection_.traces.connected(conn, inspection_.at);
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
  // For what is posted to the shard's thread: expired when the engine is gone.
  std::weak_ptr<bool> alive() const { return alive_; }
  ShardParts::Poster poster();
  platform::Platform::Read record_reader();
  void answer_about_sessions(const std::string& question, const link::Answered& answered);
  void restore();
  void begin_clock();
  void keep_clock();
  void on_jump(const base::WallClock::Jump& j);
  void post_turn();
  void commit();
  void commit_later();
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
  Inspection inspection_{broker_};
  Commits commits_;
  PlatformSide platform_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<DeviceMessages> messages_;  // of the registry
  Reviews reviews_;
  boost::asio::steady_timer tick_;
  session::FairQueue<base::ConnId> resume_;  // input that is to be offered again
  KeptOutList kept_out_;
  std::function<void()> drained_;
  Serving serving_;
  bool in_turn_end_ = false;
  bool timed_ = false;   // the Broker knows when this turn began
  bool again_ = false;   // another turn is due
  bool posted_ = false;  // and on its way; a second one would be a second before sockets are read
  std::function<std::shared_ptr<void>(EngineShard&)> make_beside_;
  std::shared_ptr<void> beside_;  // owned here alone; its type is of another folder
};

}  // namespace berth::gateway::engine
