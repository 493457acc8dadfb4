// The edge's end of a link to an engine process: EnginePort as bytes. One for each edge shard;
// owned by the supervisor, runs on the edge's thread. Steps are applied to the EdgeShard a whole
// turn at once, each only if epoch and offset match.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gateway/edge/edge_shard.h"
#include "gateway/link/frame_socket.h"
#include "gateway/link/ports.h"
#include "metrics/probe.h"

namespace berth::gateway::link {

class EdgeLink final : public EnginePort,
                       public runtime::Poller::Handler,
                       private protocol::link::EngineTurnVisitor {
 public:
  struct Events {
    std::function<void()> ready;  // the engine has restored its store
    std::function<void()> heartbeat;
    std::function<void()> drained;
    std::function<void()> lost;  // end of stream
    std::function<void(std::uint64_t id, std::vector<metrics::Sample>)> samples;
  };
  EdgeLink(boost::asio::io_context& io, edge::EdgeShard& edge, Events events);

  void open(int fd, const protocol::link::Hello& hello);
  void close();  // reads what the peer still said, then forgets it
  void set_serving(bool serving) { serving_ = serving; }
  void send_empty(protocol::link::FrameType type);  // drain, stop
  void scrape(std::uint64_t id);

  bool serving() const override { return serving_; }
  bool survives_engine() const override { return true; }
  void attach(const protocol::link::Attach& a) override;
  void attached_all() override;
  std::size_t input(base::ConnId conn, std::uint64_t offset, std::uint64_t in_ack,
                    base::ByteView bytes) override;
  void closed(base::ConnId conn, protocol::link::CloseReason cause) override;
  void credit(base::ConnId conn, std::uint64_t written) override;
  void turn_end() override;

 private:
  void on_event(std::uint64_t tag, std::uint32_t events) override;
  void on_turn_end() override;
  void on_frame(const protocol::link::FrameView& f);
  void on_step(const protocol::link::Step& s) override;
  std::string& turn();

  edge::EdgeShard& edge_;
  Events events_;
  runtime::Poller poller_;
  FrameSocket socket_;
  std::size_t turn_at_ = 0;
  bool in_turn_ = false;
  bool serving_ = false;
};

void put_samples(std::string& out, std::uint64_t id, const std::vector<metrics::Sample>& samples);
bool get_samples(std::string_view in, std::uint64_t& id, std::vector<metrics::Sample>& samples);

}  // namespace berth::gateway::link
