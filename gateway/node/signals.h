// The signals of a process: SIGTERM and SIGINT ask it to end, SIGHUP to read its configuration
// again. On the io_context's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <functional>

namespace berth::gateway {

class Signals {
 public:
  struct Events {
    std::function<void()> end;  // each time anew
    std::function<void()> reload;
  };
  Signals(boost::asio::io_context& io, Events events);
  void wait();  // from now on; signals that came before are heard too

 private:
  boost::asio::signal_set signals_;
  Events events_;
};

}  // namespace berth::gateway
