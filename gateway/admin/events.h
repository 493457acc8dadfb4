// A stream of Server-Sent Events (text/event-stream) that a handler feeds from the home loop. The
// server bounds how many there are (Limits::streams, of one tenant a quarter) and how much each may
// hold that its client has not read (Limits::stream_bytes: then it is ended and counted), sends a
// comment every Limits::stream_quiet, looks every Limits::stream_look whether the credential still
// includes the same, and ends each after Limits::stream_age, so that the client comes again
// (Last-Event-ID). Used on home's thread.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/admin/message.h"

namespace berth::gateway::admin {

// Of one stream; shared by its coroutine on the server's thread and its EventStreams at home.
class StreamState {
 public:
  StreamState(boost::asio::io_context& server, std::size_t bytes_max)
      : timer(server), bytes_max_(bytes_max) {}

  // -- the server's thread
  boost::asio::steady_timer timer;  // cancelled when there is something to do
  std::deque<std::string> chunks;
  std::optional<Response> refused;
  bool begun = false;
  bool ended = false;            // by the handler
  bool gone = false;             // the client has left
  std::string take();            // what is there to be written
  std::shared_ptr<void> place;   // of the server's bound; until it is closed
  std::function<void()> closed;  // to be called when the client has left
  std::function<void()> cut;     // ends a write that its client does not take
  std::function<boost::asio::awaitable<bool>()> still_allowed;  // asked now and then; null: not

  // -- any thread
  std::atomic<bool> over{false};  // the client has left, or is to
  std::atomic<bool> slow{false};  // above `bytes_max`
  bool hold(std::size_t bytes);   // false: it is too slow
  std::size_t held() const { return held_; }

  // -- home's thread
  std::function<void()> on_over;
  void tell_over();

 private:
  std::size_t bytes_max_;
  std::atomic<std::size_t> held_{0};
  bool told_ = false;
};

class EventStream {
 public:
  EventStream(std::shared_ptr<boost::asio::io_context> server, std::shared_ptr<StreamState> state)
      : server_(std::move(server)), state_(std::move(state)) {}
  void refuse(Response r) const;  // instead of begin()
  void begin() const;             // 200; at the latest 10 s after the request, or it is 503
  // False: the client has left, or reads too slowly; forget the stream. `name` and `id` have no
  // line end; `data` may have.
  bool send(std::string_view name, std::string_view data, std::string_view id = {}) const;
  void end() const;
  bool over() const { return state_->over; }
  std::size_t held() const { return state_->held(); }  // bytes that are not on their way yet
  // Called once on home's thread when the client has left: forget the stream.
  void on_over(std::function<void()> f) const;

 private:
  void post(std::function<void(StreamState&)> f) const;
  std::shared_ptr<boost::asio::io_context> server_;  // destroyed last
  std::shared_ptr<StreamState> state_;
};

// event: NAME, id: ID, a data: line for each line of `data`, an empty line.
std::string event_text(std::string_view name, std::string_view data, std::string_view id);

}  // namespace berth::gateway::admin
