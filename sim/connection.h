// The TCP connection of a device or of the platform: comes back by the rule of
// docs/park-protocol.md (1 s, doubled up to 120 s, each +-25 %), sends heartbeats. One thread.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <random>
#include <string>

#include "base/bytes.h"
#include "sim/lot.h"

namespace berth::sim {

struct ConnectionCounts {
  std::uint64_t connects = 0;
  std::uint64_t dropped = 0;  // while it was of use, and not by us
};

class Connection {
 public:
  struct Line {  // what is said on it
    std::function<void()> opened;
    std::function<void()> closed;
    std::function<bool(base::ByteView)> receive;  // false: close
    std::function<std::string&()> out;
    std::function<bool()> ready;
    std::function<void()> ping;
    std::uint32_t heartbeat_s = 30;
  };
  Connection(boost::asio::io_context& io, const Address& to, Line line, ConnectionCounts& counts,
             std::minstd_rand& random);
  void start();
  void flush();                      // after something was said
  void away(std::uint32_t seconds);  // the network is gone for so long; 0: only this connection
  void garbage(const std::string& bytes);  // the other side may well end it then
  void stop();

 private:
  void connect();
  void read();
  void end(bool ours);
  void retry(double seconds);
  void beat();

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer later_;
  boost::asio::steady_timer heartbeat_;
  boost::asio::ip::tcp::endpoint to_;
  Line line_;
  ConnectionCounts& counts_;
  std::minstd_rand& random_;
  std::array<std::uint8_t, 4096> buffer_;
  double wait_s_ = 1;
  bool open_ = false;
  bool writing_ = false;
  bool stopped_ = false;
  bool asked_for_it_ = false;
  std::uint64_t generation_ = 0;  // of the socket: what an earlier one heard is over
  std::string sending_;
};

}  // namespace berth::sim
