#include "gateway/tracing/http_post.h"

#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <utility>

namespace berth::gateway::tracing {

namespace http = boost::beast::http;

HttpPost::HttpPost(boost::asio::io_context& io, const Endpoint& to, std::string body)
    : resolver_(io), stream_(io), to_(to) {
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
  stream_.async_connect(found, [self = shared_from_this()](Error ec, const auto&) {
    if (!self->failed("connect", ec)) self->write();
  });
}

void HttpPost::write() {
  http::async_write(stream_, request_, [self = shared_from_this()](Error ec, std::size_t) {
    if (!self->failed("write", ec)) self->read();
  });
}

void HttpPost::read() {
  http::async_read(stream_, buffer_, parser_, [self = shared_from_this()](Error ec, std::size_t) {
    if (!self->failed("answer", ec)) self->done_ = true;
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
  stream_.close();
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
