#include "gateway/admin/dispatch.h"

#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <exception>

#include "base/log.h"
#include "gateway/admin/await.h"
#include "gateway/admin/problem.h"

namespace berth::gateway::admin {

namespace asio = boost::asio;

namespace {

constexpr auto kBegins = std::chrono::seconds(10);

Response gone() {
  Response r;
  r.status = Dispatch::kGone;
  return r;
}

bool has_left(int fd) {
  char byte = 0;
  const ssize_t n = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

Response no_place(const char* what) {
  Response r = problem(codes::kTooManyRequests, what);
  r.headers["Retry-After"] = "1";
  return r;
}

}  // namespace

void watch_client(const ConnectionPtr& c, std::function<void()> gone) {
  auto& socket = c->stream.socket();
  socket.async_wait(asio::socket_base::wait_read,
                    [c, gone = std::move(gone)](boost::system::error_code ec) {
                      if (ec == asio::error::operation_aborted) return;
                      if (ec || has_left(c->stream.socket().native_handle())) gone();
                    });
}

Dispatch::Dispatch(std::shared_ptr<asio::io_context> io, asio::io_context& home,
                   const Limits& limits, Figures& figures)
    : io_(std::move(io)),
      home_(home),
      limits_(limits),
      figures_(figures),
      working_(limits.connections, std::max<std::size_t>(limits.connections / 2, 1)),
      waiting_(limits.waiting, std::max<std::size_t>(limits.waiting / 2, 1)),
      streams_(limits.streams, std::max<std::size_t>(limits.streams / 4, 1)) {}

bool Dispatch::begin(const Caller& caller, Connection& c) {
  const bool account =
      caller.kind == Caller::Kind::service || caller.kind == Caller::Kind::operator_;
  if (!account) return true;
  c.place = working_.take(caller.share());
  if (c.place == nullptr) ++figures_.refused_busy;
  return c.place != nullptr;
}

void Dispatch::answered(Connection& c) {
  c.parked = false;
  c.place.reset();
  figures_.waiting = waiting_.taken();
}

asio::awaitable<Response> Dispatch::answer(Request request, ConnectionPtr c) {
  std::string why;
  try {
    Response r = co_await route(std::move(request), std::move(c));
    if (r.cut) ++figures_.cut_lists;
    co_return r;
  } catch (const std::exception& e) {
    why = e.what();
  }
  BERTH_LOG(err, "admin request failed error=\"{}\"", why);
  co_return problem(codes::kInternal, "the log of the gateway says why");
}

asio::awaitable<Response> Dispatch::route(Request request, ConnectionPtr c) {
  Routes::Found found = routes_.find(request.method, request.path);
  if (found.route == nullptr) {
    if (found.allow.empty()) co_return problem(codes::kNotFound, "no such page");
    Response r = problem(codes::kMethodNotAllowed, found.allow);
    r.headers["Allow"] = found.allow;
    co_return r;
  }
  request.captured = std::move(found.captured);
  if (const auto* plain = std::get_if<Route::Plain>(&found.route->handler))
    co_return co_await (*plain)(std::move(request));
  if (std::holds_alternative<Route::Waiting>(found.route->handler))
    co_return co_await wait(*found.route, std::move(request), std::move(c));
  co_return co_await stream(*found.route, std::move(request), std::move(c));
}

// No frame of a coroutine may hold the server's loop, which holds the frame: these two are not
// coroutines.
std::shared_ptr<WaitingAnswer> Dispatch::begin_waiting(const Route::Waiting& f, Request request) {
  auto state = std::make_shared<WaitingAnswer>(*io_);
  auto shared = std::make_shared<Request>(std::move(request));
  asio::post(home_, [f, shared, responder = Responder(io_, state)] {
    if (responder.over()) return responder.answer({});
    f(std::move(*shared), responder);
  });
  return state;
}

std::shared_ptr<StreamState> Dispatch::begin_stream(const Route::Streaming& f, Request request) {
  auto state = std::make_shared<StreamState>(*io_, limits_.stream_bytes);
  auto shared = std::make_shared<Request>(std::move(request));
  asio::post(home_, [f, shared, events = EventStream(io_, state)] {
    if (!events.over()) f(std::move(*shared), events);
  });
  return state;
}

asio::awaitable<Response> Dispatch::wait(const Route& route, Request request, ConnectionPtr c) {
  // Until its answer is written: its client may read slowly.
  std::shared_ptr<void> place = waiting_.take(request.caller.share());
  if (place == nullptr) {
    ++figures_.refused_busy;
    co_return no_place("too many requests wait for their answers");
  }
  c->place = std::move(place);
  figures_.waiting = waiting_.taken();
  c->parked = true;
  const auto state = begin_waiting(std::get<Route::Waiting>(route.handler), std::move(request));
  state->give_back = [this, place = c->place]() mutable {
    place.reset();
    figures_.waiting = waiting_.taken();
  };
  watch_client(c, [state] {
    state->gone = true;
    state->over = true;
    state->timer.cancel();
  });
  state->timer.expires_after(route.options.deadline);
  co_await state->timer.async_wait(kUse);
  boost::system::error_code ignored;
  c->stream.socket().cancel(ignored);
  if (state->gone) answered(*c);
  if (state->gone) co_return gone();
  if (!state->response && state->over.exchange(true)) {
    // The answer is on its way: it was given while the deadline passed.
    state->timer.expires_after(kBegins);
    co_await state->timer.async_wait(kUse);
  }
  if (state->response) co_return std::move(*state->response);
  co_return problem(codes::kNoAnswer, "no answer in time");
}

asio::awaitable<Response> Dispatch::stream(const Route& route, Request request, ConnectionPtr c) {
  std::shared_ptr<void> place = streams_.take(request.caller.share());
  if (place == nullptr) {
    ++figures_.refused_busy;
    co_return no_place("too many streams");
  }
  c->place.reset();
  c->parked = true;
  const auto state = begin_stream(std::get<Route::Streaming>(route.handler), std::move(request));
  state->place = std::move(place);
  figures_.streams = streams_.taken();
  state->closed = [this, weak = std::weak_ptr<StreamState>(state)] {
    const auto s = weak.lock();
    if (s == nullptr) return;
    s->place.reset();
    figures_.streams = streams_.taken();
    asio::post(home_, [s] { s->tell_over(); });
  };
  const auto until = std::chrono::steady_clock::now() + kBegins;
  while (!state->begun && !state->refused && std::chrono::steady_clock::now() < until) {
    state->timer.expires_at(until);
    co_await state->timer.async_wait(kUse);
  }
  if (state->begun) {
    Response r;
    r.content_type = "text/event-stream";
    r.stream = state;
    co_return r;
  }
  c->parked = false;
  state->over = true;
  state->closed();
  if (state->refused) co_return std::move(*state->refused);
  co_return problem(codes::kNoAnswer, "no answer in time");
}

}  // namespace berth::gateway::admin
