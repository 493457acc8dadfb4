// An answer that a handler gives later, from the home loop: kept in a table there until the event
// that it waits for. The server bounds how many wait (Limits::waiting, of one tenant a half; one
// whose client has left counts until the handler answers), ends each at its route's deadline (504)
// and drops the answer when the client has left. Used on home's thread.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "gateway/admin/message.h"

namespace berth::gateway::admin {

// Of one request; shared by its coroutine on the server's thread and its Responders at home.
struct WaitingAnswer {
  explicit WaitingAnswer(boost::asio::io_context& io) : timer(io) {}
  boost::asio::steady_timer timer;   // the server's thread
  std::optional<Response> response;  // the server's thread
  bool gone = false;                 // the same: the client has left
  std::atomic<bool> over{false};     // answered, gone or too late
  // The server's thread: the place of its caller's share, when the handler answers; also where the
  // client has left, for what the handler has begun goes on.
  std::function<void()> give_back;
};

class Responder {
 public:
  Responder(std::shared_ptr<boost::asio::io_context> server, std::shared_ptr<WaitingAnswer> state)
      : server_(std::move(server)), state_(std::move(state)) {}
  // The same request; `seen` is called with each answer that is given by it, also one that is too
  // late.
  Responder watched(std::function<void(const Response&)> seen) const {
    Responder r = *this;
    r.seen_ = std::make_shared<const std::function<void(const Response&)>>(std::move(seen));
    return r;
  }
  // The first answer counts; one that comes too late is dropped.
  void answer(Response r) const {
    if (seen_) (*seen_)(r);
    const bool first = !state_->over.exchange(true);
    auto shared = std::make_shared<Response>(std::move(r));
    boost::asio::post(*server_, [state = state_, first, shared] {
      if (auto give_back = std::exchange(state->give_back, nullptr)) give_back();
      if (!first) return;
      state->response = std::move(*shared);
      state->timer.cancel();
    });
  }
  bool over() const { return state_->over; }  // the client has left, or has its answer

 private:
  std::shared_ptr<boost::asio::io_context> server_;  // behind it: destroyed last
  std::shared_ptr<WaitingAnswer> state_;
  std::shared_ptr<const std::function<void(const Response&)>> seen_;  // of all copies; null: nobody
};

}  // namespace berth::gateway::admin
