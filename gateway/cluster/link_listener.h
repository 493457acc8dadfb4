// The port at which an engine accepts the links of edges. It sets TCP_NODELAY and TCP_USER_TIMEOUT
// on the sockets. While the process has no descriptor left it tries again every 100 ms. On io's
// thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "base/address.h"
#include "base/log.h"

namespace berth::gateway::cluster {

class LinkListener {
 public:
  using Accepted = std::function<void(int fd, const base::Address& from, std::uint16_t port)>;
  // `port` 0 is filled in. `accepted` owns the descriptor. Throws std::runtime_error.
  LinkListener(boost::asio::io_context& io, const std::string& host, std::uint16_t& port,
               std::uint32_t user_timeout_ms, Accepted accepted);

 private:
  void accept();
  void accept_later(const std::string& why);

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer again_;
  int user_timeout_ms_;
  Accepted accepted_;
};

}  // namespace berth::gateway::cluster
