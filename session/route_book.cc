#include "session/route_book.h"

#include <algorithm>

namespace berth::session {

namespace {

constexpr std::int64_t kRouteWait_ms = 5000;  // a SUBSCRIBE waits so long for other partitions
constexpr std::int64_t kRouteIdle_ms = 60'000;
constexpr std::size_t kSweptAtOnce = 5000;  // in a second

}  // namespace

void RouteBook::count(std::string_view raw, int change) {
  Route& r = routes_[std::string(raw)];
  r.count += change;
  if (change > 0 && !r.told) {
    r.told = true;
    ++route_number_;
    if (on_route_) on_route_(raw, true);
  }
  // A group without a member would be given messages; a filter is kept a while: devices come back.
  if (r.count != 0) return;
  if (raw.starts_with("$share/")) return forget(std::string(raw));
  r.idle_since_ms = latest_.ms;
  if (!std::exchange(r.looked_at, true)) idle_routes_.emplace_back(latest_.ms, std::string(raw));
}

void RouteBook::forget(const std::string& raw) {
  routes_.erase(raw);
  ++route_number_;
  if (on_route_) on_route_(raw, false);
}

void RouteBook::sweep(base::Instant now) {
  std::size_t left = kSweptAtOnce;
  for (; !idle_routes_.empty() && left != 0; idle_routes_.pop_front(), --left) {
    const auto& [since_ms, raw] = idle_routes_.front();
    if (now.ms - since_ms <= kRouteIdle_ms) return;
    const auto it = routes_.find(raw);
    if (it == routes_.end()) continue;
    Route& r = it->second;
    r.looked_at = r.count == 0;
    if (r.count != 0) continue;
    if (r.idle_since_ms == since_ms) {
      forget(raw);
    } else {  // it was needed meanwhile
      idle_routes_.emplace_back(r.idle_since_ms, raw);
    }
  }
}

void RouteBook::drop_link(std::uint32_t link) {
  std::erase_if(route_waits_, [link](const RouteWait& w) {
    return w.what.conn != base::kNoConn && w.what.conn.link() == link;
  });
}

void RouteBook::watch(std::function<void(std::string_view raw, bool added)> f) {
  on_route_ = std::move(f);
}

void RouteBook::for_each(const std::function<void(std::string_view raw)>& f) const {
  for (const auto& [raw, r] : routes_) f(raw);
}

bool RouteBook::known() const {
  return known_through() >= route_number_;
}

std::uint64_t RouteBook::known_through() const {
  std::uint64_t through = route_number_;
  for (std::uint32_t p = 0; p < reached_.size(); ++p) {
    if (p != options_.partition) through = std::min(through, reached_[p]);
  }
  return through;
}

void RouteBook::reached(std::uint32_t source, std::uint64_t number, base::Instant now) {
  reached_[source] = std::max(reached_[source], number);
  release_waits(now);
}

// The answer to a SUBSCRIBE leaves when every partition knows of it, so that what anybody publishes
// after having seen the SUBACK is delivered.
// `in_call`: of a Deferred, in whose place it then is.
void RouteBook::await(Channel& ch, std::function<void(base::Instant)> call, bool in_call,
                      base::Instant now) {
  Deferred d;
  d.kind = Deferred::Kind::call;
  d.call = std::move(call);
  d.conn = ch.conn;
  d.in_off = ch.in_off;
  if (in_call) {
    call_waits_on_ = true;
  } else {
    ++ch.pending;
    stall(ch);
  }
  route_waits_.push_back({route_number_, now.ms + kRouteWait_ms, std::move(d)});
}

void RouteBook::release_waits(base::Instant now) {
  const std::uint64_t through = known_through();
  while (!route_waits_.empty()) {
    RouteWait& w = route_waits_.front();
    if (w.number > through && w.until_ms > now.ms) return;
    probe_.route_waits_expired += w.number > through ? 1 : 0;
    Deferred d = std::move(w.what);
    route_waits_.pop_front();
    sink_.run(d, now);
  }
}

}  // namespace berth::session
