// A listening socket of the admin server: TCP, or a Unix socket, abstract (Linux) or at a path,
// that only this user and root may use. All descriptors are close-on-exec. The server's thread.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "gateway/admin/guard.h"

namespace berth::gateway::admin {

using StreamSocket = boost::asio::generic::stream_protocol::socket;

class Listener {
 public:
  explicit Listener(boost::asio::io_context& io) : descriptor_(io) {}
  // Throw std::runtime_error. `port` is filled in; `host` empty: all addresses.
  void listen_tcp(const std::string& host, std::uint16_t& port);
  void listen_local(const std::string& name);
  // At a path, mode 0600, in the place of a socket to which no process listens. False: a process
  // listens there, and has it on; `replace`: not any more. What is no socket is never removed.
  bool listen_at(const std::string& path, bool replace);
  void adopt_local(int fd);  // that listens already
  int native() { return descriptor_.is_open() ? descriptor_.native_handle() : -1; }
  bool is_open() const { return descriptor_.is_open(); }
  void close();
  boost::asio::posix::stream_descriptor& descriptor() { return descriptor_; }

  struct Accepted {
    std::optional<StreamSocket> socket;
    Peer peer;
    std::string address;  // of the peer, without its port; empty: local
    std::uint16_t port = 0;
    bool none = false;     // no connection waits any more
    bool starved = false;  // no descriptor, no memory: the connection waits on
  };
  Accepted accept();  // one, without waiting

 private:
  void take(int fd);
  Accepted accepted(int fd);
  boost::asio::posix::stream_descriptor descriptor_;
  bool local_ = false;
};

// The abstract Unix socket beside a TCP listener; `address` is HOST:PORT.
std::string local_name(const std::string& address);

// Descriptors that are kept open to be given up when there are no others, so that probes are
// answered then too.
class SpareDescriptors {
 public:
  SpareDescriptors();
  ~SpareDescriptors();
  SpareDescriptors(const SpareDescriptors&) = delete;
  SpareDescriptors& operator=(const SpareDescriptors&) = delete;
  bool give_up();  // one; false: there is none left
  void refill();

 private:
  static constexpr int kSpare = 4;
  int held_[kSpare];
};

}  // namespace berth::gateway::admin
