// One connection of the admin server, from its first request to its end. The server's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "gateway/admin/connections.h"
#include "gateway/admin/http_server.h"

namespace berth::gateway::admin {

// The server, as a conversation sees it; lives as long as the server's loop runs.
struct Service {
  const Limits& limits;
  const Guard& guard;
  Figures& figures;
  std::shared_ptr<std::size_t> body_bytes_left;
  std::function<std::size_t(const std::string& path)> body_max;
  std::function<HttpServer::Answer(Request)> answer;
};

// Until the peer leaves, goes on waiting too long, or is refused; then the connection is closed.
boost::asio::awaitable<void> converse(Service& service, ConnectionPtr c);

}  // namespace berth::gateway::admin
