// Which handler answers which request. A pattern is "GET /api/v1/commands/{id}": {id} stands for
// one non-empty segment, also with a fixed end ("{id}:cancel"); a literal segment comes before a
// {name}. A tree is all of "/prefix" and "/prefix/…", whatever the method; patterns come before
// trees. The server's thread; filled before it runs.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "gateway/admin/events.h"
#include "gateway/admin/message.h"
#include "gateway/admin/responder.h"

namespace berth::gateway::admin {

inline constexpr std::size_t kBodyMax = 64 * 1024;

// Closed by default: accounts of the registry have to be let in, and the handler asks refusal_of().
enum class For { admin, accounts };

struct RouteOptions {
  For who = For::admin;
  std::size_t body_max = kBodyMax;
  std::chrono::milliseconds deadline{30'000};  // of a waiting handler's answer
};

struct Route {
  using Plain = std::function<boost::asio::awaitable<Response>(Request)>;
  using Waiting = std::function<void(Request, Responder)>;      // at home
  using Streaming = std::function<void(Request, EventStream)>;  // at home
  std::string method;                                           // empty: a tree
  std::string pattern;                                          // "/api/v1/commands/{id}"
  RouteOptions options;
  std::variant<Plain, Waiting, Streaming> handler;
};

class Routes {
 public:
  // The last one of the same method and pattern counts. REQUIRES: "METHOD /pattern" or, of a tree,
  // "/prefix".
  void add(const std::string& method_and_pattern, RouteOptions options,
           std::variant<Route::Plain, Route::Waiting, Route::Streaming> handler);
  struct Found {
    const Route* route = nullptr;  // null: none
    std::map<std::string, std::string> captured;
    std::string
        allow;  // the path has routes of these methods, "GET, HEAD, POST"; empty: it has none
  };
  // `path`: as it came, without the query.
  Found find(const std::string& method, const std::string& path) const;
  const std::vector<Route>& all() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace berth::gateway::admin
