// berth-load: MQTT load on loopback, and what it cost the server under test.
//
//   berth-load fanin   --port P --pid PID --qos 0|1|2 --pubs 100 --window 10 --messages 200000
//   berth-load fanout  --port P --pid PID --qos 0|1   --subs 1000 --window 10 --messages 200000
//   berth-load latency --port P --pubs 50 --rate 1000 --seconds 5 (or --messages 250)
//   berth-load connect --port P --pid PID --count 20000
//   berth-load floor   --port P     (a server: the least that answers a CONNECT)
//   berth-load idle    --port P --pid PID --count 15000     (resident bytes a connection)
//   berth-load sessions --port P --pid PID --count 20000   (resident bytes an offline persistent
//   session) berth-load durable --port P --subs 1|100 --offline 0|1 --pubs 50 --window 20
//   --messages 100000
//   berth-load opens   --port P --admin A --token T --pid PID --idle 10000 --rate 1000 --seconds 20
//   berth-load reports --port P | --park-port P  --pid PID --pubs 100 --window 10
//
// MQTT 3.1.1, 64-byte payloads, clean sessions unless durable. Prints one JSON object: cpu_s is the
// CPU time of PID and its children during the run, per 100,000 messages delivered. One thread.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bench/loader/floor_server.h"
#include "bench/loader/load_client.h"
#include "bench/loader/load_cost.h"
#include "bench/loader/opens.h"
#include "bench/loader/reports.h"

