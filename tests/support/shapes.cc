#include "tests/support/shapes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

namespace berth::test {

const char* name_of(Shape s) {
  static constexpr const char* kNames[] = {"supervised", "single", "cluster"};
  return kNames[static_cast<int>(s)];
}

ShapedGateway::ShapedGateway(Shape shape, const std::vector<std::string>& flags, int engines)
    : shape_(shape) {
  if (shape != Shape::cluster) {
    std::vector<std::string> f = flags;
    if (shape == Shape::single) f.emplace_back("--single-process");
    one_ = std::make_unique<GatewayProcess>(f);
    return;
  }
  std::vector<std::string> of_edges = flags;
  std::erase(of_edges, "--anonymous");
  Cluster::Options o{.engines = engines, .edge_flags = of_edges};
  o.engine_flags = flags;
  o.anonymous = false;
  cluster_ = std::make_unique<Cluster>(o);
}

ShapedGateway::~ShapedGateway() = default;

std::size_t ShapedGateway::edges() const {
  return one_ ? 1 : cluster_->edges.size();
}

GatewayProcess& ShapedGateway::edge(std::size_t i) const {
  return one_ ? *one_ : *cluster_->edges.at(i);
}

GatewayProcess& ShapedGateway::registry() const {
  return one_ ? *one_ : *cluster_->engines[0];
}

std::vector<GatewayProcess*> ShapedGateway::processes() const {
  if (one_) return {one_.get()};
  std::vector<GatewayProcess*> all;
  for (const auto& e : cluster_->edges) all.push_back(e.get());
  for (const auto& e : cluster_->engines) all.push_back(e.get());
  return all;
}

double ShapedGateway::metric(const std::string& name_and_labels) const {
  double sum = -1;
  for (GatewayProcess* p : processes()) {
    const double v = p->process().running() ? p->metric(name_and_labels) : -1;
    if (v >= 0) sum = std::max(sum, 0.0) + v;
  }
  return sum;
}

int ShapedGateway::engine_deaths() const {
  if (shape_ == Shape::supervised)
    return static_cast<int>(one_->metric("berth_engine_deaths_total"));
  if (shape_ == Shape::single) return one_->process().running() ? 0 : 1;
  return static_cast<int>(std::count_if(cluster_->engines.begin(), cluster_->engines.end(),
                                        [](const auto& e) { return !e->process().running(); }));
}

std::vector<pid_t> ShapedGateway::engine_pids() const {
  if (shape_ == Shape::single) return {one_->process().pid()};
  if (shape_ == Shape::supervised) {
    pid_t pid = -1;
    EXPECT_TRUE(eventually([&] { return (pid = one_->engine_pid()) > 0; })) << "no engine serves";
    return {pid};
  }
  std::vector<pid_t> all;
  for (const auto& e : cluster_->engines) all.push_back(e->process().pid());
  return all;
}

std::vector<pid_t> ShapedGateway::edge_pids() const {
  if (shape_ == Shape::single) return {};
  if (one_) return {one_->process().pid()};
  std::vector<pid_t> all;
  for (const auto& e : cluster_->edges) all.push_back(e->process().pid());
  return all;
}

std::string ShapedGateway::log() const {
  std::string all;
  for (const GatewayProcess* p : processes()) all += p->log();
  return all;
}

void ShapedGateway::terminate() {
  for (GatewayProcess* p : processes()) p->terminate();
}

Growth::Growth(const ShapedGateway& g)
    : engines_(look(g.engine_pids())), edges_(look(g.edge_pids())) {}

std::vector<Growth::Before> Growth::look(const std::vector<pid_t>& pids) {
  std::vector<Before> all;
  for (const pid_t pid : pids) all.push_back({pid, resident_peak_bytes(pid)});
  return all;
}

std::uint64_t Growth::most(const std::vector<Before>& all) {
  std::uint64_t most = 0;
  for (const Before& b : all) {
    const std::uint64_t now = resident_peak_bytes(b.pid);  // 0: it has died, which others assert
    most = std::max(most, now - std::min(now, b.bytes));
  }
  return most;
}

Victims::Victims(const ShapedGateway& g,
                 const std::function<ConnectOptions(const std::string&)>& login) {
  for (std::size_t i = 0; i < g.edges(); ++i) {
    const std::string name = "victim" + std::to_string(i);
    all_.push_back(std::make_unique<Victim>(Victim::Options{.port = g.mqtt_port(i),
                                                            .from = static_cast<unsigned>(2 + i),
                                                            .login = login(name),
                                                            .topic = "victim/loop/" + name}));
  }
}

std::uint64_t Victims::rounds() const {
  std::uint64_t fewest = ~std::uint64_t{0};
  for (const auto& v : all_) fewest = std::min(fewest, v->rounds());
  return fewest;
}

std::vector<VictimReport> Victims::stop() {
  std::vector<VictimReport> all;
  for (auto& v : all_) all.push_back(v->stop());
  return all;
}

void expect_unharmed(Victims& victims, const ShapedGateway& g, const Growth& growth,
                     const Harm& most, const char* attack) {
  for (const VictimReport& r : victims.stop()) {
    std::printf("%s, %s: %s\n", attack, name_of(g.shape()), r.text().c_str());
    EXPECT_GT(r.received, 20u);
    EXPECT_EQ(r.received, r.sent) << r.text();
    EXPECT_EQ(r.closed, 0u) << r.text();
    EXPECT_LT(r.p99_ms, most.p99_ms) << r.text();
  }
  EXPECT_EQ(g.engine_deaths(), 0) << g.log();
  const std::uint64_t engines = growth.of_engines();
  const std::uint64_t edges = growth.of_edges();
  std::printf("peaks grew: engine %.0f MB, edge %.0f MB\n", static_cast<double>(engines) / 1e6,
              static_cast<double>(edges) / 1e6);
  EXPECT_LT(engines, most.engine_growth);
  EXPECT_LT(edges, most.edge_growth);
}

}  // namespace berth::test
