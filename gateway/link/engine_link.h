// The engine's end of a link to one edge shard. Gathers a step per connection and encodes the steps
// of a turn as one frame (LinkSet decides when it leaves). Keeps the input an engine has not
// consumed yet (a packet's beginning, a stalled channel). Runs on the engine's thread.
//
// After attached_all, what the edge says is kept until go(): no input runs before the routes of all
// edges are known.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gateway/link/frame_socket.h"
#include "gateway/link/ports.h"
#include "metrics/probe.h"

namespace berth::gateway::link {

class EngineLink final : public runtime::Poller::Handler, private protocol::link::EdgeTurnVisitor {
 public:
  struct Events {
    std::function<void(const protocol::link::Hello&)> hello;  // open the store, then ready()
    std::function<void()> attached_all;                       // answered by go(), perhaps later
    std::function<void()> writable;                           // all that was to be sent has left
    std::function<void()> drain;
    std::function<void()> stop;
    std::function<void(std::uint64_t id)> scrape;
    std::function<void()> lost;
  };
  // `number`: of this link in the engine; the upper bits of its connections' ids there.
  EngineLink(boost::asio::io_context& io, int fd, std::uint32_t number, Events events);
  void use_engine(EnginePort& engine) { engine_ = &engine; }
  // What the edge still says is for the successor.
  void stop_input() { engine_ = nullptr; }
  void ready();
  void go();
  void send_empty(protocol::link::FrameType type);
  void send_samples(std::uint64_t id, const std::vector<metrics::Sample>& samples);
  bool all_sent() const { return socket_.unsent() == 0; }

  // -- as EdgePort
  void send(base::ConnId conn, std::string_view head, std::string_view tail);
  void send_late(base::ConnId conn, std::string_view head, std::string_view tail);
  void acknowledge(base::ConnId conn, std::uint64_t in_ack);
  void cookie(base::ConnId conn, protocol::link::CookieSlot slot, std::string bytes);
  void connected(base::ConnId conn, const protocol::link::EdgeSettings& settings);
  void close(base::ConnId conn, protocol::link::CloseReason reason);
  void release(base::ConnId conn);
  bool writable(base::ConnId conn);
  void reoffer(base::ConnId conn);

  // The frames of the turn that ends: its steps, then, apart, what was to be sent late. Nothing is
  // appended where there is nothing.
  void encode_turn(std::string& out);
  void encode_late(std::string& out);
  bool has_late() const { return !late_.empty(); }
  std::string& out() { return socket_.out(); }
  void flush();

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
    std::vector<std::pair<protocol::link::CookieSlot, std::string>> cookies;
  };
  struct Late {
    base::ConnId conn;
    std::string bytes;
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
  Conn* find(base::ConnId conn);
  Pending* step_of(base::ConnId conn);

  Events events_;
  std::uint32_t number_;
  EnginePort* engine_ = nullptr;
  runtime::Poller poller_;
  FrameSocket socket_;
  std::vector<Conn> conns_;  // by slot
  std::vector<Pending> steps_;
  std::size_t step_count_ = 0;
  std::vector<Late> late_;
  bool holding_ = false;
  std::vector<std::string> held_;  // turns of the edge after its attached_all
  std::size_t output_cap_ = 1u << 20;
};

}  // namespace berth::gateway::link
