// From a request to its answer: finds the route, runs its handler, and waits for those that answer
// later (responder.h) or stream (events.h). The server's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "gateway/admin/connections.h"
#include "gateway/admin/fair_places.h"
#include "gateway/admin/figures.h"
#include "gateway/admin/home_loop.h"
#include "gateway/admin/routes.h"

namespace berth::gateway::admin {

class Dispatch {
 public:
  Dispatch(std::shared_ptr<boost::asio::io_context> io, boost::asio::io_context& home,
           const Limits& limits, Figures& figures);
  Routes& routes() { return routes_; }
  const Routes& routes() const { return routes_; }
  // Status kGone: the client has left.
  boost::asio::awaitable<Response> answer(Request request, ConnectionPtr c);
  static constexpr int kGone = 499;
  // An account's request begins, before its body is read. False: its tenant has half of the
  // connections already, which may be slow to send and to read.
  bool begin(const Caller& caller, Connection& c);
  void answered(Connection& c);  // the answer has been written

 private:
  boost::asio::awaitable<Response> route(Request request, ConnectionPtr c);
  boost::asio::awaitable<Response> wait(const Route& route, Request request, ConnectionPtr c);
  boost::asio::awaitable<Response> stream(const Route& route, Request request, ConnectionPtr c);
  std::shared_ptr<WaitingAnswer> begin_waiting(const Route::Waiting& f, Request request);
  std::shared_ptr<StreamState> begin_stream(const Route::Streaming& f, Request request);

  std::shared_ptr<boost::asio::io_context> io_;  // shared: home_loop.h
  boost::asio::io_context& home_;
  const Limits& limits_;
  Figures& figures_;
  Routes routes_;
  FairPlaces working_;
  FairPlaces waiting_;
  FairPlaces streams_;
};

// Calls `gone` once if the client closes its side, or its connection breaks, before the socket's
// operations are cancelled. A request that follows without waiting ends the watch.
void watch_client(const ConnectionPtr& c, std::function<void()> gone);

}  // namespace berth::gateway::admin
