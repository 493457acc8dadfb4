#include "gateway/admin/http_client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstring>
#include <optional>
#include <vector>

#include "gateway/admin/await.h"
#include "gateway/admin/connections.h"
#include "gateway/admin/guard.h"
#include "gateway/admin/listener.h"

namespace berth::gateway::admin {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Endpoint = asio::generic::stream_protocol::endpoint;

namespace {

Endpoint tcp_endpoint(const asio::ip::address& a, std::uint16_t port) {
  return Endpoint(asio::ip::tcp::endpoint(a, port));
}

Endpoint local_endpoint(const std::string& name) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  const std::size_t n = std::min(name.size(), sizeof a.sun_path - 1);
  std::memcpy(a.sun_path + 1, name.data(), n);
  return Endpoint(&a, offsetof(sockaddr_un, sun_path) + 1 + n);
}

std::string address_text(const std::string& host, std::uint16_t port) {
  return host + ":" + std::to_string(port);
}

std::vector<Endpoint> endpoints_of(const Ask& ask) {
  std::vector<Endpoint> all;
  if (ask.local && !ask.socket.empty()) {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    if (ask.socket.size() >= sizeof a.sun_path) throw Unreachable(ask.socket + ": path too long");
    ask.socket.copy(a.sun_path, ask.socket.size());
    return {Endpoint(&a, sizeof a)};
  }
  if (ask.local) {
    const std::string host = ask.host == "localhost" ? "127.0.0.1" : ask.host;
    std::vector<std::string> names{ask.host, host};
    if (is_loopback_name(ask.host)) names.insert(names.end(), {"0.0.0.0", "::", ""});
    for (const std::string& h : names)
      all.push_back(local_endpoint(local_name(address_text(h, ask.port))));
    return all;
  }
  boost::system::error_code ec;
  const auto literal = asio::ip::make_address(ask.host, ec);
  if (!ec) return {tcp_endpoint(literal, ask.port)};
  if (ask.host == "localhost")
    return {tcp_endpoint(asio::ip::address_v4::loopback(), ask.port),
            tcp_endpoint(asio::ip::address_v6::loopback(), ask.port)};
  asio::io_context io;
  for (const auto& e : asio::ip::tcp::resolver(io).resolve(ask.host, std::to_string(ask.port), ec))
    all.push_back(Endpoint(e.endpoint()));
  if (all.empty()) throw Unreachable(ask.host + ": " + ec.message());
  return all;
}

// Who listens at the other end of this local connection, where only root and that user are served
// (listener.cc); nothing: it is us, or not known.
std::optional<uid_t> other_user(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return std::nullopt;
  if (::geteuid() == 0 || peer.uid == ::geteuid()) return std::nullopt;
  return peer.uid;
}

struct Talked {
  boost::system::error_code ec;
  bool connected = false;
  std::optional<uid_t> other_user;
  Response response;
};

http::request<http::string_body> request_of(const Ask& ask) {
  http::request<http::string_body> r(http::string_to_verb(ask.method), ask.target, 11);
  const bool v6 = ask.host.find(':') != std::string::npos;
  r.set(http::field::host, address_text(ask.local ? "localhost"
                                        : v6      ? "[" + ask.host + "]"
                                                  : ask.host,
                                        ask.port));
  if (!ask.token.empty()) r.set(http::field::authorization, "Bearer " + ask.token);
  if (!ask.body.empty()) {
    r.set(http::field::content_type, ask.media_type);
    r.body() = ask.body;
  }
  r.keep_alive(false);
  r.prepare_payload();
  return r;
}

asio::awaitable<void> talk(Stream& stream, const Ask& ask, std::vector<Endpoint> where,
                           Talked& out) {
  stream.expires_after(ask.limit);
  for (const Endpoint& e : where) {
    boost::system::error_code ignored;
    stream.socket().close(ignored);
    auto [ec] = co_await stream.async_connect(e, kUse);
    out.ec = ec;
    out.connected = !ec;
    if (!ec || ec == beast::error::timeout) break;
  }
  if (out.ec) co_return;
  if (ask.local) out.other_user = other_user(stream.socket().native_handle());
  if (out.other_user) co_return;
  const http::request<http::string_body> request = request_of(ask);
  auto [ec, written] = co_await http::async_write(stream, request, kUse);
  // A server that refuses answers before it has read everything: the answer counts.
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(ask.answer_max);
  auto [ec2, read] = co_await http::async_read(stream, buffer, parser, kUse);
  out.ec = ec2 ? (ec ? ec : ec2) : ec2;
  if (ec2) co_return;
  http::response<http::string_body> r = parser.release();
  out.response.status = static_cast<int>(r.result_int());
  for (const auto& field : r)
    out.response.headers[lower_case(std::string(field.name_string()))] = std::string(field.value());
  out.response.content_type = out.response.headers["content-type"];
  out.response.body = std::move(r.body());
}

}  // namespace

Response http_request(const Ask& ask) {
  const std::string where = ask.socket.empty() ? address_text(ask.host, ask.port) : ask.socket;
  std::vector<Endpoint> endpoints = endpoints_of(ask);
  asio::io_context io;
  Stream stream(io);
  Talked out;
  asio::co_spawn(io, talk(stream, ask, std::move(endpoints), out), asio::detached);
  io.run();
  if (out.ec == beast::error::timeout)
    throw std::runtime_error(where + ": no answer within " +
                             std::to_string(ask.limit.count() / 1000) + " s");
  if (out.other_user)
    throw OtherUser("the gateway at " + where + " runs as user " + std::to_string(*out.other_user) +
                    ", berth ctl as user " + std::to_string(::geteuid()));
  if (!out.connected) throw Unreachable(where + ": " + out.ec.message());
  if (out.ec) throw std::runtime_error(where + ": " + out.ec.message());
  return std::move(out.response);
}

Response http_request(const std::string& host, std::uint16_t port, const std::string& method,
                      const std::string& target, const std::string& token) {
  Ask ask;
  ask.host = host;
  ask.port = port;
  ask.method = method;
  ask.target = target;
  ask.token = token;
  return http_request(ask);
}

}  // namespace berth::gateway::admin
