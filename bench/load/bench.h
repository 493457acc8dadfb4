// `berth bench`: a load that others can run again, against Berth or another server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/plan.h"
#include "bench/load/result.h"

namespace berth::bench {

struct Options {
  std::string name;  // of a scenario; "list": print them
  std::string target = "mqtt://127.0.0.1:1883";
  std::optional<double> seconds, rate;
  std::optional<std::uint32_t> window, payload;
  std::optional<int> qos;
  std::uint32_t processes = 1;
  std::string sources;
  std::uint64_t messages = 0;
  double drain_s = 10, connect_limit_s = 10;
  std::string user, password_file;
  std::string server;  // the binary; empty: one that runs
  std::vector<std::string> server_arguments;
  std::vector<pid_t> server_pids;
  std::string json, html, hdr;  // files
  bool sweep = false, offline = false, quiet = false;
  std::string command;  // as it was typed
};

// Throws std::runtime_error where the options are no plan. `target`: where the server is.
Plan plan_of(const Options& o, const std::string& target);
int run(const Options& o);

}  // namespace berth::bench
