// What a run has shown, as it goes to people, JSON and the page.
#pragma once

#include <algorithm>
#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/histogram.h"
#include "bench/load/plan.h"
#include "bench/load/shared.h"

namespace berth::bench {

// The sums over all processes.
struct Totals {
  std::uint64_t sent = 0, acked = 0, received = 0, duplicates = 0, disordered = 0, foreign = 0;
  std::uint64_t unsent = 0, unacknowledged = 0, expected = 0, lost = 0;
  std::uint64_t connects = 0, connect_failures = 0, cuts = 0, sessions_lost = 0, connections = 0;
  std::int64_t last_ns = 0;
};
Totals totals_of(const Shared& shared);

struct Histograms {
  Histogram delivery, acknowledgement, connect, back;
};
void add_histograms(const Shared& shared, Histograms& to);

struct Second {
  double t_s = 0;
  double sent_per_s = 0, received_per_s = 0;
  double p50_ms = 0, p99_ms = 0;
  std::uint64_t connections = 0;
  std::uint64_t errors = 0;  // connections cut and failed since the start
};

struct Result {
  Plan plan;
  bool connected = false;  // all of its connections
  double connect_s = 0;    // until all were
  double wall_s = 0;       // of the run, until the last message
  Totals totals;
  std::unique_ptr<Histograms> histograms = std::make_unique<Histograms>();
  std::vector<Second> seconds;
  std::vector<double> troubles_s;  // when the server was killed, or its engine replaced
  std::optional<double> cpu_s;
  std::optional<double> connect_cpu_s;
  std::optional<double> bytes_per_connection;

  double sent_per_s() const { return static_cast<double>(totals.sent) / std::max(wall_s, 1e-9); }
  double received_per_s() const {
    return static_cast<double>(totals.received) / std::max(wall_s, 1e-9);
  }
  // Of the load that was offered, so much was published and arrived within the time.
  bool saturated() const;
  // The histogram that its latency is in: of deliveries, or else of acknowledgements or connects.
  const Histogram& latency() const;
  const char* latency_name() const;
  bool by_delivery() const;
  int exit_code() const;  // 1: something was lost; 69: the server could not be reached
};

boost::json::object json_of(const Result& r);
// For people: some lines.
std::string text_of(const Result& r);

}  // namespace berth::bench
