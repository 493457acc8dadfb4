// Writes the events of a stream to its client until either ends it. The server's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "gateway/admin/connections.h"
#include "gateway/admin/events.h"
#include "gateway/admin/figures.h"

namespace berth::gateway::admin {

// False: the peer is gone, or takes nothing for `stalled`.
boost::asio::awaitable<bool> write_all(Stream& stream, const std::string& bytes,
                                       std::chrono::milliseconds stalled);

// `chunked`: HTTP/1.1. The connection is of no use afterwards.
boost::asio::awaitable<void> write_events(const Limits& limits, Figures& figures, ConnectionPtr c,
                                          std::shared_ptr<StreamState> events, bool chunked);

}  // namespace berth::gateway::admin
