#include "bench/load/bench.h"

#include <sys/resource.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/random_id.h"
#include "bench/load/conductor.h"
#include "bench/load/page.h"
#include "bench/load/traffic.h"

namespace berth::bench {

namespace {

namespace json = boost::json;
constexpr std::uint32_t kProcessesMax = 256;
constexpr std::uint32_t kClientsMax = 4'000'000;
constexpr double kSweepStep = 1.5;
constexpr int kSweepStepsMax = 24;
constexpr double kSweepSeconds = 5;

int list() {
  for (const Scenario& s : named_scenarios())
    std::printf("%-22s %s\n", s.name.c_str(), s.what.c_str());
  std::printf(
      "\nOther numbers: conn-tcp-CONNECTIONS-RATE, "
      "p2p|fanin|fanout|sharedsub-PUBLISHERS-SUBSCRIBERS-"
      "TOPICS-RATE,\np2p-PAIRS-kill, p2p-PAIRS-rolling, storm-N, durable-N, churn-N-RATE, idle-N, "
      "sessions-N, reports-N-RATE. RATE: messages a second\nthat arrive, in all. -durable: "
      "persistent sessions; "
      "-tls: "
      "over TLS.\nAll: QoS 1, 16 bytes, MQTT 3.1.1, keep-alive 300 s.\n");
  return 0;
}

void raise_descriptors() {
  rlimit l{};
  getrlimit(RLIMIT_NOFILE, &l);
  l.rlim_cur = l.rlim_max;
  setrlimit(RLIMIT_NOFILE, &l);
}

std::string scheme_of(const Options& o, const Scenario& s) {
  const std::string scheme = o.target.substr(0, o.target.find("://"));
  if (!s.tls) return scheme;
  return scheme == "ws" || scheme == "wss" ? "wss" : "mqtts";
}

// Where the server of this run's own listens, or the one that was named.
std::string target_of(const Options& o, const Scenario& s, const Server* server) {
  const std::string scheme = scheme_of(o, s);
  if (server != nullptr)
    return scheme +
           "://127.0.0.1:" + std::to_string(server->port(scheme == "mqtt" ? "mqtt" : scheme));
  if (s.tls && o.target == Options{}.target) return "mqtts://127.0.0.1:8883";
  if (s.tls && !o.target.starts_with(scheme))
    throw std::runtime_error(s.name + ": --target is not " + scheme + "://");
  return o.target;
}

std::string first_line(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  if (!std::getline(in, line)) throw std::runtime_error("can't read " + file);
  return line;
}

void write_file(const std::string& file, const std::string& text) {
  if (file.empty()) return;
  std::ofstream out(file);
  out << text;
  if (!out.flush()) throw std::runtime_error("can't write " + file);
}

class Bench {
 public:
  explicit Bench(const Options& o) : o_(o) {
    if (!o.server.empty()) server_ = std::make_unique<Server>(o.server, o.server_arguments);
    plan_ = plan_of(o, target_of(o, scenario_of(o.name), server_.get()));
    if (!o.hdr.empty()) log_ = std::make_unique<HdrLog>(o.hdr);
  }

  int run() {
    if (o_.sweep) {
      sweep();
    } else {
      one();
    }
    report();
    int code = 0;
    for (const Result& r : runs_) code = std::max(code, r.exit_code());
    return code;
  }

 private:
  void one() {
    plan_.run = std::to_string(base::random_id() % 100'000'000);
    Conductor c(plan_, {.server = server_.get(),
                        .server_pids = o_.server_pids,
                        .log = log_.get(),
                        .progress = !o_.quiet});
    runs_.push_back(c.run());
  }
  // Rates rise until the server can't follow.
  void sweep() {
    for (int i = 0; i < kSweepStepsMax; ++i) {
      one();
      std::fputs(text_of(runs_.back()).c_str(), stderr);
      if (!runs_.back().connected || runs_.back().saturated()) return;
      plan_.scenario.rate *= kSweepStep;
    }
  }
  void report() const {
    json::object all = json_of(runs_.back());
    if (o_.sweep) {
      json::array steps;
      for (const Result& r : runs_) {
        json::object step = json_of(r);
        step.erase("seconds");
        steps.push_back(std::move(step));
      }
      all["steps"] = std::move(steps);
    }
    all["command"] = o_.command;
    write_file(o_.json, json::serialize(all) + "\n");
    write_file(o_.html, page_of(runs_, o_.command));
    std::fputs(text_of(runs_.back()).c_str(), stdout);
  }

  const Options& o_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<HdrLog> log_;
  Plan plan_;
  std::vector<Result> runs_;
};

}  // namespace

Plan plan_of(const Options& o, const std::string& target) {
  Plan p;
  p.scenario = scenario_of(o.name);
  Scenario& s = p.scenario;
  p.target = parse_target(target);
  if (o.seconds) s.seconds = *o.seconds;
  if (o.sweep && !o.seconds) s.seconds = kSweepSeconds;
  if (o.rate) s.rate = *o.rate;
  if (o.qos) s.qos = *o.qos;
  if (o.payload) s.payload = *o.payload;
  s.offline = s.offline || o.offline;
  p.window = o.window.value_or(0);
  p.sources = parse_sources(o.sources);
  p.processes = std::clamp(o.processes, 1u, kProcessesMax);
  p.messages = o.messages;
  p.drain_s = o.drain_s;
  p.connect_limit_s = o.connect_limit_s;
  p.user = o.user;
  if (!o.password_file.empty()) p.password = first_line(o.password_file);
  // Devices that speak Park subscribe to nothing: what they report is acknowledged.
  if (p.target.park && s.kind == Kind::traffic) {
    if (s.pattern != Pattern::p2p) throw std::runtime_error(o.name + ": not over Park");
    s.reports = true;
    s.subscribers = 0;
  }
  if (!(s.seconds > 0) || s.rate < 0) throw std::runtime_error("--seconds and --rate are above 0");
  if (o.rate && o.window) throw std::runtime_error("--rate or --window, not both");
  if (o.sweep && (o.window || s.quiet() || s.trouble != Trouble::none))
    throw std::runtime_error("--sweep is for messages at a rate, without trouble");
  if (s.payload < Payload::kBytes) throw std::runtime_error("--payload is at least 16");
  if (s.offline && !s.durable) throw std::runtime_error("--offline needs a -durable scenario");
  if (!p.sources.empty() && p.target.address.ss_family != AF_INET)
    throw std::runtime_error("--sources are IPv4 addresses, the target is not");
  if (s.publishers > kClientsMax || s.subscribers > kClientsMax)
    throw std::runtime_error("more than 4,000,000 connections");
  return p;
}

int run(const Options& o) {
  if (o.name == "list") return list();
  raise_descriptors();
  try {
    return Bench(o).run();
  } catch (const std::runtime_error& e) {
    std::fprintf(stderr, "berth bench: %s\n", e.what());
    return base::kExitUsage;
  }
}

}  // namespace berth::bench
