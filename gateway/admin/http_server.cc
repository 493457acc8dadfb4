#include "gateway/admin/http_server.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <cctype>
#include <stdexcept>

#include "base/text.h"

namespace berth::gateway::admin {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

namespace {
constexpr int kConnectionsMax = 64;
constexpr auto kRequestMax = std::chrono::seconds(10);
constexpr auto kUse = asio::as_tuple(asio::use_awaitable);
constexpr const char* kText = "text/plain; charset=utf-8";

// GCC 12 destroys some temporaries of a co_await twice: what has strings gets a name there.
Response text(int status, const char* body) {
  return {status, kText, body, {}};
}

Response unauthorized() {
  Response r = text(401, "a token is needed\n");
  r.headers["WWW-Authenticate"] = "Bearer";
  return r;
}

// application/x-www-form-urlencoded
std::string decoded(std::string s) {
  std::replace(s.begin(), s.end(), '+', ' ');
  return base::percent_decoded(s);
}

std::map<std::string, std::string> parse_query(const std::string& query) {
  std::map<std::string, std::string> out;
  for (std::size_t at = 0; at < query.size();) {
    const std::size_t end = std::min(query.find('&', at), query.size());
    const std::string pair = query.substr(at, end - at);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    out[decoded(pair.substr(0, equals))] =
        equals < pair.size() ? decoded(pair.substr(equals + 1)) : "";
    at = end + 1;
  }
  return out;
}

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
      parser.body_limit(self->body_max({}));
      stream.expires_after(kRequestMax);
      auto [ec, head] = co_await http::async_read_header(stream, buffer, parser, kUse);
      if (ec) break;
      const std::size_t most = self->body_max(path_of(parser.get()));
      const auto length = parser.content_length();
      if (length && *length > most) {
        Response r = text(413, "too large\n");
        co_await write(stream, std::move(r), parser.get().version(), false);
        break;
      }
      parser.body_limit(most);
      auto [ec2, body] = co_await http::async_read(stream, buffer, parser, kUse);
      if (ec2) break;
      const bool keep = parser.get().keep_alive();
      Response r = co_await self->answer(parser.get());
      if (!co_await write(stream, std::move(r), parser.get().version(), keep) || !keep) break;
    }
    --self->connections_;
  }

  static asio::awaitable<bool> write(beast::tcp_stream& stream, Response r, unsigned version,
                                     bool keep) {
    http::response<http::string_body> out(static_cast<http::status>(r.status), version);
    out.set(http::field::content_type, r.content_type);
    for (const auto& [name, value] : r.headers) out.set(name, value);
    out.keep_alive(keep);
    out.body() = std::move(r.body);
    out.prepare_payload();
    stream.expires_after(kRequestMax);
    auto [ec, written] = co_await http::async_write(stream, out, kUse);
    co_return !ec;
  }

  static std::string path_of(const http::request<http::string_body>& request) {
    std::string target(request.target());
    target.resize(std::min(target.size(), target.find('?')));
    return target;
  }

  struct Tree {
    std::size_t body_max = 0;
    RequestHandler handler;
  };

  const Tree* tree_of(const std::string& path) const {
    for (const auto& [prefix, tree] : trees_) {
      if (path == prefix || path.starts_with(prefix + "/")) return &tree;
    }
    return nullptr;
  }

  // Empty: the most there is.
  std::size_t body_max(const std::string& path) const {
    std::size_t most = HttpServer::kBodyMax;
    if (!path.empty()) {
      const Tree* tree = tree_of(path);
      return tree != nullptr ? tree->body_max : most;
    }
    for (const auto& [prefix, tree] : trees_) most = std::max(most, tree.body_max);
    return most;
  }

  bool may_ask(const std::string& path, const http::request<http::string_body>& request) const {
    if (token_.empty() || !path.starts_with("/api/")) return true;
    const std::string shown(request[http::field::authorization]);
    const std::string wanted = "Bearer " + token_;
    return shown.size() == wanted.size() &&
           CRYPTO_memcmp(shown.data(), wanted.data(), wanted.size()) == 0;
  }

  asio::awaitable<Response> answer(const http::request<http::string_body>& request) {
    const std::string path = path_of(request);
    if (!may_ask(path, request)) co_return unauthorized();
    const auto it = routes_.find(std::string(request.method_string()) + " " + path);
    if (it != routes_.end()) co_return co_await it->second();
    if (const Tree* tree = tree_of(path)) {
      Request r = request_of(request, path);
      co_return co_await tree->handler(std::move(r));
    }
    co_return text(404, "no such page\n");
  }

  static Request request_of(const http::request<http::string_body>& in, const std::string& path) {
    Request r{.method = std::string(in.method_string()),
              .path = path,
              .query = {},
              .headers = {},
              .body = in.body()};
    const std::string target(in.target());
    if (const std::size_t mark = target.find('?'); mark != std::string::npos)
      r.query = parse_query(target.substr(mark + 1));
    for (const auto& field : in) {
      std::string name(field.name_string());
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      r.headers[name] = std::string(field.value());
    }
    return r;
  }

  tcp::acceptor acceptor_;
  std::map<std::string, Handler> routes_;
  std::map<std::string, Tree> trees_;
  std::string token_;
  int connections_ = 0;
};

HttpServer::HttpServer(asio::io_context& io) : impl_(std::make_shared<Impl>(io)) {}
HttpServer::~HttpServer() {
  stop();
}

void HttpServer::route(const std::string& method_and_target, Handler handler) {
  impl_->routes_[method_and_target] = std::move(handler);
}

void HttpServer::route_under(const std::string& prefix, RequestHandler handler,
                             std::size_t body_max) {
  impl_->trees_[prefix] = {body_max, std::move(handler)};
}

void HttpServer::require_token(std::string token) {
  impl_->token_ = std::move(token);
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
                      const std::string& target, const std::string& token) {
  asio::io_context io;
  tcp::socket socket(io);
  try {
    socket.connect({asio::ip::make_address(host), port});
    http::request<http::empty_body> request(http::string_to_verb(method), target, 11);
    request.set(http::field::host, host);
    if (!token.empty()) request.set(http::field::authorization, "Bearer " + token);
    request.keep_alive(false);
    http::write(socket, request);
    beast::flat_buffer buffer;
    http::response<http::string_body> response;
    http::read(socket, buffer, response);
    return {static_cast<int>(response.result_int()), "", response.body(), {}};
  } catch (const boost::system::system_error& e) {
    throw std::runtime_error(host + ":" + std::to_string(port) + ": " + e.code().message());
  }
}

}  // namespace berth::gateway::admin