namespace {

using namespace berth::load;

void result(const char* scenario, long messages, double wall, double cpu,
            const std::string& more = {}) {
  std::printf(
      "{\"scenario\":\"%s\",\"messages\":%ld,\"wall_s\":%.3f,\"per_s\":%.0f,\"cpu_s_per_100k\":%."
      "4f%s}\n",
      scenario, messages, wall, static_cast<double>(messages) / wall,
      cpu * 1e5 / static_cast<double>(messages), more.c_str());
}

// Publishers keep `window` messages under way each: QoS 0 until the subscriber has it, else until
// the last acknowledgement. Also the durable runs: subscribers with persistent sessions, online or
// not.
int fanin(bool durable) {
  Load load;
  const int qos = static_cast<int>(arg("qos", durable ? 1 : 0));
  const long pubs = arg("pubs", durable ? 50 : 100);
  const long window = arg("window", durable ? 20 : 10);
  const long messages = arg("messages", 200'000);
  const long subs = durable ? arg("subs", 1) : 1;
  const bool offline = arg("offline", 0) != 0;
  const double rate = static_cast<double>(arg("rate", 0));
  for (long i = 0; i < subs; ++i) {
    Conn& s = load.add("sub" + std::to_string(i), !durable);
    load.all_ready();
    load.subscribe(s, durable ? "t/" + std::to_string(i) + "/#" : "t/#", qos);
    load.all_ready();
    if (offline) {
      load.send(s, packet(0xe0, ""));
      load.flush();
      epoll_ctl(load.epoll_, EPOLL_CTL_DEL, s.fd, nullptr);
      close(s.fd);
    }
  }
  const std::size_t first = load.conns_.size();
  for (long i = 0; i < pubs; ++i) load.add("pub" + std::to_string(i));
  load.all_ready();
  long sent = 0, acked = 0, received = 0;
  std::vector<double> latency;
  const std::string pad(64 - 8, 'x');
  const auto publish = [&](Conn& c) {
    char number[9];
    std::snprintf(number, sizeof number, "%08d", c.index);
    c.next_id = c.next_id % 65535 + 1;
    load.send(c, publish_packet("t/" + std::to_string(durable ? sent % subs : c.index) + "/m", qos,
                                c.next_id, number + pad));
    ++c.in_flight;
    ++sent;
    c.sent.push_back(Clock::now());
  };
  const auto done = [&](Conn& c) {
    ++acked;
    --c.in_flight;
    latency.push_back(
        std::chrono::duration<double, std::micro>(Clock::now() - c.sent.front()).count());
    c.sent.pop_front();
    if (rate == 0 && sent < messages) publish(c);
  };
  const int pid = static_cast<int>(arg("pid", 0));
  const double cpu = pid != 0 ? cpu_seconds(pid) : 0;
  const auto start = Clock::now();
  if (rate == 0) {
    for (std::size_t i = first; i < load.conns_.size(); ++i) {
      for (long w = 0; w < window; ++w) publish(*load.conns_[i]);
    }
  }
  std::size_t turn_at = first;
  while (received < (offline ? 0 : messages) || acked < messages) {
    while (rate != 0 && sent < messages &&
           static_cast<double>(sent) < seconds_since(start) * rate) {
      Conn& c = *load.conns_[turn_at];
      turn_at = turn_at + 1 < load.conns_.size() ? turn_at + 1 : first;
      publish(c);
    }
    load.turn(rate != 0 ? 0 : 1000, [&](Conn& c, unsigned h, const char* body, std::size_t) {
      switch (h >> 4) {
        case 3: {
          const std::size_t at = take_publish(load, c, h, body);
          ++received;
          if (qos == 0)
            done(*load.conns_[static_cast<std::size_t>(
                std::atoi(std::string(body + at, 8).c_str()))]);
          return;
        }
        case 4:
        case 7:
          return done(c);
        case 5:
          load.send(c, std::string("\x62\x02") + std::string(body, 2));
          return;
        case 6:
          load.send(c, std::string("\x70\x02") + std::string(body, 2));
          return;
        default:
          return;
      }
    });
  }
  const double wall = seconds_since(start);
  load.flush();  // the last acknowledgements
  result(durable ? "durable" : "fanin", messages, wall, pid != 0 ? cpu_seconds(pid) - cpu : 0,
         percentiles(latency));
  return 0;
}

int fanout() {
  Load load;
  const int qos = static_cast<int>(arg("qos", 0));
  const long subs = arg("subs", 1000);
  const long window = arg("window", 10);
  const long rounds = arg("messages", 200'000) / subs;
  for (long i = 0; i < subs; ++i) load.add("sub" + std::to_string(i));
  load.all_ready();
  for (auto& c : load.conns_) load.subscribe(*c, "all", qos);
  load.all_ready();
  Conn& p = load.add("pub");
  load.all_ready();
  const int pid = static_cast<int>(arg("pid", 0));
  const double cpu = pid != 0 ? cpu_seconds(pid) : 0;
  const auto start = Clock::now();
  long sent = 0, received = 0;
  const std::string pad(64, 'x');
  while (received < rounds * subs) {
    while (sent < rounds && sent * subs - received < window * subs) {
      load.send(p, publish_packet("all", qos, static_cast<unsigned>(sent % 65535 + 1), pad));
      ++sent;
    }
    load.turn(1000, [&](Conn& c, unsigned h, const char* body, std::size_t) {
      if (h >> 4 != 3) return;
      take_publish(load, c, h, body);
      ++received;
    });
  }
  const double wall = seconds_since(start);
  result("fanout", received, wall, pid != 0 ? cpu_seconds(pid) - cpu : 0);
  return 0;
}

int latency() {
  Load load;
  const long pubs = arg("pubs", 50);
  const double rate = static_cast<double>(arg("rate", 1000));
  const long total = arg("messages", static_cast<long>(rate) * arg("seconds", 5));
  Conn& s = load.add("sub");
  load.all_ready();
  load.subscribe(s, "t/#", 0);
  load.all_ready();
  for (long i = 0; i < pubs; ++i) load.add("pub" + std::to_string(i));
  load.all_ready();
  const int pid = static_cast<int>(arg("pid", 0));
  const double cpu = pid != 0 ? cpu_seconds(pid) : 0;
  const auto start = Clock::now();
  std::vector<double> us;
  long sent = 0;
  const std::string pad(48, 'x');
  while (static_cast<long>(us.size()) < total) {
    while (sent < total && static_cast<double>(sent) < seconds_since(start) * rate) {
      Conn& c = *load.conns_[1 + static_cast<std::size_t>(sent % pubs)];
      char number[17];
      std::snprintf(number, sizeof number, "%016.0f",
                    std::chrono::duration<double, std::nano>(Clock::now() - start).count());
      load.send(c, publish_packet("t/" + std::to_string(c.index), 0, 0, number + pad));
      load.flush();
      ++sent;
    }
    load.turn(0, [&](Conn& c, unsigned h, const char* body, std::size_t) {
      if (h >> 4 != 3) return;
      const std::size_t at = take_publish(load, c, h, body);
      const double then = std::atof(std::string(body + at, 16).c_str());
      us.push_back((std::chrono::duration<double, std::nano>(Clock::now() - start).count() - then) /
                   1000);
    });
  }
  result("latency", total, seconds_since(start), pid != 0 ? cpu_seconds(pid) - cpu : 0,
         percentiles(us));
  return 0;
}

int connects(bool idle) {
  Load load;
  const long count = arg("count", idle ? 15'000 : 10'000);
  const int pid = static_cast<int>(arg("pid", 0));
  const long before = pid != 0 ? resident_bytes(pid) : 0;
  const double cpu = pid != 0 ? cpu_seconds(pid) : 0;
  const auto start = Clock::now();
  const long batch = 200;  // at once
  for (long i = 0; i < count; i += batch) {
    for (long k = 0; k < batch && i + k < count; ++k) load.add("c" + std::to_string(i + k));
    load.all_ready();
  }
  const double wall = seconds_since(start);
  const double used = pid != 0 ? cpu_seconds(pid) - cpu : 0;
  std::string more;
  if (idle) {
    for (std::size_t i = 0; i < load.conns_.size(); ++i)
      load.subscribe(*load.conns_[i], "device/" + std::to_string(i) + "/cmd", 1);
    load.all_ready();
    more = ",\"bytes_each\":" + std::to_string((resident_bytes(pid) - before) / count);
  }
  result(idle ? "idle" : "connect", count, wall, used, more);
  return 0;
}

// Persistent sessions with one subscription each, then all offline.
int sessions() {
  const long count = arg("count", 20'000);
  const long from = arg("first", 0);
  const int pid = static_cast<int>(arg("pid", 0));
  const long before = pid != 0 ? resident_bytes(pid) : 0;
  const auto start = Clock::now();
  for (long i = 0; i < count; i += 100) {
    Load load;
    for (long k = 0; k < 100 && i + k < count; ++k) {
      load.add("session-" + std::to_string(from + i + k), false);
    }
    load.all_ready();
    for (std::size_t k = 0; k < load.conns_.size(); ++k) {
      load.subscribe(*load.conns_[k],
                     "device/" + std::to_string(from + i + static_cast<long>(k)) + "/cmd", 1);
    }
    load.all_ready();
    for (auto& c : load.conns_) {
      load.send(*c, packet(0xe0, ""));
      load.flush();
      close(c->fd);
    }
    close(load.epoll_);
  }
  const double wall = seconds_since(start);
  result(
      "sessions", count, wall, 0,
      pid != 0 ? ",\"bytes_each\":" + std::to_string((resident_bytes(pid) - before) / count) : "");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(
        stderr,
        "usage: berth-load fanin|fanout|latency|connect|idle|durable --port P [--pid PID] …\n");
    return 64;
  }
  for (int i = 2; i + 1 < argc; i += 2) g_args[argv[i] + 2] = argv[i + 1];
  second_process = static_cast<int>(arg("pid2", 0));
  const std::string what = argv[1];
  if (what == "fanin") return fanin(false);
  if (what == "durable") return fanin(true);
  if (what == "fanout") return fanout();
  if (what == "latency") return latency();
  if (what == "connect") return connects(false);
  if (what == "idle") return connects(true);
  if (what == "floor") return floor_server();
  if (what == "sessions") return sessions();
  if (what == "reports") return reports();
  if (what == "opens") return opens();
  std::fprintf(stderr, "unknown scenario %s\n", what.c_str());
  return 64;
}
