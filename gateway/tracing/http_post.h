// One POST to the collector, on a connection of its own: there is about one a second. Callbacks on
// the thread that runs `io`. Held by its pending operations: whoever gives up calls cancel() and
// may forget it, even while a name is being looked up, which nothing can interrupt.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <memory>
#include <optional>
#include <string>

#include "gateway/tracing/headers.h"
#include "gateway/tracing/options.h"
#include "gateway/tracing/retry.h"

namespace berth::gateway::tracing {

class HttpPost final : public std::enable_shared_from_this<HttpPost> {
 public:
  static constexpr std::size_t kAnswerMax = 64 * 1024;  // bytes; a longer one is an error

  // `tls` null: none. REQUIRES: it is there if the endpoint says https.
  HttpPost(boost::asio::io_context& io, const Endpoint& to, const Headers& headers,
           std::string body, std::shared_ptr<boost::asio::ssl::context> tls);
  void start();
  void cancel();
  bool done() const { return done_; }
  HttpAnswer answer() const;  // REQUIRES: done()

 private:
  using Error = boost::beast::error_code;
  using Results = boost::asio::ip::tcp::resolver::results_type;
  void connect(const Results& found);
  void handshake();
  void write();
  void read();
  boost::beast::tcp_stream& tcp() { return secure_ ? secure_->next_layer() : *plain_; }
  template <class F>
  void with_stream(F&& f) {
    secure_ ? f(*secure_) : f(*plain_);
  }
  // Ends it if there is one.
  bool failed(const char* step, Error ec);

  boost::asio::ip::tcp::resolver resolver_;
  const std::shared_ptr<boost::asio::ssl::context> tls_;
  // One of them.
  std::optional<boost::beast::tcp_stream> plain_;
  std::optional<boost::beast::ssl_stream<boost::beast::tcp_stream>> secure_;
  const Endpoint to_;
  boost::beast::http::request<boost::beast::http::string_body> request_;
  boost::beast::http::response_parser<boost::beast::http::string_body> parser_;
  boost::beast::flat_buffer buffer_;
  std::string error_;
  bool done_ = false;
};

}  // namespace berth::gateway::tracing
