// An edge shard's part of a turn, over a real socket: a PUBLISH is read, an engine takes it and
// answers with its PUBACK, which is written.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <string>

#include "bench/micro/iterations.h"
#include "gateway/edge/edge_shard.h"
#include "gateway/link/ports.h"
#include "tests/support/wire.h"

namespace berth {
namespace {

using gateway::edge::EdgeShard;

// Takes all input; at the end of the turn it is acknowledged and answered.
class Answering : public gateway::link::EnginePort {
 public:
  explicit Answering(bool keeps) : keeps_(keeps) {}
  bool serving() const override { return true; }
  bool survives_engine() const override { return keeps_; }
  void attach(const protocol::link::Attach& a) override {
    edge->connected(a.conn, {.connected = true, .version = 5});
  }
  void attached_all() override {}
  std::size_t input(base::ConnId conn, std::uint64_t offset, std::uint64_t,
                    base::ByteView bytes) override {
    conn_ = conn;
    end_ = offset + bytes.size();
    return keeps_ ? 0 : bytes.size();
  }
  void closed(base::ConnId, protocol::link::CloseReason) override {}
  void credit(base::ConnId, std::uint64_t) override {}
  void turn_end() override {
    if (end_ == 0) return;
    edge->acknowledge(conn_, end_);
    edge->send(conn_, "\x40\x02", {"\x00\x07", 2});
    end_ = 0;
  }
  void accepted(std::uint32_t, std::uint64_t) override {}
  EdgeShard* edge = nullptr;

 private:
  bool keeps_;
  base::ConnId conn_ = base::kNoConn;
  std::uint64_t end_ = 0;
};

// 0: the engine is in the same process. 1: the edge keeps the input until it is acknowledged.
void edge_turn(benchmark::State& state) {
  boost::asio::io_context io;
  metrics::EdgeProbe probe;
  Answering engine(state.range(0) == 1);
  EdgeShard edge(io, {}, probe);
  engine.edge = &edge;
  edge.use_engine(engine);
  edge.start();
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
    return state.SkipWithError("socketpair");
  edge.admit_local(fds[0], 0);
  const std::string packet = test::publish("lot/1/gate/3/event", std::string(64, 'x'), 1, 7);
  char answer[64];
  ssize_t answered = 0;
  for (auto _ : state) {
    if (write(fds[1], packet.data(), packet.size()) < 0) return state.SkipWithError("write");
    io.poll();
    answered += recv(fds[1], answer, sizeof answer, 0);
  }
  if (answered != 4 * static_cast<ssize_t>(state.iterations()))
    state.SkipWithError("not all answered");
  edge.stop();
  close(fds[1]);
}
BENCHMARK(edge_turn)->Arg(0)->Arg(1)->Apply(bench::counted);

}  // namespace
}  // namespace berth
