// The streams by which a partition that serves here takes messages from the others (ADR 10). Each
// is a socket pair; its far end is a connection of this engine's own edge, like a device's. So a
// bridge outlives the engine that it takes messages from. A stream that ends is opened again. On
// the engine's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/edge/edge_shard.h"
#include "gateway/engine/engine_shard.h"
#include "gateway/io/poller.h"
#include "front/bridge.h"

namespace berth::gateway::cluster {

class Bridges final : public io::Poller::Handler {
 public:
  struct Home {
    std::uint32_t partition = 0;
    std::uint32_t partitions = 1;
    std::uint64_t term = 0;  // of the engine as the partition's holder
  };
  Bridges(boost::asio::io_context& io, edge::EdgeShard& inner, engine::EngineShard& engine,
          Home home);
  ~Bridges() override;  // REQUIRES: the engine still exists

 private:
  struct Stream {
    std::uint32_t source = 0;
    int fd = -1;
    bool want_write = false;
    std::uint32_t attempts = 0;
    std::string out;
    std::unique_ptr<session::Bridge> bridge;
  };
  void on_event(std::uint64_t tag, std::uint32_t events) override;
  void on_turn_end() override;
  void open(Stream& s);
  void close(Stream& s);
  bool read(Stream& s);   // false: it has ended
  bool write(Stream& s);  // the same
  void flush();
  void flush_soon();
  void open_later();

  boost::asio::io_context& io_;
  edge::EdgeShard& inner_;
  engine::EngineShard& engine_;
  Home home_;
  io::Poller poller_;
  boost::asio::steady_timer again_;
  std::vector<Stream> streams_;
  std::vector<char> scratch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool flush_posted_ = false;
};

}  // namespace berth::gateway::cluster
