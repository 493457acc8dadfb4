// A small HTTP/1.1 server for operators and back ends: health, metrics, records, commands. On a
// thread of its own, so that nothing that is asked of it, however slowly or often, keeps the
// devices' loop from its work; one coroutine a connection (connections.h has the limits). Who may
// ask for what: guard.h, before a body is read. Handlers run on the server's thread and ask the
// gateway's loop by home().
//
// How to add a route, before listen():
//
//   http.route_waiting("POST /api/v1/commands",
//                      [this](Request r, Responder done) { submit(std::move(r), done); },
//                      {.who = For::accounts, .body_max = 64 * 1024, .deadline = 35s});
//
// - route(): a coroutine on the server's thread. route_at_home(): a coroutine on the home loop.
// - route_waiting(): called on the home loop; keep the Responder and call answer() there, once,
// when
//   the answer is known. over(): the client has left, forget it. At the deadline it is 504.
// - route_stream(): called on the home loop; refuse() or begin() within 10 s, then send() events.
//   False from send(), or on_over(): forget the stream.
// - {id} in the path is r.capture("id"), the query r.parameter() after parameters.h has checked it.
// - Accounts of tenants are let in only with .who = For::accounts. Then the handler's first lines
// are
//     if (auto no = refusal_of(r.caller, Right::command, tenant, site)) return done.answer(*no);
//   which is 404 for records of other tenants and 403 for a right that the account has not.
//   r.caller.tenant is the tenant of an account, empty for an administrator; r.caller.id goes into
//   records, and r.caller.trace.traceparent() goes with what the request causes.
// - Errors: problem(codes::kInvalid, "ttl_ms: 1 to 5000"); a new code goes into problem.h and the
//   table of docs/api.md. A change names its fields in Response::changed, for the audit log.
// - The route goes into docs/openapi.yaml, with each error that it gives.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "gateway/admin/accounts.h"
#include "gateway/admin/connections.h"
#include "gateway/admin/figures.h"
#include "gateway/admin/guard.h"
#include "gateway/admin/home_loop.h"
#include "gateway/admin/message.h"
#include "gateway/admin/routes.h"
#include "gateway/admin/sessions.h"

namespace berth::gateway::admin {

class HttpServer {
 public:
  using Answer = boost::asio::awaitable<Response>;
  using Handler = std::function<Answer()>;
  using RequestHandler = std::function<Answer(Request)>;
  explicit HttpServer(boost::asio::io_context& home, Limits limits = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // -- before listen(), on home's thread
  // `target` without a query: "GET /metrics", "GET /api/v1/commands/{id}" (routes.h).
  void route(const std::string& method_and_target, Handler handler, RouteOptions options = {});
  void route(const std::string& method_and_target, RequestHandler handler,
             RouteOptions options = {});
  // The same, with a handler that runs at home and has its state at hand. It may take ten minutes.
  void route_at_home(const std::string& method_and_target, RequestHandler handler,
                     RouteOptions options = {});
  // With an answer that is given later, and as a stream of events. The handlers run at home.
  void route_waiting(const std::string& method_and_target, Route::Waiting handler,
                     RouteOptions options = {});
  void route_stream(const std::string& method_and_target, Route::Streaming handler,
                    RouteOptions options = {});
  // All of "/prefix" and "/prefix/…", whatever the method.
  void route_under(const std::string& prefix, RequestHandler handler, RouteOptions options = {});
  void route_under_at_home(const std::string& prefix, RequestHandler handler,
                           RouteOptions options = {});
  // Checks credentials that are not the admin token; none: all of these are refused.
  void use_accounts(AccountCheck check);
  // Opens the cookies of pages; none: they are no credentials.
  void use_sessions(Sessions sessions);
  // Listens on the Unix socket at this path too, before listen() or behind it, and starts the
  // thread: a process that is not ready for anything else has a probe of its own then. False:
  // another process listens there. Throws std::runtime_error.
  bool listen_at(const std::string& path, bool replace, const Guard::Options& guard);
  // That socket of a server that has stopped. -1: there is none, or give_socket() was called
  // before.
  int give_socket();
  void adopt_socket(int fd,
                    const Guard::Options& guard);  // as listen_at(), with one that was given
  bool has_socket() const;
  // `guard.token` is asked on the server's thread; listen_host is filled in. Listens at the TCP
  // address and, for who runs on this host as this user, at local_name(HOST:PORT); that one may
  // fail, in a network namespace that is somebody's else say. Starts the thread. After listen_at()
  // that guard stays. Throws std::runtime_error.
  void listen(const std::string& host, std::uint16_t& port, Guard::Options guard);
  bool has_local_socket() const;

  void stop();  // ends the thread and closes everything; requests in work get no answer
  HomeLoop home() const;
  const Figures& figures() const;
  void count_cut_resume();  // Figures::cut_resumes; any thread
  const Routes& routes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth::gateway::admin
