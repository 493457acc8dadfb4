// Sockets of connections that have ended, and whose peers must still hear what was said last: a
// socket closed with unread input makes the kernel send RST, and the peer's kernel throws away what
// it has not read, our DISCONNECT with it. Here the sending side is shut down and what comes is
// thrown away, until the peer closes too, kBytesMax have come, or one to two seconds have passed.
//
// At most `most` sockets; the oldest is closed for one more. Not handed over to another process:
// they end with this one. Owns the descriptors; of one shard, one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <deque>

#include "gateway/io/poller.h"

namespace berth::gateway::edge {

class Lingering final : public io::Poller::Handler {
 public:
  static constexpr std::size_t kBytesMax = 256 * 1024;
  Lingering(boost::asio::io_context& io, std::size_t most) : poller_(io, *this), most_(most) {}
  ~Lingering() override { stop(); }
  void start() { poller_.start(); }
  void stop();
  void take(int fd);  // non-blocking
  void tick();        // every second
  bool empty() const { return open_ == 0; }

 private:
  struct Socket {
    int fd = -1;
    std::uint32_t ticks = 0;
    std::size_t bytes = 0;  // thrown away
  };
  void on_event(std::uint64_t tag, std::uint32_t events) override;
  void on_turn_end() override {}
  void read(Socket& s);
  void close(Socket& s);
  void forget_closed();

  io::Poller poller_;
  std::size_t most_;
  std::size_t open_ = 0;
  std::uint64_t first_ = 0;  // number of the first in sockets_, which is its tag
  std::deque<Socket> sockets_;
};

}  // namespace berth::gateway::edge
