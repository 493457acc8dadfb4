// The engine's end of a link to one edge shard. Gathers a step per connection and encodes the steps
// of a turn as one frame. Keeps the input an engine has not consumed yet (a packet's beginning, a
// stalled channel). Runs on the engine's thread.
//
// After attached_all the link keeps the edge's turns until go(): no input runs before the routes
// are known. A turn is accepted when the kernel has taken it (a local edge: it outlives us and
// reads on) or when the edge says so (a remote one).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/link/frame_socket.h"
#include "gateway/link/ports.h"
#include "metrics/probe.h"

namespace berth::gateway::link {

class EngineLink final : public io::Poller::Handler, private protocol::link::EdgeTurnVisitor {
 public:
  struct Events {
    std::function<void(const protocol::link::Hello&)> hello;  // open the store, then ready()
    std::function<void()> attached_all;                       // answered by go(), perhaps later
    std::function<void()> drain;
    std::function<void()> stop;
    std::function<void(std::uint64_t id)> scrape;
    std::function<void(const protocol::link::Alive&)> alive;
    std::function<void()> goodbye;
    std::function<void(std::string_view strike)> strike;  // for all other edges
    std::function<void(std::uint32_t per_second)> admits;
    std::function<void(protocol::link::ForwardedWork)> skip;
    std::function<void()> lost;  // once; the link is to be destroyed, not in this call
  };
  // `number`: of this link in the engine; the upper bits of its connections' ids there. `tls`: the
  // stream's, null: none.
  EngineLink(boost::asio::io_context& io, int fd, std::uint32_t number, Events events,
             SSL* tls = nullptr);
  // Before the peer is known: no frame is greater than this. Then without an argument.
  void limit_frames(std::size_t bytes = protocol::link::kFrameMax) { socket_.set_frame_max(bytes); }
  const std::string& why_lost() const { return socket_.why(); }  // empty: not by the stream
  void use_engine(EnginePort& engine) { engine_ = accepts_ = &engine; }
  void use_number(std::uint32_t number) { number_ = number; }  // before the first attach
  // Ignores further input of the edge; the edge replays it to the next engine.
  void stop_input() { engine_ = nullptr; }
  void ready();
  void go();
  void send_empty(protocol::link::FrameType type);
  void send_samples(const std::string& payload);  // of put_samples()
  void send_welcome(const protocol::link::Welcome& w);
  void send_status(const protocol::link::Status& s);
  void send_checked(std::string_view why_not);
  void refuse(std::string_view why);
  void send_strike(std::string_view strike);
  void send_settings(const protocol::link::Settings& s);
  // From a signal handler: FrameType::dying with a connection, or dying_forwarded.
  void last_words(protocol::link::FrameType type, std::uint64_t of);
  bool all_sent() const { return socket_.unsent() == 0; }
  bool all_accepted() const { return accepted_ == turns_; }
  bool nothing_gathered() const { return step_count_ == 0; }

  // -- as EdgePort
  void send(base::ConnId conn, std::string_view head, std::string_view tail);
  void send_until(base::ConnId conn, std::string_view head, std::string_view tail,
                  const protocol::link::Deadline& d);
  void told_taken(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate);
  bool watches() const { return version_ >= protocol::link::kFatesSince; }
  std::uint64_t turn() const { return turns_ + 1; }  // the one being gathered
  void acknowledge(base::ConnId conn, std::uint64_t in_ack);
  void cookie(base::ConnId conn, protocol::link::CookieSlot slot, std::string bytes);
  bool keeps(protocol::link::CookieSlot slot) const {
    return slot != protocol::link::CookieSlot::subscriptions ||
           version_ >= protocol::link::kSubscriptionSlotSince;
  }
  void connected(base::ConnId conn, const protocol::link::EdgeSettings& settings);
  void close(base::ConnId conn, protocol::link::CloseReason reason);
  void release(base::ConnId conn);
  bool writable(base::ConnId conn);
  void reoffer(base::ConnId conn);

  void flush();  // the turn ends

 private:
  struct Conn {
    base::ConnId id = base::kNoConn;
    std::uint32_t epoch = 0;
    std::uint32_t step = 0;         // place + 1 in steps_
    std::uint64_t out_off = 0;      // with what this turn has gathered
    std::uint64_t encoded_off = 0;  // without
    std::uint64_t written = 0;
    std::uint64_t in_at = 0;  // stream offset of kept's first byte
    std::uint64_t edge_in_ack = 0;
    bool waits = false;  // was told "not writable"
    std::string kept;    // input not consumed
  };
  struct Pending {  // a step being gathered
    protocol::link::Step step;
    std::string bytes;
    std::size_t timed_end = 0;  // in `bytes`, of step.parts
    std::vector<std::pair<protocol::link::CookieSlot, std::string>> cookies;
  };
  void on_event(std::uint64_t tag, std::uint32_t events) override;
  void on_turn_end() override;
  void on_frame(const protocol::link::FrameView& f);
  void on_attach(const protocol::link::Attach& a) override;
  void on_attached_all() override;
  void on_input(base::ConnId conn, std::uint64_t offset, std::uint64_t in_ack,
                std::string_view bytes) override;
  void on_closed(base::ConnId conn, protocol::link::CloseReason reason) override;
  void on_credit(base::ConnId conn, std::uint64_t written) override;
  void on_expired(base::ConnId conn, std::uint64_t tag) override;
  void on_fate(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) override;
  void on_pending(base::ConnId conn, std::uint64_t tag) override;
  Conn* find(base::ConnId conn);
  Pending* step_of(base::ConnId conn);
  void encode_turn(std::string& out);
  void tell_clock(std::string& out);
  void on_ask(std::string_view payload);
  void send_answer(std::uint64_t number, const Answer& a);
  void on_accepted(std::uint64_t turn);
  void resume_waiting();
  void resume_soon();
  void lose();

  boost::asio::io_context& io_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Events events_;
  std::uint32_t number_;
  EnginePort* engine_ = nullptr;
  EnginePort* accepts_ = nullptr;  // the same; hears what is accepted after stop_input() too
  io::Poller poller_;
  FrameSocket socket_;
  std::vector<Conn> conns_;  // by slot
  std::vector<Pending> steps_;
  std::size_t step_count_ = 0;
  std::size_t gathered_ = 0;    // bytes of these
  std::uint64_t turns_ = 0;     // encoded
  std::uint64_t accepted_ = 0;  // of these
  std::uint64_t version_ = 0;   // of the edge
  bool remote_ = false;
  std::int64_t clock_told_ns_ = 0;
  std::size_t asked_ = 0;   // questions that wait for the engine's answer
  bool deadlines_ = false;  // in what is gathered
  bool lost_ = false;
  bool congested_ = false;  // more waits for the edge than a link may keep
  bool holding_ = false;
  bool going_ = false;             // go() has been
  std::vector<std::string> held_;  // turns of the edge after its attached_all
  std::size_t output_cap_ = 1u << 20;
};

}  // namespace berth::gateway::link
