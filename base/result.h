// result<T>: a value or an error_code. Run-time failures use it; nothing throws per packet.
#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace berth::base {

using boost::system::error_code;
template <class T>
using result = boost::system::result<T>;

}  // namespace berth::base
