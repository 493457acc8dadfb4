#include "tests/support/cluster.h"

namespace berth::test {

Cluster::Cluster(Options o) : options_(std::move(o)) {
  std::string list;
  for (int i = 0; i < options_.engines; ++i) {
    list += "127.0.0.1:" + std::to_string(add_engine().link_port()) + ",";
  }
  list.pop_back();
  std::vector<std::string> flags{"--engines", list};
  flags.insert(flags.end(), options_.edge_flags.begin(), options_.edge_flags.end());
  edge_flags_ = flags;
  for (int i = 0; i < options_.edges; ++i) {
    edges.push_back(
        std::make_unique<GatewayProcess>(flags, std::string(), GatewayProcess::Role::edge));
  }
}

GatewayProcess& Cluster::add_engine() {
  std::vector<std::string> flags{"--anonymous", "--store", redis.url()};
  flags.insert(flags.end(), options_.engine_flags.begin(), options_.engine_flags.end());
  engines.push_back(
      std::make_unique<GatewayProcess>(flags, std::string(), GatewayProcess::Role::engine));
  return *engines.back();
}

std::string Cluster::replace_edge(std::size_t i) {
  auto next =
      std::make_unique<GatewayProcess>(edge_flags_, std::string(), GatewayProcess::Role::edge);
  edges[i] = std::move(next);
  return edges[i]->log();
}

GatewayProcess* Cluster::active() {
  GatewayProcess* found = nullptr;
  eventually([&] {
    for (const auto& e : engines) {
      if (e->process().running() && e->serving()) found = e.get();
    }
    return found != nullptr;
  });
  return found;
}

std::vector<int> Cluster::mqtt_ports() const {
  std::vector<int> ports;
  for (const auto& e : edges) ports.push_back(e->mqtt_port());
  return ports;
}

double Cluster::edge_total(const std::string& metric) const {
  double sum = 0;
  for (const auto& e : edges) sum += e->metric(metric);
  return sum;
}

}  // namespace berth::test
