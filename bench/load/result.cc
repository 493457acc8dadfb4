#include "bench/load/result.h"

#include <boost/json/array.hpp>
#include <cstdio>

#include "base/exit_codes.h"

namespace berth::bench {

namespace {

namespace json = boost::json;
// A step of a sweep has reached its rate with so much of it.
constexpr double kReached = 0.95;
constexpr double kTooLate_ms = 1000;

json::object percentiles(const Histogram& h) {
  return {{"count", h.count()},
          {"p50", to_ms(h.percentile(50))},
          {"p90", to_ms(h.percentile(90))},
          {"p99", to_ms(h.percentile(99))},
          {"p99_9", to_ms(h.percentile(99.9))},
          {"max", to_ms(h.max())},
          {"mean", h.mean() / 1e6}};
}

json::object shape(const Plan& p) {
  const Scenario& s = p.scenario;
  return {{"publishers", s.publishers}, {"subscribers", s.subscribers},
          {"topics", s.topics},         {"qos", s.qos},
          {"payload", s.payload},       {"durable", s.durable},
          {"offline", s.offline},       {"keep_alive_s", s.keep_alive_s}};
}

template <class... A>
std::string line(const char* format, A... a) {
  char text[256];
  std::snprintf(text, sizeof text, format, a...);
  return text;
}

std::string latencies(const char* name, const Histogram& h) {
  if (h.count() == 0) return {};
  return line("%-16s p50 %.3f  p90 %.3f  p99 %.3f  p99.9 %.3f  max %.3f ms\n", name,
              to_ms(h.percentile(50)), to_ms(h.percentile(90)), to_ms(h.percentile(99)),
              to_ms(h.percentile(99.9)), to_ms(h.max()));
}

}  // namespace

Totals totals_of(const Shared& shared) {
  Totals t;
  for (std::uint32_t i = 0; i < shared.processes(); ++i) {
    const Counts& c = shared.counts(i);
    t.sent += get(c.sent);
    t.acked += get(c.acked);
    t.received += get(c.received);
    t.duplicates += get(c.duplicates);
    t.disordered += get(c.disordered);
    t.foreign += get(c.foreign);
    t.unsent += get(c.unsent);
    t.unacknowledged += get(c.unacknowledged);
    t.expected += get(c.expected);
    t.lost += get(c.lost);
    t.connects += get(c.connects);
    t.connect_failures += get(c.connect_failures);
    t.cuts += get(c.cuts);
    t.sessions_lost += get(c.sessions_lost);
    t.connections += get(c.connections);
    t.last_ns = std::max(t.last_ns, c.last_ns.load());
  }
  return t;
}

void add_histograms(const Shared& shared, Histograms& to) {
  for (std::uint32_t i = 0; i < shared.processes(); ++i) {
    const Counts& c = shared.counts(i);
    to.delivery.add(c.delivery);
    to.acknowledgement.add(c.acknowledgement);
    to.connect.add(c.connect);
    to.back.add(c.back);
  }
}

bool Result::saturated() const {
  const auto sent = static_cast<double>(totals.sent);
  return sent_per_s() < kReached * plan.scenario.rate ||
         static_cast<double>(totals.unacknowledged) > (1 - kReached) * sent ||
         to_ms(latency().percentile(99)) > kTooLate_ms;
}

const Histogram& Result::latency() const {
  if (plan.scenario.kind == Kind::storm) return histograms->back;
  if (plan.scenario.quiet()) return histograms->connect;
  return by_delivery() ? histograms->delivery : histograms->acknowledgement;
}

// Subscribers that were away have their messages late by intention.
bool Result::by_delivery() const {
  return histograms->delivery.count() != 0 && !plan.scenario.offline;
}

const char* Result::latency_name() const {
  if (plan.scenario.kind == Kind::storm) return "back after the cut";
  if (plan.scenario.quiet()) return "connect";
  return by_delivery() ? "delivery" : "acknowledgement";
}

int Result::exit_code() const {
  if (!connected) return base::kExitUnavailable;
  return totals.lost != 0 || totals.sessions_lost != 0 ? 1 : 0;
}

json::object json_of(const Result& r) {
  const Totals& t = r.totals;
  const Plan& p = r.plan;
  json::object o{{"scenario", p.scenario.name},
                 {"target", p.target.url},
                 {"shape", shape(p)},
                 {"loop", p.open_loop() ? "open" : "closed"},
                 {"offered_per_s", p.open_loop() ? p.scenario.rate : 0.0},
                 {"window", p.window},
                 {"processes", p.processes},
                 {"connected", r.connected},
                 {"connect_s", r.connect_s},
                 {"wall_s", r.wall_s},
                 {"sent", t.sent},
                 {"acked", t.acked},
                 {"received", t.received},
                 {"sent_per_s", r.sent_per_s()},
                 {"received_per_s", r.received_per_s()},
                 {"expected", t.expected},
                 {"lost", t.lost},
                 {"duplicates", t.duplicates},
                 {"disordered", t.disordered},
                 {"unsent", t.unsent},
                 {"unacknowledged", t.unacknowledged},
                 {"foreign", t.foreign},
                 {"connections", t.connections},
                 {"connects", t.connects},
                 {"connect_failures", t.connect_failures},
                 {"cuts", t.cuts},
                 {"sessions_lost", t.sessions_lost},
                 {"delivery_ms", percentiles(r.histograms->delivery)},
                 {"ack_ms", percentiles(r.histograms->acknowledgement)},
                 {"connect_ms", percentiles(r.histograms->connect)},
                 {"back_ms", percentiles(r.histograms->back)}};
  const auto messages = static_cast<double>(std::max(t.received, t.acked));
  if (r.cpu_s) {
    o["cpu_s"] = *r.cpu_s;
    if (messages > 0) o["cpu_s_per_100k"] = *r.cpu_s * 1e5 / messages;
  }
  if (r.connect_cpu_s) o["connect_cpu_s"] = *r.connect_cpu_s;
  if (r.bytes_per_connection) o["bytes_per_connection"] = *r.bytes_per_connection;
  json::array troubles(r.troubles_s.begin(), r.troubles_s.end());
  o["troubles_s"] = std::move(troubles);
  json::array seconds;
  for (const Second& s : r.seconds) {
    seconds.push_back(json::object{{"t", s.t_s},
                                   {"sent_per_s", s.sent_per_s},
                                   {"received_per_s", s.received_per_s},
                                   {"p50_ms", s.p50_ms},
                                   {"p99_ms", s.p99_ms},
                                   {"connections", s.connections},
                                   {"errors", s.errors}});
  }
  o["seconds"] = std::move(seconds);
  return o;
}

std::string text_of(const Result& r) {
  const Totals& t = r.totals;
  const auto n = [](std::uint64_t v) { return static_cast<unsigned long long>(v); };
  std::string out =
      line("%s at %s: %s loop, %.1f s\n", r.plan.scenario.name.c_str(), r.plan.target.url.c_str(),
           r.plan.open_loop() ? "open" : "closed", r.wall_s);
  if (!r.connected) out += "NOT ALL CONNECTED\n";
  if (!r.plan.scenario.quiet()) {
    out += line("sent %llu (%.0f/s), received %llu (%.0f/s), acknowledged %llu\n", n(t.sent),
                r.sent_per_s(), n(t.received), r.received_per_s(), n(t.acked));
    out += line(
        "LOST %llu of %llu; doubled %llu, out of order %llu, not acknowledged %llu, "
        "due and not sent %llu\n",
        n(t.lost), n(t.expected), n(t.duplicates), n(t.disordered), n(t.unacknowledged),
        n(t.unsent));
  }
  out +=
      line("connections %llu in %.2f s, connects %llu, failed %llu, cut %llu, sessions lost %llu\n",
           n(t.connections), r.connect_s, n(t.connects), n(t.connect_failures), n(t.cuts),
           n(t.sessions_lost));
  out += latencies("delivery", r.histograms->delivery);
  out += latencies("acknowledgement", r.histograms->acknowledgement);
  out += latencies("connect", r.histograms->connect);
  out += latencies("back", r.histograms->back);
  if (r.cpu_s && t.received + t.acked != 0) {
    out += line("server: %.3f CPU s for 100,000 messages\n",
                *r.cpu_s * 1e5 / static_cast<double>(std::max(t.received, t.acked)));
  }
  if (r.connect_cpu_s && t.connects != 0) {
    out += line("server: %.1f CPU us for a connect\n",
                *r.connect_cpu_s * 1e6 / static_cast<double>(t.connects));
  }
  if (r.bytes_per_connection && *r.bytes_per_connection > 0)
    out += line("server: %.0f bytes a connection\n", *r.bytes_per_connection);
  return out;
}

}  // namespace berth::bench
