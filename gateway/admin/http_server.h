// A small HTTP server for operators: health, metrics, status, commands. Runs on the shard's
// io_context, one coroutine a connection; at most 64 connections, 10 s a request, 64 KiB a body
// where nothing else is said.
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
  std::map<std::string, std::string> headers;
};

struct Request {
  std::string method;
  std::string path;                            // as it came, without the query
  std::map<std::string, std::string> query;    // decoded
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string header(const std::string& name) const {
    const auto it = headers.find(name);
    return it == headers.end() ? std::string() : it->second;
  }
  std::string parameter(const std::string& name) const {
    const auto it = query.find(name);
    return it == query.end() ? std::string() : it->second;
  }
};

class HttpServer {
 public:
  using Handler = std::function<boost::asio::awaitable<Response>()>;
  explicit HttpServer(boost::asio::io_context& io);
  ~HttpServer();
  // `target` without a query, e.g. "GET /metrics".
  void route(const std::string& method_and_target, Handler handler);
  // All of "/prefix" and "/prefix/…", whatever the method.
  static constexpr std::size_t kBodyMax = 64 * 1024;
  using RequestHandler = std::function<boost::asio::awaitable<Response>(Request)>;
  void route_under(const std::string& prefix, RequestHandler handler,
                   std::size_t body_max = kBodyMax);
  // From now on what is under /api/ needs "Authorization: Bearer {token}".
  void require_token(std::string token);
  void listen(const std::string& host, std::uint16_t& port);  // throws std::runtime_error
  void stop();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // shared with its coroutines, which may end after the server object
};

// One request to an admin port, blocking. Throws std::runtime_error when nobody answers.
Response http_request(const std::string& host, std::uint16_t port, const std::string& method,
                      const std::string& target, const std::string& token = {});

}  // namespace berth::gateway::admin
