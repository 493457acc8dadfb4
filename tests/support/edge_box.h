// An EdgeShard with a link, and the engine's end of that link in the hands of a test: it says steps
// and hears records. One thread; nothing sleeps.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/wall_clock.h"
#include "gateway/edge/edge_shard.h"
#include "gateway/link/edge_link.h"
#include "metrics/probe.h"
#include "protocol/link/records.h"

namespace berth::test {

struct SocketPair {
  SocketPair() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    near = fds[0];
    far = fds[1];
  }
  ~SocketPair() { ::close(far); }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  void say(const std::string& bytes) const {
    ASSERT_EQ(::send(far, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  std::string hear() const {
    std::string all;
    char bytes[4096];
    for (ssize_t n; (n = ::recv(far, bytes, sizeof bytes, 0)) > 0;)
      all.append(bytes, static_cast<std::size_t>(n));
    return all;
  }
  int near = -1;  // of the edge
  int far = -1;
};

class EdgeBox : protected protocol::link::EdgeTurnVisitor {
 public:
  explicit EdgeBox(const gateway::edge::EdgeOptions& options = patient())
      : edge(io, options, probe) {
    edge.use_clock(clock());
    link.open(engine.near, {.edge_id = 1, .output_cap = 1 << 20});
    link.set_serving(true);
    edge.use_engine(link);
    edge.start();
  }
  ~EdgeBox() override {
    edge.stop();
    link.close();
  }
  EdgeBox(const EdgeBox&) = delete;
  EdgeBox& operator=(const EdgeBox&) = delete;

  // Ends no connection because a machine is slow.
  static gateway::edge::EdgeOptions patient() {
    gateway::edge::EdgeOptions o;
    o.connect_timeout_s = 3600;
    o.user_timeout_ms = 3'600'000;
    return o;
  }
  // The edge's, which goes on only when the test says so.
  base::WallClock clock() const {
    return {[this] {
              return base::WallClock::Reading{1'800'000'000'000 + passed_ms, passed_ms};
            },
            1};
  }
  void pass_s(std::int64_t s) { passed_ms += s * 1000; }

  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done() && std::chrono::steady_clock::now() < end) {
      io.run_one_for(std::chrono::milliseconds(5));
      io.poll();
      to_engine += engine.hear();
      if (each_round) each_round();
      take_frames();
    }
    return done();
  }

  protocol::link::Step step(std::uint32_t epoch, std::uint64_t out_off,
                            std::string_view bytes) const {
    protocol::link::Step s;
    s.conn = attached.conn;
    s.attach_epoch = epoch;
    s.out_off = out_off;
    s.bytes = bytes;
    return s;
  }
  void say_turn(const std::vector<protocol::link::Step>& steps, const std::string& behind = {}) {
    std::string frame;
    const std::size_t at = begin_frame(frame, protocol::link::FrameType::turn);
    for (const protocol::link::Step& s : steps) put_step(frame, s);
    frame += behind;
    protocol::link::end_frame(frame, at);
    say(frame);
  }
  // The engine's clock of deadlines is this now.
  void say_clock(std::int64_t ms) {
    std::string frame;
    put_word_frame(frame, protocol::link::FrameType::clock, static_cast<std::uint64_t>(ms));
    say(frame);
  }
  void say_ready(std::uint64_t version) {
    std::string frame;
    const std::size_t at = begin_frame(frame, protocol::link::FrameType::ready);
    base::put_varint(frame, version);
    protocol::link::end_frame(frame, at);
    say(frame);
  }

  boost::asio::io_context io{1};
  metrics::EdgeProbe probe;
  SocketPair engine;
  gateway::edge::EdgeShard edge;
  bool lost = false;
  int readies = 0;
  gateway::link::EdgeLink link{
      io, edge, {.ready = [this] { ++readies; }, .lost = [this] { lost = true; }}};
  std::function<void()> each_round;
  std::string to_engine;
  // What the edge has said.
  protocol::link::Attach attached;
  int inputs = 0;
  std::uint64_t input_at = 0;
  int closes = 0;
  protocol::link::CloseReason closed_as{};
  std::vector<std::uint64_t> expired;  // tags
  struct Fated {
    std::uint64_t tag = 0;
    protocol::link::Fate fate{};
    friend bool operator==(const Fated&, const Fated&) = default;
  };
  std::vector<Fated> fates;
  std::vector<std::uint64_t> pending;  // tags
  std::string order;                   // of what came: A, Z, I, C, X, F, P
  std::int64_t passed_ms = 1'000'000;

 protected:
  void on_attach(const protocol::link::Attach& a) override {
    attached = a;
    order += 'A';
  }
  void on_attached_all() override { order += 'Z'; }
  void on_input(base::ConnId, std::uint64_t offset, std::uint64_t, std::string_view) override {
    ++inputs;
    input_at = offset;
    order += 'I';
  }
  void on_closed(base::ConnId, protocol::link::CloseReason cause) override {
    ++closes;
    closed_as = cause;
    order += 'C';
  }
  void on_credit(base::ConnId, std::uint64_t) override {}
  void on_expired(base::ConnId, std::uint64_t tag) override {
    expired.push_back(tag);
    order += 'X';
  }
  void on_fate(base::ConnId, std::uint64_t tag, protocol::link::Fate fate) override {
    fates.push_back({tag, fate});
    order += 'F';
  }
  void on_pending(base::ConnId, std::uint64_t tag) override {
    pending.push_back(tag);
    order += 'P';
  }

 private:
  void say(std::string_view bytes) {  // more than the socket takes, too
    while (!bytes.empty()) {
      const ssize_t n = ::send(engine.far, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
      if (n <= 0) io.run_one_for(std::chrono::milliseconds(5));
    }
  }
  void take_frames() {
    std::size_t at = 0;
    for (protocol::link::FrameView f; next_frame(std::string_view(to_engine).substr(at), f) ==
                                      protocol::link::FrameResult::complete;
         at += f.size) {
      if (f.type == protocol::link::FrameType::turn) visit_edge_turn(f.payload, *this);
    }
    to_engine.erase(0, at);
  }
};

}  // namespace berth::test
