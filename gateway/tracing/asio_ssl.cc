// Boost.Asio's own functions for TLS, compiled once (BOOST_ASIO_SEPARATE_COMPILATION in
// cmake/berth.cmake): the way to a collector and webhooks are the two places that use them.
#include <boost/asio/ssl/impl/src.hpp>
