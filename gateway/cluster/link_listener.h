// The port at which an engine waits for edges. Sockets come with TCP_NODELAY and TCP_USER_TIMEOUT.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <string>

namespace berth::gateway::cluster {

class LinkListener {
 public:
  // `port` 0 is filled in. `accepted` owns the descriptor. Throws std::runtime_error.
  LinkListener(boost::asio::io_context& io, const std::string& host, std::uint16_t& port,
               std::uint32_t user_timeout_ms, std::function<void(int fd)> accepted);

 private:
  void accept();

  boost::asio::ip::tcp::acceptor acceptor_;
  int user_timeout_ms_;
  std::function<void(int)> accepted_;
};

}  // namespace berth::gateway::cluster
