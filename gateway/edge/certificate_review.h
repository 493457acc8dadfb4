// Certificates of devices on open connections: one that has ended or been revoked, or whose
// authority is gone, ends its connection. All are looked at every two seconds, a part at a time: 16
// signatures and ends, 4,000 connections in 20 ms. A room of the edge; the shard's thread.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstddef>

#include "gateway/edge/acceptor.h"
#include "gateway/edge/edge_context.h"
#include "gateway/edge/endings.h"
#include "gateway/edge/followers.h"
#include "gateway/edge/output.h"

namespace berth::gateway::edge {

class CertificateReview final : private EdgeRoom {
 public:
  CertificateReview(EdgeContext& cx, Followers& followers, Output& output, Endings& endings,
                    Acceptor& acceptor)
      : EdgeRoom(cx),
        followers_(followers),
        output_(output),
        endings_(endings),
        acceptor_(acceptor),
        timer_(io_) {}

  void tick();  // every second

 private:
  void review_some();

  Followers& followers_;
  Output& output_;
  Endings& endings_;
  Acceptor& acceptor_;
  boost::asio::steady_timer timer_;
  std::size_t at_ = 0;  // the next slot
  bool running_ = false;
};

}  // namespace berth::gateway::edge
