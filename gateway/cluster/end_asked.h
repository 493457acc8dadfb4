// Whether this process has been asked to end (SIGTERM, SIGINT), where its loop does not run: while
// it takes over from another edge, which blocks, and when it has handed everything over. Hears of
// signals from its construction on. Owned by run_edge, on the main thread.
#pragma once

#include <signal.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

namespace berth::gateway::cluster {

class EndAsked {
 public:
  EndAsked() {
    signals_.async_wait([this](boost::system::error_code ec, int) { asked_ = asked_ || !ec; });
  }
  bool asked() {
    if (!asked_) io_.poll();
    return asked_;
  }
  void wait() {
    while (!asked_) io_.run_one();
  }

 private:
  boost::asio::io_context io_{1};
  boost::asio::signal_set signals_{io_, SIGTERM, SIGINT};
  bool asked_ = false;
};

}  // namespace berth::gateway::cluster
