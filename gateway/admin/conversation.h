// One connection of the admin server, from its first request to its end. The server's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "gateway/admin/accounts.h"
#include "gateway/admin/connections.h"
#include "gateway/admin/dispatch.h"
#include "gateway/admin/sessions.h"

namespace berth::gateway::admin {

// The server, as a conversation sees it; lives as long as the server's loop runs.
struct Service {
  const Limits& limits;
  const Guard& guard;
  Figures& figures;
  std::shared_ptr<std::size_t> body_bytes_left;
  Dispatch& dispatch;
  const ConnectionTable& table;
  AccountCheck accounts;  // null: there are none
  Sessions sessions;      // null: the same
};

// Until the peer leaves, goes on waiting too long, or is refused; then the connection is closed.
boost::asio::awaitable<void> converse(Service& service, ConnectionPtr c);

}  // namespace berth::gateway::admin
