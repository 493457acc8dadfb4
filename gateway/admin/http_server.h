// A small HTTP server for operators: health, metrics, status, commands. Runs on the shard's
// io_context, one coroutine a connection; at most 64 connections, 10 s a request, 64 KiB a body.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace berth::gateway::admin {

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer {
 public:
  using Handler = std::function<boost::asio::awaitable<Response>()>;
  explicit HttpServer(boost::asio::io_context& io);
  ~HttpServer();
  // `target` without a query, e.g. "GET /metrics".
  void route(const std::string& method_and_target, Handler handler);
  void listen(const std::string& host, std::uint16_t& port);  // throws std::runtime_error
  void stop();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // shared with its coroutines, which may end after the server object
};

// One request to an admin port, blocking. Throws std::runtime_error when nobody answers.
Response http_request(const std::string& host, std::uint16_t port, const std::string& method,
                      const std::string& target);

}  // namespace berth::gateway::admin
