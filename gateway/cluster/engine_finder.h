// Finds the addresses of a cluster's engines: it resolves a list of HOST:PORT again and again. A
// name may have many addresses (a headless Service). A name that can't be resolved keeps its last
// addresses. On io's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <string>
#include <vector>

namespace berth::gateway::cluster {

class EngineFinder {
 public:
  using Endpoints = std::vector<boost::asio::ip::tcp::endpoint>;
  struct HostPort {
    std::string host;
    std::string port;
  };
  // "host:port,host:port". Throws std::invalid_argument.
  static std::vector<HostPort> parse(const std::string& names);
  // `loopback_only`: drops addresses that are not loopback. `every_ms`: from one answer to the next
  // look. `found` runs on io's thread, after each look. Throws as parse() does.
  EngineFinder(boost::asio::io_context& io, const std::string& names, std::uint32_t every_ms,
               bool loopback_only, std::function<void(const Endpoints&)> found);
  void start() { look(); }
  void stop();
  void resume();

 private:
  struct Name {
    HostPort at;
    Endpoints last;
  };
  void look();
  void done();

  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::steady_timer again_;
  std::chrono::milliseconds every_;
  bool loopback_only_;
  std::function<void(const Endpoints&)> found_;
  std::vector<Name> names_;
  std::size_t missing_ = 0;
  bool stopped_ = false;
};

}  // namespace berth::gateway::cluster
