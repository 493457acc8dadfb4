// A connection to an HTTP server for one POST after the other, kept alive between them; HTTP/1.1,
// TLS 1.2 and later. Callbacks on the thread that runs `io`. Held by its pending operations: the
// caller may call close() and forget it, even while a name is being looked up, which nothing can
// interrupt.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "gateway/uplink/url.h"

namespace berth::gateway::uplink {

struct HttpOutcome {
  std::string error;  // why there is no answer; empty: there is one
  bool sent = false;  // the request may have come to the server
  unsigned status = 0;
  std::string retry_after;  // as the server says it
  std::string body;         // at most HttpSession::kAnswerMax bytes, what is behind is not read
};

class HttpSession final : public std::enable_shared_from_this<HttpSession> {
 public:
  static constexpr std::size_t kAnswerMax = 16 * 1024;
  static constexpr std::size_t kReadMax = 64 * 1024;  // bytes with heads, 1xx and what chunks add
  using Request = boost::beast::http::request<boost::beast::http::string_body>;
  using Done = std::function<void(const HttpOutcome&)>;

  // `tls` null: none. `timeout`: of a request, from the name's look-up to the answer's end.
  HttpSession(boost::asio::io_context& io, Url to, std::shared_ptr<boost::asio::ssl::context> tls,
              std::chrono::seconds timeout);
  // REQUIRES: none is under way. A server may have closed the connection that was kept: then it is
  // sent once more, over a new one.
  void post(Request request, Done done);
  // Nothing is called any more.
  void close();

 private:
  using Error = boost::beast::error_code;
  using Results = boost::asio::ip::tcp::resolver::results_type;
  // With what is pending on it: every operation holds it.
  struct Wire;
  void open();
  void connect(const Results& found);
  void handshake();
  void write();
  void read_head();
  void read_more();
  void have_read(Error ec, std::size_t n);
  void fail(const char* step, Error ec);
  void finish(HttpOutcome o);
  void drop();
  // A handler that is not called once the request has ended.
  template <class F>
  auto then(F f);

  boost::asio::io_context& io_;
  const Url to_;
  const std::shared_ptr<boost::asio::ssl::context> tls_;
  const std::chrono::seconds timeout_;
  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::steady_timer deadline_;
  std::shared_ptr<Wire> wire_;  // null: no connection is open
  bool reused_ = false;         // the connection has had a request before this one
  Request request_;
  bool sent_ = false;
  std::size_t read_ = 0;  // bytes of the answer
  Done done_;
  std::uint64_t number_ = 0;  // of the request
};

}  // namespace berth::gateway::uplink
