#include "bench/load/page.h"

#include <cmath>
#include <cstdio>

#include "bench/load/plot.h"

namespace berth::bench {

namespace {

const char* const kHead = R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>berth bench</title><style>
body{font:15px/1.5 sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%;font-size:13px}
td,th{border-bottom:1px solid #ddd;padding:.2rem .5rem;text-align:right}
svg{width:100%;height:auto;margin:1rem 0;border:1px solid #eee}
pre,code{background:#f5f5f5;padding:.2rem .4rem;white-space:pre-wrap}
.bad{color:#b00020;font-weight:bold}
</style></head><body>
)html";

// The x of percentile p is 1/(1-p), so that each nine has as much room.
Line percentiles(const char* name, const Histogram& h) {
  Line l{.name = name, .points = {}};
  const auto all = static_cast<double>(h.count());
  for (double x = 1; x <= std::max(all, 10.0); x *= 1.12)
    l.points.emplace_back(x, to_ms(h.percentile(100 * (1 - 1 / x))));
  return l;
}

std::string percentile_plot(const Result& r) {
  std::vector<Line> lines;
  const Histograms& h = *r.histograms;
  const auto add = [&lines](const char* name, const Histogram& one) {
    if (one.count() != 0) lines.push_back(percentiles(name, one));
  };
  if (r.by_delivery()) add("delivery", h.delivery);
  add("acknowledgement", h.acknowledgement);
  add("connect", h.connect);
  add("back after a cut", h.back);
  double most = 10;
  for (const Line& l : lines) most = std::max(most, l.points.back().first);
  Axis x{.title = "percentile", .logarithmic = true, .ticks = {}};
  const std::pair<double, const char*> ticks[] = {{1, "0"},        {2, "50"},       {10, "90"},
                                                  {100, "99"},     {1000, "99.9"},  {1e4, "99.99"},
                                                  {1e5, "99.999"}, {1e6, "99.9999"}};
  for (const auto& [v, label] : ticks) {
    if (v <= most) x.ticks.emplace_back(v, label);
  }
  return plot("Latency by percentile", x, {.title = "ms", .logarithmic = true}, lines);
}

std::string time_plots(const Result& r) {
  Line p50{"p50", {}}, p99{"p99", {}}, sent{"sent/s", {}}, received{"received/s", {}};
  Line connections{"connections", {}};
  for (const Second& s : r.seconds) {
    p50.points.emplace_back(s.t_s, s.p50_ms);
    p99.points.emplace_back(s.t_s, s.p99_ms);
    sent.points.emplace_back(s.t_s, s.sent_per_s);
    received.points.emplace_back(s.t_s, s.received_per_s);
    connections.points.emplace_back(s.t_s, static_cast<double>(s.connections));
  }
  const Axis time{.title = "seconds"};
  std::string out = plot("Latency over time", time, {.title = "ms", .logarithmic = true},
                         {p50, p99}, r.troubles_s);
  out += r.plan.scenario.quiet() ? plot("Connections over time", time, {.title = "connections"},
                                        {connections}, r.troubles_s)
                                 : plot("Messages over time", time, {.title = "messages a second"},
                                        {sent, received}, r.troubles_s);
  return out;
}

// How many of those that were cut are back, by the time since.
std::string back_plot(const Result& r) {
  Line l{"connections", {}};
  const Histogram& h = r.histograms->back;
  std::uint64_t n = 0;
  for (std::size_t i = 0; i < Histogram::kSlots; ++i) {
    if (h.at(i) == 0) continue;
    n += h.at(i);
    const double t = static_cast<double>(Histogram::highest_of(i)) / 1e9;
    if (l.points.empty() || t - l.points.back().first > 0.005)
      l.points.emplace_back(t, static_cast<double>(n));
    else
      l.points.back().second = static_cast<double>(n);
  }
  return plot("Connections that are back", {.title = "seconds since they were cut"},
              {.title = "connections"}, {l});
}

std::string sweep_plots(const std::vector<Result>& runs) {
  Line p50{"p50", {}}, p99{"p99", {}}, p999{"p99.9", {}}, reached{"published", {}},
      same{"offered", {}};
  for (const Result& r : runs) {
    const double x = r.plan.scenario.rate;
    p50.points.emplace_back(x, to_ms(r.latency().percentile(50)));
    p99.points.emplace_back(x, to_ms(r.latency().percentile(99)));
    p999.points.emplace_back(x, to_ms(r.latency().percentile(99.9)));
    reached.points.emplace_back(x, r.sent_per_s());
    same.points.emplace_back(x, x);
  }
  const Axis load{.title = "offered: messages published a second", .logarithmic = true};
  return plot("Latency against offered load", load, {.title = "ms", .logarithmic = true},
              {p50, p99, p999}) +
         plot("Load that was reached", load, {.title = "messages a second", .logarithmic = true},
              {reached, same});
}

std::string sweep_table(const std::vector<Result>& runs) {
  std::string out =
      "<table><tr><th>offered/s</th><th>sent/s</th><th>received/s</th><th>p50 ms</th><th>p99 "
      "ms</th>"
      "<th>p99.9 ms</th><th>lost</th><th>CPU s/100k</th></tr>\n";
  for (const Result& r : runs) {
    char row[400];
    const double cpu = r.cpu_s && r.totals.received != 0
                           ? *r.cpu_s * 1e5 / static_cast<double>(r.totals.received)
                           : 0;
    std::snprintf(row, sizeof row,
                  "<tr><td>%.0f</td><td>%.0f</td><td>%.0f</td><td>%.3f</td><td>%.3f</td>"
                  "<td>%.3f</td><td>%llu</td><td>%.3f</td></tr>\n",
                  r.plan.scenario.rate, r.sent_per_s(), r.received_per_s(),
                  to_ms(r.latency().percentile(50)), to_ms(r.latency().percentile(99)),
                  to_ms(r.latency().percentile(99.9)),
                  static_cast<unsigned long long>(r.totals.lost), cpu);
    out += row;
  }
  return out + "</table>\n";
}

}  // namespace

std::string page_of(const std::vector<Result>& runs, const std::string& command) {
  const Result& last = runs.back();
  std::string out = kHead;
  out += "<h1>" + escape_html(last.plan.scenario.name) + "</h1>\n<p><code>" + escape_html(command) +
         "</code></p>\n";
  if (runs.size() > 1) {
    out += sweep_plots(runs) + sweep_table(runs);
    out += "<h2>The last step</h2>\n";
  }
  if (last.totals.lost != 0 || last.totals.sessions_lost != 0)
    out += "<p class='bad'>Messages or sessions were lost.</p>\n";
  out += "<pre>" + escape_html(text_of(last)) + "</pre>\n";
  out += percentile_plot(last);
  if (last.plan.scenario.kind == Kind::storm) out += back_plot(last);
  if (last.seconds.size() > 1) out += time_plots(last);
  out +=
      "<p>Latencies count from the time that a message was due, not from when it could be sent. "
      "Dashed lines: the server was killed, its engine replaced, or all connections cut.</p>\n";
  return out + "</body></html>\n";
}

}  // namespace berth::bench
