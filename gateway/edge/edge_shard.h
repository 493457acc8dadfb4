// The edge of one thread. It holds the rooms of the edge by value (docs/ARCHITECTURE.md, "Rooms of
// the edge") and passes to them what the epoll set, engines and the process ask; itself it has the
// loop of a turn: read, the one-second tick, the sweep of silent connections. Knows bytes, not
// messages. Owns all Connections in a slab; others hold ConnIds. Everything runs on the shard's
// thread.
//
// Limits: a connection that says nothing for 1.5 times its Keep Alive (Park: 2.5 times) is closed,
// one without a CONNECT after 10 s; after 120 s without an engine all of its connections end. Other
// limits stand with the rooms: before log-in (arrivals.h), input (kept_input.h), output (output.h),
// the flush of a closing connection (endings.h), new connections (acceptor.h).
#pragma once

#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/wall_clock.h"
#include "gateway/edge/acceptor.h"
#include "gateway/edge/address_limits.h"
#include "gateway/edge/arrivals.h"
#include "gateway/edge/attachments.h"
#include "gateway/edge/certificate_review.h"
#include "gateway/edge/device_sockets.h"
#include "gateway/edge/drain.h"
#include "gateway/edge/edge_context.h"
#include "gateway/edge/endings.h"
#include "gateway/edge/followers.h"
#include "gateway/edge/handover.h"
#include "gateway/edge/kept_input.h"
#include "gateway/edge/listener.h"
#include "gateway/edge/output.h"
#include "gateway/edge/poison_guard.h"
#include "gateway/edge/probation.h"
#include "gateway/edge/quarantine.h"
#include "gateway/io/poller.h"
#include "gateway/link/ports.h"
#include "gateway/link/principal_id.h"
#include "gateway/runtime/absence.h"
#include "metrics/probe.h"
#include "protocol/link/records.h"
#include "protocol/mqtt/types.h"

