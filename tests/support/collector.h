// A collector of spans for tests: an HTTP server on 127.0.0.1 that does with each request what the
// test has said, and keeps its body. One thread; ended by the destructor.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gateway/tracing/otlp.pb.h"

namespace berth::test {

class Collector {
 public:
  struct Answer {
    enum What { says, never, closes } what = says;
    unsigned status = 200;
    std::string retry_after = {};
    std::string body = {};
  };
  using Pb = gateway::tracing::pb::ExportRequest;

  // `answers`: of the first requests, one after the other; then 200.
  explicit Collector(std::vector<Answer> answers = {}) : answers_(std::move(answers)) {
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Collector() {
    io_.stop();
    thread_.join();
  }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  // False: it was not so within ten seconds. It looks again every few milliseconds, and with each
  // request.
  bool eventually(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(5));
    }
    return true;
  }
  std::size_t requests() {
    const std::lock_guard lock(mutex_);
    return bodies_.size();
  }
  Pb request(std::size_t n) {
    const std::lock_guard lock(mutex_);
    Pb all;
    EXPECT_TRUE(all.ParseFromString(bodies_.at(n)));
    return all;
  }
  std::string head(std::size_t n) {
    const std::lock_guard lock(mutex_);
    return heads_.at(n);
  }
  // Between two requests, as they came.
  std::chrono::milliseconds between(std::size_t a, std::size_t b) {
    const std::lock_guard lock(mutex_);
    return std::chrono::duration_cast<std::chrono::milliseconds>(came_.at(b) - came_.at(a));
  }

 private:
  using Tcp = boost::asio::ip::tcp;
  using Request = boost::beast::http::request<boost::beast::http::string_body>;
  struct Peer {
    explicit Peer(Tcp::socket s) : stream(std::move(s)) {}
    boost::beast::tcp_stream stream;
    boost::beast::flat_buffer buffer;
    Request request;
    boost::beast::http::response<boost::beast::http::string_body> response;
  };

  void accept() {
    acceptor_.async_accept([this](boost::system::error_code ec, Tcp::socket s) {
      if (ec) return;
      const auto peer = std::make_shared<Peer>(std::move(s));
      peers_.push_back(peer);
      boost::beast::http::async_read(peer->stream, peer->buffer, peer->request,
                                     [this, peer](boost::system::error_code e, std::size_t) {
                                       if (!e) answer(peer);
                                     });
      accept();
    });
  }

  void answer(const std::shared_ptr<Peer>& peer) {
    Answer a;
    {
      const std::lock_guard lock(mutex_);
      if (bodies_.size() < answers_.size()) a = answers_[bodies_.size()];
      bodies_.push_back(peer->request.body());
      heads_.push_back(std::string(peer->request.method_string()) + " " +
                       std::string(peer->request.target()) + " " +
                       std::string(peer->request[boost::beast::http::field::content_type]));
      came_.push_back(std::chrono::steady_clock::now());
    }
    changed_.notify_all();
    if (a.what == Answer::never) return;
    if (a.what == Answer::closes) return peer->stream.close();
    peer->response.result(a.status);
    if (!a.retry_after.empty())
      peer->response.set(boost::beast::http::field::retry_after, a.retry_after);
    peer->response.body() = a.body;
    peer->response.prepare_payload();
    boost::beast::http::async_write(
        peer->stream, peer->response,
        [peer](boost::system::error_code, std::size_t) { peer->stream.close(); });
  }

  std::vector<Answer> answers_;
  boost::asio::io_context io_{1};
  Tcp::acceptor acceptor_{io_, Tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)};
  std::vector<std::shared_ptr<Peer>> peers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> bodies_;
  std::vector<std::string> heads_;
  std::vector<std::chrono::steady_clock::time_point> came_;
  std::thread thread_;
};

}  // namespace berth::test
