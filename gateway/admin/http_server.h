// A small HTTP/1.1 server for operators: health, metrics, status, commands. On a thread of its own,
// so that nothing that is asked of it, however slowly or often, keeps the devices' loop from its
// work; one coroutine a connection (connections.h has the limits). Who may ask for what: guard.h,
// before a body is read. Handlers run on the server's thread and ask the gateway's loop by home().
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "gateway/admin/connections.h"
#include "gateway/admin/guard.h"
#include "gateway/admin/home_loop.h"
#include "gateway/admin/message.h"

namespace berth::gateway::admin {

// Any thread.
struct Figures {
  std::atomic<std::uint64_t> connections{0};  // now
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> refused_host{0};
  std::atomic<std::uint64_t> refused_origin{0};
  std::atomic<std::uint64_t> refused_token{0};
  std::atomic<std::uint64_t> refused_busy{0};       // no room for a connection or a body
  std::atomic<std::uint64_t> refused_malformed{0};  // or too large
};

class HttpServer {
 public:
  using Answer = boost::asio::awaitable<Response>;
  using Handler = std::function<Answer()>;
  using RequestHandler = std::function<Answer(Request)>;
  static constexpr std::size_t kBodyMax = 64 * 1024;

  explicit HttpServer(boost::asio::io_context& home, Limits limits = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // -- before listen(), on home's thread
  // `target` without a query, e.g. "GET /metrics".
  void route(const std::string& method_and_target, Handler handler);
  void route(const std::string& method_and_target, RequestHandler handler);
  // All of "/prefix" and "/prefix/…", whatever the method.
  void route_under(const std::string& prefix, RequestHandler handler,
                   std::size_t body_max = kBodyMax);
  // The same, with a handler that runs at home and has its state at hand. It may take ten minutes.
  void route_under_at_home(const std::string& prefix, RequestHandler handler,
                           std::size_t body_max = kBodyMax);
  // `guard.token` is asked on the server's thread; listen_host is filled in. Listens at the TCP
  // address and, for who runs on this host as this user, at local_name(HOST:PORT); that one may
  // fail, in a network namespace that is somebody's else say. Starts the thread. Throws
  // std::runtime_error.
  void listen(const std::string& host, std::uint16_t& port, Guard::Options guard);
  bool has_local_socket() const;

  void stop();  // ends the thread and closes everything; requests in work get no answer
  HomeLoop home() const;
  const Figures& figures() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth::gateway::admin
