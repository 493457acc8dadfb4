// How the coroutines of this folder wait: an error is a value of the answer, not an exception.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace berth::gateway::admin {

inline constexpr auto kUse = boost::asio::as_tuple(boost::asio::use_awaitable);

}  // namespace berth::gateway::admin
