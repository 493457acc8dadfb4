// berth-oracle: a swarm of oracle devices (tests/support/swarm.h) as a program, for tests/cluster.
//   berth-oracle HOST PORT NAME DEVICES RATE [reconnect]
// Prints "connected", publishes until a line comes on standard input, waits until what was
// acknowledged has arrived, prints its report as one line of JSON.
#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/support/swarm.h"

using berth::test::Swarm;
using berth::test::SwarmReport;

namespace {

double quantile(std::vector<float>& sorted, double q) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1,
                         static_cast<std::size_t>(q * static_cast<double>(sorted.size())))];
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

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "berth-oracle HOST PORT NAME DEVICES RATE [reconnect]\n");
    return 64;
  }
  Swarm::Options o;
  o.host = argv[1];
  o.port = std::atoi(argv[2]);
  o.name = argv[3];
  o.devices = std::atoi(argv[4]);
  o.publish_per_s = std::atof(argv[5]);
  o.reconnect = argc > 6 && std::strcmp(argv[6], "reconnect") == 0;
  Swarm swarm(o);
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
  print(swarm.report(), settled);
  return 0;
}
