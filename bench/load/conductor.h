// One run from the parent's side: its processes, their phases, what is seen of them each second,
// and what happens to the server meanwhile.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "bench/load/hdr_log.h"
#include "bench/load/result.h"
#include "bench/load/server.h"
#include "bench/load/server_cost.h"

namespace berth::bench {

class Conductor {
 public:
  struct Options {
    Server* server = nullptr;        // null: not ours, nothing happens to it by us
    std::vector<pid_t> server_pids;  // whose cost is measured, besides
    HdrLog* log = nullptr;
    bool progress = true;  // a line each second, to stderr
  };
  Conductor(const Plan& plan, Options options);
  ~Conductor();  // ends its processes
  Conductor(const Conductor&) = delete;
  Conductor& operator=(const Conductor&) = delete;
  Result run();

 private:
  void start_workers();
  bool all_reached(Phase p) const;
  // Until all have reached it or the deadline; false: it passed.
  bool wait_for(Phase p, std::int64_t deadline_ns);
  void connect(Result& r);
  void go(Result& r);
  void settle();
  void count();
  void tick();
  void trouble(double t_s);
  void look_after_workers();
  ServerCost cost() const;
  void weigh(const ServerCost& server, Result& r) const;

  const Plan& plan_;
  Options options_;
  Shared shared_;
  std::vector<pid_t> workers_;
  std::vector<Second> seconds_;
  std::vector<double> troubles_s_;
  std::unique_ptr<Histograms> before_ = std::make_unique<Histograms>();
  std::unique_ptr<Histograms> at_start_ = std::make_unique<Histograms>();
  Totals totals_before_;
  std::int64_t tick_ns_ = 0;
  std::int64_t begun_ns_;
  std::int64_t logged_ns_;
  std::int64_t memory_before_ = 0;  // of the server
  double next_trouble_s_ = 0;
};

}  // namespace berth::bench
