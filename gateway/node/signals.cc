#include "gateway/node/signals.h"

#include <signal.h>

#include <utility>

namespace berth::gateway {

Signals::Signals(boost::asio::io_context& io, Events events)
    : signals_(io, SIGTERM, SIGINT), events_(std::move(events)) {
  signals_.add(SIGHUP);
}

void Signals::wait() {
  signals_.async_wait([this](boost::system::error_code ec, int number) {
    if (ec) return;
    if (number == SIGHUP) {
      events_.reload();
    } else {
      events_.end();
    }
    wait();
  });
}

}  // namespace berth::gateway
