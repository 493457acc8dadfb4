// The engine's end of a link to an edge process: EdgePort as bytes. Gathers a step per connection
// and writes the steps of a turn as one frame. Keeps the input an engine has not consumed yet (a
// packet's beginning, a stalled channel). Runs on the engine's thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gateway/link/frame_socket.h"
#include "gateway/link/ports.h"
#include "metrics/probe.h"

namespace berth::gateway::link {

class EngineLink final : public EdgePort,
                         public runtime::Poller::Handler,
                         private protocol::link::EdgeTurnVisitor {
 public:
  struct Events {
    std::function<void(const protocol::link::Hello&)> hello;  // open the store, then ready()
    std::function<void()> drain;
    std::function<void()> stop;
    std::function<void(std::uint64_t id)> scrape;
    std::function<void()> lost;
  };
  EngineLink(boost::asio::io_context& io, int fd, Events events);
  void use_engine(EnginePort& engine) { engine_ = &engine; }
  // What the edge still says is for the successor.
  void stop_input() { engine_ = nullptr; }
  void ready();
  void send_empty(protocol::link::FrameType type);
  void send_samples(std::uint64_t id, const std::vector<metrics::Sample>& samples);
  bool all_sent() const { return socket_.unsent() == 0; }

  bool wants_cookies() const override { return true; }
  void send(base::ConnId conn, std::string_view head, std::string_view tail) override;
  void acknowledge(base::ConnId conn, std::uint64_t in_ack) override;
  void cookie(base::ConnId conn, protocol::link::CookieSlot slot, std::string bytes) override;
  void connected(base::ConnId conn, const protocol::link::EdgeSettings& settings) override;
  void close(base::ConnId conn, protocol::link::CloseReason reason) override;
  void release(base::ConnId conn) override;
  bool writable(base::ConnId conn) override;
  void reoffer(base::ConnId conn) override;
  void flush() override;

 private:
  struct Conn {
    base::ConnId id = base::kNoConn;
    std::uint32_t epoch = 0;
    std::uint32_t step = 0;  // place + 1 in steps_
    std::uint64_t out_off = 0;
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
  EnginePort* engine_ = nullptr;
  runtime::Poller poller_;
  FrameSocket socket_;
  std::vector<Conn> conns_;  // by slot
  std::vector<Pending> steps_;
  std::size_t step_count_ = 0;
  std::size_t output_cap_ = 1u << 20;
};

}  // namespace berth::gateway::link
