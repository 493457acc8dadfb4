#include "gateway/admin/http_server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <stdexcept>

namespace berth::gateway::admin {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

namespace {
constexpr int kConnectionsMax = 64;
constexpr std::size_t kBodyMax = 64 * 1024;
constexpr auto kRequestMax = std::chrono::seconds(10);
constexpr auto kUse = asio::as_tuple(asio::use_awaitable);
}  // namespace

class HttpServer::Impl : public std::enable_shared_from_this<HttpServer::Impl> {
 public:
  explicit Impl(asio::io_context& io) : acceptor_(io) {}

  static asio::awaitable<void> accept_loop(
      std::shared_ptr<Impl> self) {  // shared: outlives the server object
    for (;;) {
      auto [ec, socket] = co_await self->acceptor_.async_accept(kUse);
      if (ec == asio::error::operation_aborted || !self->acceptor_.is_open()) co_return;
      if (ec || self->connections_ >= kConnectionsMax) continue;
      ++self->connections_;
      asio::co_spawn(self->acceptor_.get_executor(), serve(self, std::move(socket)),
                     asio::detached);
    }
  }

  static asio::awaitable<void> serve(std::shared_ptr<Impl> self, tcp::socket socket) {
    beast::tcp_stream stream(std::move(socket));
    beast::flat_buffer buffer;
    for (;;) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(kBodyMax);
      stream.expires_after(kRequestMax);
      auto [ec, read] = co_await http::async_read(stream, buffer, parser, kUse);
      if (ec) break;
      const bool keep = parser.get().keep_alive();
      Response r = co_await self->answer(parser.get());
      http::response<http::string_body> out(static_cast<http::status>(r.status),
                                            parser.get().version());
      out.set(http::field::content_type, r.content_type);
      out.keep_alive(keep);
      out.body() = std::move(r.body);
      out.prepare_payload();
      auto [ec2, written] = co_await http::async_write(stream, out, kUse);
      if (ec2 || !keep) break;
    }
    --self->connections_;
  }

  asio::awaitable<Response> answer(const http::request<http::string_body>& request) {
    std::string target(request.target());
    target.resize(std::min(target.size(), target.find('?')));
    const auto it = routes_.find(std::string(request.method_string()) + " " + target);
    Response r;
    if (it == routes_.end()) {
      r.status = 404;
      r.body = "no such page\n";
    } else {
      r = co_await it->second();
    }
    co_return r;
  }

  tcp::acceptor acceptor_;
  std::map<std::string, Handler> routes_;
  int connections_ = 0;
};

HttpServer::HttpServer(asio::io_context& io) : impl_(std::make_shared<Impl>(io)) {}
HttpServer::~HttpServer() {
  stop();
}

void HttpServer::route(const std::string& method_and_target, Handler handler) {
  impl_->routes_[method_and_target] = std::move(handler);
}

void HttpServer::listen(const std::string& host, std::uint16_t& port) {
  try {
    const tcp::endpoint at(asio::ip::make_address(host.empty()          ? "0.0.0.0"
                                                  : host == "localhost" ? "127.0.0.1"
                                                                        : host),
                           port);
    impl_->acceptor_.open(at.protocol());
    impl_->acceptor_.set_option(tcp::acceptor::reuse_address(true));
    impl_->acceptor_.bind(at);
    impl_->acceptor_.listen();
  } catch (const boost::system::system_error& e) {
    throw std::runtime_error("admin on " + host + ":" + std::to_string(port) + ": " +
                             e.code().message());
  }
  port = impl_->acceptor_.local_endpoint().port();
  asio::co_spawn(impl_->acceptor_.get_executor(), Impl::accept_loop(impl_), asio::detached);
}

void HttpServer::stop() {
  boost::system::error_code ignored;
  impl_->acceptor_.close(ignored);
}

Response http_request(const std::string& host, std::uint16_t port, const std::string& method,
                      const std::string& target) {
  asio::io_context io;
  tcp::socket socket(io);
  try {
    socket.connect({asio::ip::make_address(host), port});
    http::request<http::empty_body> request(http::string_to_verb(method), target, 11);
    request.set(http::field::host, host);
    request.keep_alive(false);
    http::write(socket, request);
    beast::flat_buffer buffer;
    http::response<http::string_body> response;
    http::read(socket, buffer, response);
    return {static_cast<int>(response.result_int()), "", response.body()};
  } catch (const boost::system::system_error& e) {
    throw std::runtime_error(host + ":" + std::to_string(port) + ": " + e.code().message());
  }
}

}  // namespace berth::gateway::admin
