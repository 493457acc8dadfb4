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
    int partitions = 1;
    int engines_later = 0;  // addresses that edges and engines look at too, for add_engine()
    bool anonymous = true;  // clients need no user name
  };
  explicit Cluster(Options o);
  ~Cluster();

  RedisServer redis;
  std::vector<std::unique_ptr<GatewayProcess>> engines;
  std::vector<std::unique_ptr<GatewayProcess>> edges;

  GatewayProcess& add_engine();
  // Starts another edge beside this one, which then has its place. Returns the one before.
  std::unique_ptr<GatewayProcess> replace_edge(std::size_t i);
  // The one that serves; waits for it, null at the deadline.
  GatewayProcess* active();
  std::vector<int> mqtt_ports() const;
  double edge_total(const std::string& metric) const;
  double engine_total(const std::string& metric) const;
  // Partitions that each running engine serves.
  std::vector<int> held() const;

 private:
  int reserve_port();

  Options options_;
  std::vector<int> reserved_;  // sockets that keep ports for engines
  std::vector<int> ports_;     // for engines to come
  std::string engine_list_;
  std::vector<std::string> edge_flags_;
};

}  // namespace berth::test
