// Readiness of many descriptors for one shard: an epoll set of our own, itself waited for by the
// shard's io_context. Asio re-arms a readiness wait with one system call each time; this set is
// level triggered and needs none, and hands over all ready descriptors of a turn at once, so that
// output is flushed once per turn.
#pragma once

#include <sys/epoll.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <memory>
#include <vector>

namespace berth::gateway::io {

class Poller {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void on_event(std::uint64_t tag, std::uint32_t events) = 0;
    virtual void on_turn_end() = 0;
  };
  Poller(boost::asio::io_context& io, Handler& handler);
  void start();
  void stop();
  // `tag` comes back in on_event; one may see a stale event of a descriptor removed in the same
  // turn.
  void add(int fd, std::uint64_t tag, std::uint32_t events);
  void modify(int fd, std::uint64_t tag, std::uint32_t events);
  void remove(int fd);

 private:
  void wait();
  void drain();

  Handler& handler_;
  boost::asio::posix::stream_descriptor set_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // a wait may end after us
  std::vector<epoll_event> events_;
};

}  // namespace berth::gateway::io
