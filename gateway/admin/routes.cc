#include "gateway/admin/routes.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/text.h"

namespace berth::gateway::admin {
namespace {

using Captured = std::map<std::string, std::string>;

// How many segments are literal; nothing: `path` is another one.
std::optional<std::size_t> matched(std::string_view pattern, std::string_view path, Captured& out) {
  std::size_t literal = 0;
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = pattern.substr(0, pattern.find('/', 1));
    const std::string_view there = path.substr(0, path.find('/', 1));
    const std::size_t open = wanted.find('{');
    const std::size_t close = wanted.find('}');
    if (open == std::string_view::npos) {
      if (wanted != there) return std::nullopt;
      ++literal;
    } else {
      const std::string_view end = wanted.substr(close + 1);
      if (!there.ends_with(end) || there.size() <= end.size() + 1) return std::nullopt;
      out[std::string(wanted.substr(open + 1, close - open - 1))] =
          base::percent_decoded(there.substr(1, there.size() - 1 - end.size()));
      if (!end.empty()) ++literal;
    }
    pattern.remove_prefix(wanted.size());
    path.remove_prefix(there.size());
  }
  if (!pattern.empty() || !path.empty()) return std::nullopt;
  return literal;
}

bool is_below(const std::string& path, const std::string& prefix) {
  return path == prefix || path.starts_with(prefix + "/");
}

}  // namespace

void Routes::add(const std::string& method_and_pattern, RouteOptions options,
                 std::variant<Route::Plain, Route::Waiting, Route::Streaming> handler) {
  const std::size_t space = method_and_pattern.find(' ');
  Route r{.method = space == std::string::npos ? "" : method_and_pattern.substr(0, space),
          .pattern = method_and_pattern.substr(space == std::string::npos ? 0 : space + 1),
          .options = options,
          .handler = std::move(handler)};
  std::erase_if(routes_, [&](const Route& old) {
    return old.method == r.method && old.pattern == r.pattern;
  });
  routes_.push_back(std::move(r));
}

Routes::Found Routes::find(const std::string& method, const std::string& path) const {
  Found best;
  std::size_t most = 0;
  std::set<std::string> methods;
  for (const Route& r : routes_) {
    if (r.method.empty()) continue;
    Captured captured;
    const std::optional<std::size_t> literal = matched(r.pattern, path, captured);
    if (!literal) continue;
    methods.insert(r.method);
    if (r.method == "GET") methods.insert("HEAD");
    if (r.method != method || (best.route != nullptr && *literal <= most)) continue;
    best.route = &r;
    best.captured = std::move(captured);
    most = *literal;
  }
  for (const std::string& m : methods) best.allow += (best.allow.empty() ? "" : ", ") + m;
  if (best.route != nullptr || !methods.empty()) return best;
  for (const Route& r : routes_) {
    if (r.method.empty() && is_below(path, r.pattern)) best.route = &r;
  }
  return best;
}

}  // namespace berth::gateway::admin