namespace berth::gateway::edge {

// Constructed before the rooms, which refer to it.
struct EdgeContextHolder {
  EdgeContext cx_;
};

class EdgeShard final : public link::StepSink,
                        public io::Poller::Handler,
                        private EdgeCalls,
                        private EdgeContextHolder,
                        private EdgeRoom {
 public:
  // `limits`: of addresses, for several shards; null: none.
  EdgeShard(boost::asio::io_context& io, EdgeOptions options, metrics::EdgeProbe& probe,
            AddressLimits* limits = nullptr);
  ~EdgeShard() override;

  void use_engine(link::EnginePort& engine, std::uint32_t partition = 0) {
    engines_[partition].engine = &engine;
  }
  // Null: there is no such partition, or it has no engine. For link::Asker.
  link::EnginePort* engine_of(std::uint32_t partition) {
    return partition < engines_.size() ? engines_[partition].engine : nullptr;
  }
  // By which deadlines pass, in the place of the machine's.
  void use_clock(base::WallClock clock) { output_.use_clock(std::move(clock)); }
  // Takes over a listening socket (non-blocking).
  void listen(int fd, Transport transport, const ListenerOptions& options) {
    acceptor_.listen(fd, transport, options);
  }
  void start();
  // A stream of this process's own, for an engine of that partition. Owns the descriptor.
  void admit_local(int fd, std::uint32_t partition) { acceptor_.admit_local(fd, partition); }
  void stop_accepting() { acceptor_.stop_accepting(); }
  void stop();  // closes every socket at once
  // Ends all connections, `per_second` of them or fewer where other edges let in fewer
  // (Setting::others_admit_per_s), with DISCONNECT (3.14) or GOAWAY: 0x9C and where to go, or 0x8B
  // where there is no such place. Wills are held back by the engine.
  using Elsewhere = edge::Elsewhere;
  void drain(std::uint32_t per_second, Elsewhere elsewhere);
  // And released by the engine; what was said last has been taken, or a second has passed.
  bool drained() const { return slab_.is_empty() && sockets_.all_taken(); }
  void apply_setting(protocol::link::Setting setting, std::uint64_t value);
  void limit_accepts(std::uint32_t per_s) { acceptor_.admission().limit_to(per_s); }  // 0: no limit
  // Devices of other edges that could come here now.
  std::uint32_t admits_per_s() const { return acceptor_.admits_per_s(); }

  // -- to another process on this host (handover.h; ADR 9). While the shard's loop stands
  // still. `give`: a record and the socket, -1 for a connection that has ended; nothing is closed.
  using Give = Handover::Give;
  // Returns what is not of a single connection.
  std::string hand_over(const Give& give) { return handover_.hand_over(give); }
  int listener(Transport t) const { return acceptor_.listener(t); }  // -1: none
  // What can't be handed over goes first: connections with TLS end, `per_second` of them, new ones
  // wait in their listening socket. keep_tls(): not after all.
  void drain_tls(std::uint32_t per_second);
  bool has_tls() const { return counts_.tls != 0; }
  void end_tls();  // those that are left, at once
  void keep_tls();
  // In the other process, before start(). False: malformed; the socket is the caller's.
  bool adopt(std::string_view record, int fd) { return handover_.adopt(record, fd); }
  bool adopt_rest(std::string_view rest) { return handover_.adopt_rest(rest); }

  // -- the coming and going of a partition's engine (survives_engine() only)
  void engine_gone(std::uint32_t partition = 0, EngineEnd how = EngineEnd::planned,
                   std::int64_t silent_since_ns = 0, const EngineName& who = {}) {
    attachments_.engine_gone(partition, how, silent_since_ns, who);
  }
  void count_engine_death() { ++probe_.engine_deaths; }  // of a cluster: once for each process
  // Attaches its connections and replays.
  void engine_ready(std::uint32_t partition = 0) { attachments_.engine_ready(partition); }
  // An engine has died while it worked for this connection.
  void suspect(base::ConnId conn) {
    if (Connection* c = slab_.find(conn)) poison_.strike(*c, false);
  }
  // The link broke but the same engine process is back: forget the death.
  void forgive(std::uint32_t partition) {
    engines_[partition].probation.forgive();
    engines_[partition].same = true;
  }
  // Before each engine_ready() of an engine that shares its word with this process.
  void use_word(std::uint32_t partition, EngineWord word) {
    engines_[partition].word = std::move(word);
  }
  // Of the process; before the first connection. `f` hears of our strikes.
  void use_quarantine(Quarantine& q, std::function<void(const Quarantine::Strike&)> f) {
    poison_.use_quarantine(q, std::move(f));
  }
  // A strike of any shard, or of another edge, has put this id in quarantine: close its connections
  // here. tell_quarantine(): tells the engines the changed list.
  void shut_out(const Quarantine::Id& id, Quarantine::Kind kind) { poison_.shut_out(id, kind); }
  void tell_quarantine() { poison_.tell_quarantine(); }

  std::size_t open_connections() const { return counts_.open; }
  void refresh_gauges();

  // -- steps of a remote engine. False: stale, nothing of the step may be applied.
  bool accepts(base::ConnId conn, std::uint32_t attach_epoch, std::uint64_t out_off) override;

  // -- link::EdgePort
  bool wants_cookies() const override { return false; }
  void send(base::ConnId conn, std::string_view head, std::string_view tail) override {
    output_.send(conn, head, tail);
  }
  void send_until(base::ConnId conn, std::string_view head, std::string_view tail,
                  const protocol::link::Deadline& d) override {
    output_.send_until(conn, head, tail, d);
  }
  void told_taken(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) override {
    output_.told_taken(conn, tag, fate);
  }
  std::uint64_t turn_of(base::ConnId) override { return 0; }  // there is one edge: nobody asks
  void acknowledge(base::ConnId conn, std::uint64_t in_ack) override {
    input_.acknowledge(conn, in_ack);
  }
  void cookie(base::ConnId conn, protocol::link::CookieSlot slot, std::string bytes) override;
  void connected(base::ConnId conn, const protocol::link::EdgeSettings& settings) override;
  void close(base::ConnId conn, protocol::link::CloseReason reason) override {
    endings_.close(conn, reason);
  }
  void release(base::ConnId conn) override { endings_.release(conn); }
  bool writable(base::ConnId conn) override { return output_.writable(conn); }
  void reoffer(base::ConnId conn) override { input_.reoffer(conn); }
  void flush() override { output_.flush(); }

 private:
  void on_event(std::uint64_t tag, std::uint32_t events) override;
  void on_turn_end() override;

  // -- EdgeCalls
  void end(Connection& c, protocol::link::CloseReason reason) override { endings_.end(c, reason); }
  void begin_close(Connection& c, protocol::link::CloseReason reason) override {
    endings_.begin_close(c, reason);
  }
  void dismiss(Connection& c, protocol::mqtt::Reason why,
               protocol::link::CloseReason reason) override {
    endings_.dismiss(c, why, reason);
  }
  void read_later(Connection& c) override;

  // -- the loop of a turn, and time
  void on_readable(Connection& c);
  void on_bytes(Connection& c, base::ByteView bytes);

  void on_tick();
  void sweep(std::uint32_t now_s);
  void arm_tick();

  // -- rooms, from below
  Arrivals arrivals_{cx_};
  // The engine must hear of the close before the device reconnects to another edge, or it counts as
  // a take-over.
  Drain drain_{io_,
               slab_,
               {.end = [this](Connection& c) { endings_.send_away(c); },
                .turn_ends =
                    [this] {
                      output_.flush();
                      engines_.turn_end();
                    }}};
  KeptInput input_{cx_, arrivals_};
  Followers followers_{cx_, drain_, input_};
  DeviceSockets sockets_{cx_, arrivals_, followers_};
  Output output_{cx_, input_, sockets_};
  Endings endings_{cx_, input_, followers_, sockets_, output_};
  Acceptor acceptor_{cx_, arrivals_, followers_};
  CertificateReview certificates_{cx_, followers_, output_, endings_, acceptor_};
  PoisonGuard poison_{cx_, input_, followers_, endings_};
  Attachments attachments_{cx_, output_, endings_, acceptor_, poison_};
  Handover handover_{cx_, input_, output_, acceptor_, attachments_};

  boost::asio::steady_timer tick_;
  std::shared_ptr<bool> alive_token_ = std::make_shared<bool>(true);
  std::vector<std::uint8_t> scratch_;
  std::uint32_t last_tick_s_ = 0;
};

}  // namespace berth::gateway::edge
