#include "tests/support/cluster.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace berth::test {

Cluster::Cluster(Options o) : options_(std::move(o)) {
  for (int i = 0; i < options_.engines + options_.engines_later; ++i) {
    ports_.push_back(reserve_port());
    engine_list_ += "127.0.0.1:" + std::to_string(ports_.back()) + ",";
  }
  engine_list_.pop_back();
  for (int i = 0; i < options_.engines; ++i) add_engine();
  std::vector<std::string> flags{"--engines", engine_list_, "--partitions",
                                 std::to_string(options_.partitions)};
  flags.insert(flags.end(), options_.edge_flags.begin(), options_.edge_flags.end());
  edge_flags_ = flags;
  for (int i = 0; i < options_.edges; ++i) {
    edges.push_back(
        std::make_unique<GatewayProcess>(flags, std::string(), GatewayProcess::Role::edge));
  }
}

Cluster::~Cluster() {
  for (const int fd : reserved_) ::close(fd);
}

// A free port that stays ours: bound and not listening, so that an engine can bind it too.
int Cluster::reserve_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof a;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&a), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&a), &size) != 0)
    std::abort();
  reserved_.push_back(fd);
  return ntohs(a.sin_port);
}

GatewayProcess& Cluster::add_engine() {
  std::vector<std::string> flags{"--store",    redis.url(),    "--engines",
                                 engine_list_, "--partitions", std::to_string(options_.partitions)};
  if (options_.anonymous) flags.emplace_back("--anonymous");
  flags.insert(flags.end(), options_.engine_flags.begin(), options_.engine_flags.end());
  engines.push_back(std::make_unique<GatewayProcess>(
      flags, std::string(), GatewayProcess::Role::engine, ports_.at(engines.size())));
  return *engines.back();
}

std::unique_ptr<GatewayProcess> Cluster::replace_edge(std::size_t i) {
  auto next =
      std::make_unique<GatewayProcess>(edge_flags_, std::string(), GatewayProcess::Role::edge);
  return std::exchange(edges[i], std::move(next));
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

double Cluster::engine_total(const std::string& metric) const {
  double sum = 0;
  for (const auto& e : engines) {
    if (e->process().running()) sum += e->metric(metric);
  }
  return sum;
}

std::vector<int> Cluster::held() const {
  std::vector<int> all;
  for (const auto& e : engines) {
    if (e->process().running()) all.push_back(static_cast<int>(e->metric("berth_engine_serving")));
  }
  return all;
}

double Cluster::edge_total(const std::string& metric) const {
  double sum = 0;
  for (const auto& e : edges) sum += e->metric(metric);
  return sum;
}

}  // namespace berth::test
