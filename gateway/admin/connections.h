// The admin server's connections: how many there may be, who makes room for a new one, and the
// bytes that all request bodies together may hold. The server's thread.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "gateway/admin/guard.h"

namespace berth::gateway::admin {

using Stream = boost::beast::basic_stream<boost::asio::generic::stream_protocol>;

struct Limits {
  std::size_t connections = 64;        // then who waits longest for a request makes room
  std::size_t probe_connections = 16;  // on top, for probes and metrics, while all of those work
  std::size_t head_bytes = 16 * 1024;
  std::size_t bodies_bytes = std::size_t{128} << 20;  // of all requests together
  std::chrono::milliseconds idle{60'000};             // between two requests, and before the first
  std::chrono::milliseconds head{10'000};     // from a request's first byte to the end of its head
  std::chrono::milliseconds stalled{30'000};  // a body, or an answer, without a byte of progress
  std::size_t waiting = 512;  // requests whose answers come later (responder.h); of one tenant half
  std::size_t streams = 128;  // of events (events.h); of one tenant a quarter
  std::size_t stream_bytes = std::size_t{256} << 10;  // of one, that its client has not read
  std::chrono::milliseconds stream_look{2'000};       // at its client's credential
  std::chrono::milliseconds stream_quiet{15'000};     // then a comment is sent
  std::chrono::milliseconds stream_age{900'000};      // then it is ended
};

// Bytes of bodies, given back when it ends.
class BodyHold {
 public:
  explicit BodyHold(std::shared_ptr<std::size_t> left) : left_(std::move(left)) {}
  ~BodyHold() { *left_ += held_; }
  BodyHold(const BodyHold&) = delete;
  BodyHold& operator=(const BodyHold&) = delete;
  // To hold `bytes` in all; false: there are not so many left.
  bool grow_to(std::size_t bytes) {
    if (bytes <= held_) return true;
    if (bytes - held_ > *left_) return false;
    *left_ -= bytes - std::exchange(held_, bytes);
    return true;
  }

 private:
  std::shared_ptr<std::size_t> left_;  // shared: a request may end after its server
  std::size_t held_ = 0;
};

struct Connection {
  Connection(boost::asio::generic::stream_protocol::socket socket, Peer who, std::string from)
      : stream(std::move(socket)), peer(std::move(who)), address(std::move(from)) {}
  Stream stream;
  Peer peer;
  std::string address;
  std::uint16_t port = 0;  // of `address`, for the log
  bool probes_only = false;
  bool parked = false;  // its answer comes later, or it is a stream: not one of Limits::connections
  // Of the table that its request is in: those of its tenant who work, or who wait.
  std::shared_ptr<void> place = nullptr;
  bool waits = true;  // for a request's head or credential, since:
  std::chrono::steady_clock::time_point waits_since = std::chrono::steady_clock::now();
};
using ConnectionPtr = std::shared_ptr<Connection>;  // of its coroutine, and of the table

class ConnectionTable {
 public:
  explicit ConnectionTable(const Limits& limits) : limits_(limits) {}
  // False: there is no room. It may close another one, and may admit this one for probes only.
  bool admit(const ConnectionPtr& c);
  void remove(const ConnectionPtr& c) { all_.remove(c); }
  std::size_t size() const { return all_.size(); }
  bool crowded() const { return working() > limits_.connections; }
  void close_all();

 private:
  bool make_room();
  std::size_t working() const;  // and waiting for a request
  const Limits& limits_;
  std::list<ConnectionPtr> all_;
};

}  // namespace berth::gateway::admin
