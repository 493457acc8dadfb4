// Long work of coroutines of the home loop: on a pool's thread, or in parts with breaths between.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace berth::gateway::registry {

// Runs f on the pool and comes back with its result, or its exception.
template <class F>
boost::asio::awaitable<std::invoke_result_t<F>> elsewhere(boost::asio::thread_pool& pool, F f) {
  using T = std::invoke_result_t<F>;
  const auto home = co_await boost::asio::this_coro::executor;
  auto initiate = [&pool, home](auto handler, F work) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    boost::asio::post(pool, [shared, home, work = std::move(work)]() mutable {
      std::exception_ptr failed;
      auto result = std::make_shared<T>();
      try {
        *result = work();
      } catch (...) {
        failed = std::current_exception();
      }
      boost::asio::post(home, [shared, failed, result] { (*shared)(failed, std::move(*result)); });
    });
  };
  co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>,
                                                 void(std::exception_ptr, T)>(
      initiate, boost::asio::use_awaitable, std::move(f));
}

// Others of this thread go first: an import is long, and devices are served here too.
inline boost::asio::awaitable<void> breathe() {
  co_await boost::asio::post(co_await boost::asio::this_coro::executor, boost::asio::use_awaitable);
}

}  // namespace berth::gateway::registry
