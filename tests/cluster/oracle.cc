// berth-oracle: a swarm of oracle devices (tests/support/swarm.h, park_swarm.h) as a program, for
// tests/cluster.
//   berth-oracle PROTOCOL HOST PORT MQTT_PORT NAME DEVICES RATE [reconnect]
// PROTOCOL: mqtt, mqtts, park, parks; PORT is its, MQTT_PORT that of the platform which hears and
// commands Park devices. Prints "connected", publishes until a line comes on standard input, waits
// until what was acknowledged has arrived, prints its report as one line of JSON.
#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/support/park_swarm.h"
#include "tests/support/swarm.h"

using berth::test::ParkReport;
using berth::test::ParkSwarm;
using berth::test::Swarm;
using berth::test::SwarmReport;
using berth::test::Via;

namespace {

double quantile(std::vector<float>& sorted, double q) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1,
                         static_cast<std::size_t>(q * static_cast<double>(sorted.size())))];
}

struct Asked {
  std::string_view protocol;
  std::string host;
  int port = 0;
  int mqtt_port = 0;
  std::string name;
  int devices = 0;
  double rate = 0;
  bool reconnect = false;
  Via via() const { return protocol.ends_with('s') ? Via::tls : Via::tcp; }
};

// In MQTT's words.
SwarmReport as_swarm(ParkReport r) {
  SwarmReport out;
  out.published = r.acked + r.commanded;
  out.received = out.published - std::min(out.published, r.lost);
  out.doubled = r.doubled;
  out.resent_live = r.resent_live;
  out.lost = r.lost + r.refused;
  out.out_of_order = r.out_of_order;
  out.closed = r.closed;
  out.second_connacks = r.second_welcomes;
  out.session_absent = r.session_absent;
  out.reconnects_peak = r.reconnects_peak;
  out.gap_max_ms = r.gap_max_ms;
  out.answer_ms = std::move(r.answer_ms);
  out.first_problem = std::move(r.first_problem);
  return out;
}
SwarmReport as_swarm(SwarmReport r) {
  return r;
}

void print(SwarmReport r, bool settled) {
  std::sort(r.answer_ms.begin(), r.answer_ms.end());
  const auto n = [](std::uint64_t v) { return static_cast<unsigned long long>(v); };
  std::printf(
      "{\"settled\":%s,\"published\":%llu,\"received\":%llu,\"closed\":%llu,\"lost\":%llu,"
      "\"doubled\":%llu,\"qos2_doubled\":%llu,\"qos0_doubled\":%llu,\"resent_live\":%llu,"
      "\"out_of_order\":%llu,\"second_connacks\":%llu,\"window_exceeded\":%llu,"
      "\"session_absent\":%llu,\"wrong_wills\":%llu,\"reconnects_peak\":%llu,"
      "\"silence_max_ms\":%.1f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"p999_ms\":%.2f,"
      "\"max_ms\":%.1f,\"first_problem\":\"%s\"}\n",
      settled ? "true" : "false", n(r.published), n(r.received), n(r.closed), n(r.lost),
      n(r.doubled), n(r.qos2_doubled), n(r.qos0_doubled), n(r.resent_live), n(r.out_of_order),
      n(r.second_connacks), n(r.window_exceeded), n(r.session_absent), n(r.wrong_wills),
      n(r.reconnects_peak), r.gap_max_ms, quantile(r.answer_ms, 0.5), quantile(r.answer_ms, 0.99),
      quantile(r.answer_ms, 0.999), r.answer_ms.empty() ? 0.0 : r.answer_ms.back(),
      r.first_problem.c_str());
  std::fflush(stdout);
}

bool asked_to_stop() {
  pollfd p{.fd = 0, .events = POLLIN, .revents = 0};
  return poll(&p, 1, 0) > 0;
}

template <class AnySwarm>
int run(AnySwarm& swarm) {
  if (!swarm.connect_all()) {
    std::fprintf(stderr, "not all devices could connect\n");
    return 69;
  }
  std::puts("connected");
  std::fflush(stdout);
  swarm.run(std::chrono::hours(24), [&swarm] {
    if (asked_to_stop()) swarm.stop();
  });
  const bool settled = swarm.settle(std::chrono::seconds(60));
  print(as_swarm(swarm.report()), settled);
  return 0;
}

int run_mqtt(const Asked& a) {
  Swarm::Options o;
  o.name = a.name;
  o.host = a.host;
  o.port = a.port;
  o.via = a.via();
  o.devices = a.devices;
  o.publish_per_s = a.rate;
  o.reconnect = a.reconnect;
  Swarm swarm(o);
  return run(swarm);
}

// Of five messages one is a command.
int run_park(const Asked& a) {
  ParkSwarm swarm({.name = a.name,
                   .host = a.host,
                   .park_port = a.port,
                   .mqtt_port = a.mqtt_port,
                   .via = a.via(),
                   .devices = a.devices,
                   .events_per_s = a.rate * 0.8,
                   .commands_per_s = a.rate * 0.2,
                   .reconnect = a.reconnect});
  return run(swarm);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 8) {
    std::fprintf(stderr,
                 "berth-oracle PROTOCOL HOST PORT MQTT_PORT NAME DEVICES RATE [reconnect]\n");
    return 64;
  }
  const Asked a{.protocol = argv[1],
                .host = argv[2],
                .port = std::atoi(argv[3]),
                .mqtt_port = std::atoi(argv[4]),
                .name = argv[5],
                .devices = std::atoi(argv[6]),
                .rate = std::atof(argv[7]),
                .reconnect = argc > 8 && std::string_view(argv[8]) == "reconnect"};
  return a.protocol.starts_with("park") ? run_park(a) : run_mqtt(a);
}
