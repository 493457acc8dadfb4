#include "gateway/admin/http_server.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <stdexcept>
#include <thread>
#include <utility>

#include "base/log.h"
#include "gateway/admin/await.h"
#include "gateway/admin/conversation.h"
#include "gateway/admin/dispatch.h"
#include "gateway/admin/listener.h"
#include "gateway/admin/problem.h"

namespace berth::gateway::admin {

namespace asio = boost::asio;

namespace {
constexpr auto kStarvedPause = std::chrono::milliseconds(200);
constexpr std::chrono::seconds kAtHomeMax{600};

HttpServer::Answer at_home(HomeLoop home, HttpServer::RequestHandler handler, Request request) {
  auto shared = std::make_shared<Request>(std::move(request));  // std::function must copy
  std::function<void(HomeLoop::Done<Response>)> start =
      [shared, handler = std::move(handler), &io = home.io()](HomeLoop::Done<Response> done) {
        asio::co_spawn(
            io, handler(std::move(*shared)),
            [done = std::move(done)](const std::exception_ptr& failed, Response r) {
              done(failed ? problem(codes::kInternal, "the handler failed") : std::move(r));
            });
      };
  std::optional<Response> r = co_await home.ask<Response>(std::move(start), kAtHomeMax);
  co_return r ? std::move(*r) : problem(codes::kUnavailable, "no answer in time");
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(asio::io_context& home, const Limits& limits)
      : io_(std::make_shared<asio::io_context>(1)),
        home_(home, io_),
        limits_(limits),
        body_bytes_left_(std::make_shared<std::size_t>(limits.bodies_bytes)),
        table_(limits_),
        listeners_{Listener(*io_), Listener(*io_), Listener(*io_)},
        dispatch_(io_, home, limits_, figures_) {}

  ~Impl() {
    stop();
    if (given_ >= 0) ::close(given_);
  }

  void listen(const std::string& host, std::uint16_t& port, Guard::Options options) {
    try {
      listeners_[0].listen_tcp(host, port);
    } catch (const std::runtime_error& e) {
      throw std::runtime_error("admin on " + host + ":" + std::to_string(port) + ": " + e.what());
    }
    try {
      const std::string at = host == "localhost" ? "127.0.0.1" : host;
      listeners_[1].listen_local(local_name(at + ":" + std::to_string(port)));
    } catch (const std::runtime_error& e) {
      BERTH_LOG(warn, "no local admin socket: berth ctl needs the token error=\"{}\"", e.what());
    }
    options.listen_host = host;
    begin(std::move(options));
    for (std::size_t i : {0, 1}) {
      if (listeners_[i].is_open()) accept(listeners_[i]);
    }
  }

  bool listen_at(const std::string& path, bool replace, const Guard::Options& options) {
    try {
      if (!listeners_[2].listen_at(path, replace)) return false;
    } catch (const std::runtime_error& e) {
      throw std::runtime_error("admin.socket " + path + ": " + e.what());
    }
    begin(options);
    accept(listeners_[2]);
    return true;
  }

  void adopt_socket(int fd, const Guard::Options& options) {
    listeners_[2].adopt_local(fd);
    begin(options);
    accept(listeners_[2]);
  }

  // Of a stopped server: its thread has ended.
  int give_socket() { return std::exchange(given_, -1); }
  bool has_socket() const { return listeners_[2].is_open(); }

  void stop() {
    io_->stop();
    if (thread_.joinable()) thread_.join();
    if (listeners_[2].is_open()) given_ = ::fcntl(listeners_[2].native(), F_DUPFD_CLOEXEC, 0);
    for (Listener& l : listeners_) l.close();
    table_.close_all();
  }

  bool has_local_socket() const { return listeners_[1].is_open(); }

  Routes& routes() { return dispatch_.routes(); }
  void use_accounts(AccountCheck check) { accounts_ = std::move(check); }
  void use_sessions(Sessions sessions) { sessions_ = std::move(sessions); }
  HomeLoop& home() { return home_; }
  const Figures& figures() const { return figures_; }
  Figures& figures() { return figures_; }

 private:
  void begin(Guard::Options options) {
    if (service_) return;
    guard_.emplace(std::move(options));
    service_.emplace(Service{limits_, *guard_, figures_, body_bytes_left_, dispatch_, table_,
                             std::move(accounts_), std::move(sessions_)});
    thread_ = std::thread([this, work = asio::make_work_guard(*io_)] {
      pthread_setname_np(pthread_self(), "admin");
      io_->run();
    });
  }
  void accept(Listener& l) { asio::co_spawn(*io_, accept_from(l), asio::detached); }

  asio::awaitable<void> accept_from(Listener& listener) {
    asio::steady_timer pause(*io_);
    for (;;) {
      auto [ec] = co_await listener.descriptor().async_wait(
          asio::posix::stream_descriptor::wait_read, kUse);
      if (ec) co_return;
      bool starved = false;
      for (bool more = true; more && !starved;) {
        Listener::Accepted a = listener.accept();
        more = !a.none;
        starved = a.starved && !spare_.give_up();
        if (a.socket) greet(std::move(a));
      }
      if (!starved) continue;
      // The listening socket stays readable: without a pause this loop would turn for nothing.
      pause.expires_after(kStarvedPause);
      auto [aborted] = co_await pause.async_wait(kUse);
      if (aborted) co_return;
    }
  }

  void greet(Listener::Accepted a) {
    auto c =
        std::make_shared<Connection>(std::move(*a.socket), std::move(a.peer), std::move(a.address));
    c->port = a.port;
    if (!table_.admit(c)) {
      ++figures_.refused_busy;
      return;
    }
    figures_.connections = table_.size();
    asio::co_spawn(*io_, serve(c), asio::detached);
  }

  asio::awaitable<void> serve(ConnectionPtr c) {
    co_await converse(*service_, c);
    c->stream.close();
    table_.remove(c);
    figures_.connections = table_.size();
    spare_.refill();
  }

  std::shared_ptr<asio::io_context> io_;  // shared: home_loop.h
  HomeLoop home_;
  const Limits limits_;
  std::shared_ptr<std::size_t> body_bytes_left_;
  ConnectionTable table_;
  std::array<Listener, 3> listeners_;  // TCP, abstract, at a path
  SpareDescriptors spare_;
  Figures figures_;
  Dispatch dispatch_;
  AccountCheck accounts_;  // until listen()
  Sessions sessions_;      // the same
  std::optional<Guard> guard_;
  std::optional<Service> service_;
  std::thread thread_;
  int given_ = -1;  // the third listening socket, after stop()
};

HttpServer::HttpServer(asio::io_context& home, Limits limits)
    : impl_(std::make_unique<Impl>(home, limits)) {}
HttpServer::~HttpServer() = default;

void HttpServer::route(const std::string& method_and_target, Handler handler,
                       RouteOptions options) {
  route(method_and_target, RequestHandler([f = std::move(handler)](const Request&) { return f(); }),
        options);
}

void HttpServer::route(const std::string& method_and_target, RequestHandler handler,
                       RouteOptions options) {
  impl_->routes().add(method_and_target, options, std::move(handler));
}

void HttpServer::route_at_home(const std::string& method_and_target, RequestHandler handler,
                               RouteOptions options) {
  const HomeLoop home = impl_->home();
  route(method_and_target, RequestHandler([home, handler = std::move(handler)](Request r) {
          return at_home(home, handler, std::move(r));
        }),
        options);
}

void HttpServer::route_waiting(const std::string& method_and_target, Route::Waiting handler,
                               RouteOptions options) {
  impl_->routes().add(method_and_target, options, std::move(handler));
}

void HttpServer::route_stream(const std::string& method_and_target, Route::Streaming handler,
                              RouteOptions options) {
  impl_->routes().add(method_and_target, options, std::move(handler));
}

void HttpServer::route_under(const std::string& prefix, RequestHandler handler,
                             RouteOptions options) {
  route(prefix, std::move(handler), options);
}

void HttpServer::route_under_at_home(const std::string& prefix, RequestHandler handler,
                                     RouteOptions options) {
  route_at_home(prefix, std::move(handler), options);
}

void HttpServer::use_accounts(AccountCheck check) {
  impl_->use_accounts(std::move(check));
}

void HttpServer::use_sessions(Sessions sessions) {
  impl_->use_sessions(std::move(sessions));
}

const Routes& HttpServer::routes() const {
  return impl_->routes();
}

void HttpServer::listen(const std::string& host, std::uint16_t& port, Guard::Options guard) {
  impl_->listen(host, port, std::move(guard));
}

bool HttpServer::has_local_socket() const {
  return impl_->has_local_socket();
}

bool HttpServer::listen_at(const std::string& path, bool replace, const Guard::Options& guard) {
  return impl_->listen_at(path, replace, guard);
}

int HttpServer::give_socket() {
  return impl_->give_socket();
}

void HttpServer::adopt_socket(int fd, const Guard::Options& guard) {
  impl_->adopt_socket(fd, guard);
}

bool HttpServer::has_socket() const {
  return impl_->has_socket();
}

void HttpServer::stop() {
  impl_->stop();
}

HomeLoop HttpServer::home() const {
  return impl_->home();
}

void HttpServer::count_cut_resume() {
  ++impl_->figures().cut_resumes;
}

const Figures& HttpServer::figures() const {
  return impl_->figures();
}

}  // namespace berth::gateway::admin
