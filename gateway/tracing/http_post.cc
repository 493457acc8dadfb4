#include "gateway/tracing/http_post.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <utility>

namespace berth::gateway::tracing {

namespace asio = boost::asio;
namespace http = boost::beast::http;

HttpPost::HttpPost(asio::io_context& io, const Endpoint& to, const Headers& headers,
                   std::string body, std::shared_ptr<asio::ssl::context> tls)
    : resolver_(io), tls_(std::move(tls)), to_(to) {
  if (tls_) {
    secure_.emplace(io, *tls_);
  } else {
    plain_.emplace(io);
  }
  for (const auto& [name, value] : headers) request_.insert(name, value);
  const bool v6 = to.host.find(':') != std::string::npos;
  request_.version(11);
  request_.method(http::verb::post);
  request_.target(to.path);
  request_.set(http::field::host,
               (v6 ? "[" + to.host + "]" : to.host) + ":" + std::to_string(to.port));
  request_.set(http::field::user_agent, "berth");
  request_.set(http::field::content_type, "application/x-protobuf");
  request_.set(http::field::connection, "close");
  request_.body() = std::move(body);
  request_.prepare_payload();
  parser_.body_limit(kAnswerMax);
}

void HttpPost::start() {
  resolver_.async_resolve(to_.host, std::to_string(to_.port),
                          [self = shared_from_this()](Error ec, const Results& found) {
                            if (!self->failed("name", ec)) self->connect(found);
                          });
}

void HttpPost::connect(const Results& found) {
  tcp().async_connect(found, [self = shared_from_this()](Error ec, const auto&) {
    if (!self->failed("connect", ec)) self->tls_ ? self->handshake() : self->write();
  });
}

// Only a certificate with the endpoint's name will do.
void HttpPost::handshake() {
  Error not_an_address;
  asio::ip::make_address(to_.host, not_an_address);
  if (not_an_address) SSL_set_tlsext_host_name(secure_->native_handle(), to_.host.c_str());
  secure_->set_verify_callback(asio::ssl::host_name_verification(to_.host));
  secure_->async_handshake(asio::ssl::stream_base::client, [self = shared_from_this()](Error ec) {
    if (!self->failed("TLS", ec)) self->write();
  });
}

void HttpPost::write() {
  with_stream([this](auto& stream) {
    http::async_write(stream, request_, [self = shared_from_this()](Error ec, std::size_t) {
      if (!self->failed("write", ec)) self->read();
    });
  });
}

void HttpPost::read() {
  with_stream([this](auto& stream) {
    http::async_read(stream, buffer_, parser_, [self = shared_from_this()](Error ec, std::size_t) {
      if (!self->failed("answer", ec)) self->done_ = true;
    });
  });
}

bool HttpPost::failed(const char* step, Error ec) {
  if (!ec && !done_) return false;
  if (!done_) error_ = std::string(step) + ": " + ec.message();
  done_ = true;
  return true;
}

void HttpPost::cancel() {
  if (done_) return;
  done_ = true;
  error_ = "no answer in time";
  resolver_.cancel();
  tcp().close();
}

HttpAnswer HttpPost::answer() const {
  HttpAnswer a;
  a.error = error_;
  if (!error_.empty()) return a;
  a.status = parser_.get().result_int();
  a.retry_after = parser_.get()[http::field::retry_after];
  a.body = parser_.get().body();
  return a;
}

}  // namespace berth::gateway::tracing
