// A gateway in any of its shapes, so that one test runs against each: `berth serve` with its engine
// process, the same in one process, and a cluster of two edges, some engines and a Redis.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/cluster.h"
#include "tests/support/gateway_process.h"
#include "tests/support/victim.h"

namespace berth::test {

enum class Shape { supervised, single, cluster };
const char* name_of(Shape s);

class ShapedGateway {
 public:
  // `flags` are given to each process (`--anonymous` not to edges, which know no such flag).
  // `engines` of a cluster: one more than a test lets die.
  ShapedGateway(Shape shape, const std::vector<std::string>& flags, int engines = 2);
  ~ShapedGateway();
  Shape shape() const { return shape_; }

  // Edges have devices, one or two; `edge` counts from 0.
  std::size_t edges() const;
  GatewayProcess& edge(std::size_t i = 0) const;
  int mqtt_port(std::size_t i = 0) const { return edge(i).mqtt_port(); }
  int park_port(std::size_t i = 0) const { return edge(i).park_port(); }
  // The process whose admin port has the registry.
  GatewayProcess& registry() const;

  // The sum over all processes that have this line in /metrics; -1: none has.
  double metric(const std::string& name_and_labels) const;
  int engine_deaths() const;
  std::vector<pid_t> engine_pids() const;
  std::vector<pid_t> edge_pids() const;            // none: one process is both
  std::vector<GatewayProcess*> processes() const;  // that a test has started
  std::string log() const;                         // of all, one after the other
  void terminate();                                // edges first

 private:
  Shape shape_;
  std::unique_ptr<GatewayProcess> one_;  // null: a cluster
  std::unique_ptr<Cluster> cluster_;
};

// How far the processes have grown since this was made, as their peaks say.
class Growth {
 public:
  explicit Growth(const ShapedGateway& g);
  std::uint64_t of_engines() const { return most(engines_); }  // of the one that grew most
  std::uint64_t of_edges() const { return most(edges_); }

 private:
  struct Before {
    pid_t pid = 0;
    std::uint64_t bytes = 0;
  };
  static std::vector<Before> look(const std::vector<pid_t>& pids);
  static std::uint64_t most(const std::vector<Before>& all);
  std::vector<Before> engines_, edges_;
};

// One victim at each edge: at the edge that an attacker uses, and at another where there is one.
class Victims {
 public:
  // `login(i)` and address 127.0.0.(2 + i) are the victim's at edge i.
  Victims(const ShapedGateway& g, const std::function<ConnectOptions(const std::string&)>& login);
  std::uint64_t rounds() const;  // of the slowest
  std::vector<VictimReport> stop();

 private:
  std::vector<std::unique_ptr<Victim>> all_;
};

struct Harm {
  double p99_ms = 100;
  std::uint64_t edge_growth = 0;  // bytes
  std::uint64_t engine_growth = 0;
};
// Nothing lost, nobody disconnected, no engine dead, latency and memory within `most`.
void expect_unharmed(Victims& victims, const ShapedGateway& g, const Growth& growth,
                     const Harm& most, const char* attack);

}  // namespace berth::test
