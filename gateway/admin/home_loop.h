// The loop that has the gateway's state ("home": the devices' loop of shard 0, or an engine's),
// asked from the admin server's thread. Home pays for the call; what takes long is done on the
// server's thread afterwards. Used on the server's thread only.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace berth::gateway::admin {

inline constexpr std::chrono::seconds kHomeAnswers{10};  // or it is stuck

class HomeLoop {
 public:
  // `home` outlives the server's thread. `server` is shared: what home has not answered yet, or
  // drops when it ends, has a timer in it. Kept weak here: handlers keep a HomeLoop in their
  // frames, and the server's loop keeps the frames.
  HomeLoop(boost::asio::io_context& home, std::weak_ptr<boost::asio::io_context> server)
      : home_(home), server_(std::move(server)) {}

  template <class T>
  using Done = std::function<void(T)>;

  // Calls `start` at home; the answer is what it calls `done` with, once, then or later, on any
  // thread. Nothing: there was no answer within `limit`.
  template <class T>
  boost::asio::awaitable<std::optional<T>> ask(std::function<void(Done<T>)> start,
                                               std::chrono::seconds limit = kHomeAnswers) {
    const std::shared_ptr<Reply<T>> reply = post_home(std::move(start));
    if (reply == nullptr) co_return std::nullopt;
    reply->timer.expires_after(limit);
    co_await reply->timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    co_return std::move(reply->value);
  }

  // Calls `f` at home and returns its result.
  template <class T>
  boost::asio::awaitable<std::optional<T>> call(std::function<T()> f) {
    std::function<void(Done<T>)> start = [f = std::move(f)](const Done<T>& done) { done(f()); };
    return ask<T>(std::move(start));
  }

  boost::asio::io_context& io() const { return home_; }

 private:
  template <class T>
  struct Reply {
    explicit Reply(boost::asio::io_context& io) : timer(io) {}
    boost::asio::steady_timer timer;
    std::optional<T> value;
  };
  template <class T>
  struct Held {  // destroyed from below: the timer before the loop it belongs to
    std::shared_ptr<boost::asio::io_context> server;
    std::shared_ptr<Reply<T>> reply;
  };
  // Nothing in the asking frame may hold the server's loop while it waits.
  template <class T>
  std::shared_ptr<Reply<T>> post_home(std::function<void(Done<T>)> start) {
    std::shared_ptr<boost::asio::io_context> server = server_.lock();
    if (server == nullptr) return nullptr;
    auto reply = std::make_shared<Reply<T>>(*server);
    Held<T> held{std::move(server), reply};
    boost::asio::post(home_, [held = std::move(held), start = std::move(start)] {
      start([held](T value) { answer(held, std::move(value)); });
    });
    return reply;
  }
  // The server's loop holds the reply, but not itself: that would be a circle.
  template <class T>
  static void answer(const Held<T>& held, T value) {
    auto shared = std::make_shared<T>(std::move(value));  // std::function must copy
    boost::asio::post(*held.server, [reply = held.reply, shared] {
      reply->value = std::move(*shared);
      reply->timer.cancel();
    });
  }

  boost::asio::io_context& home_;
  std::weak_ptr<boost::asio::io_context> server_;
};

}  // namespace berth::gateway::admin
