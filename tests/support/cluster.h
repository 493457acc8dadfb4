// A cluster on loopback: a Redis, engines, edges, each a process of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/gateway_process.h"
#include "tests/support/redis_server.h"

namespace berth::test {

class Cluster {
 public:
  struct Options {
    int engines = 2;
    int edges = 2;
    std::vector<std::string> engine_flags, edge_flags;
  };
  explicit Cluster(Options o);

  RedisServer redis;
  std::vector<std::unique_ptr<GatewayProcess>> engines;
  std::vector<std::unique_ptr<GatewayProcess>> edges;

  GatewayProcess& add_engine();
  // Starts another edge beside this one, which then has its place. Returns its log.
  std::string replace_edge(std::size_t i);
  // The one that serves; waits for it, null at the deadline.
  GatewayProcess* active();
  std::vector<int> mqtt_ports() const;
  double edge_total(const std::string& metric) const;

 private:
  Options options_;
  std::vector<std::string> edge_flags_;
};

}  // namespace berth::test
