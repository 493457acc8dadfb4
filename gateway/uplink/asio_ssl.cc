// Boost.Asio's own functions for TLS, compiled once (BOOST_ASIO_SEPARATE_COMPILATION in
// cmake/berth.cmake): webhooks are the one place that uses them.
#include <boost/asio/ssl/impl/src.hpp>
