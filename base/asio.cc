// Boost.Asio's own functions, compiled once (BOOST_ASIO_SEPARATE_COMPILATION in cmake/berth.cmake).
#include <boost/asio/impl/src.hpp>
