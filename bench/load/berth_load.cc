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
//
// MQTT 3.1.1, 64-byte payloads, clean sessions unless durable. Prints one JSON object: cpu_s is the
// CPU time of PID and its children during the run, per 100,000 messages delivered. One thread.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

std::map<std::string, std::string> g_args;
long arg(const char* name, long standard) {
  const auto it = g_args.find(name);
  return it == g_args.end() ? standard : std::atol(it->second.c_str());
}

// -- the server's cost, from /proc

std::vector<int> process_tree(int pid) {
  std::vector<int> all{pid};
  if (DIR* d = opendir("/proc")) {
    while (const dirent* e = readdir(d)) {
      const int p = std::atoi(e->d_name);
      if (p <= 0) continue;
      std::ifstream in("/proc/" + std::to_string(p) + "/stat");
      std::string line;
      std::getline(in, line);
      const std::size_t paren = line.rfind(')');
      char state = 0;
      int parent = 0;
      if (paren != std::string::npos &&
          std::sscanf(line.c_str() + paren + 1, " %c %d", &state, &parent) == 2 && parent == pid)
        all.push_back(p);
    }
    closedir(d);
  }
  return all;
}

double cpu_seconds(int pid) {
  double total = 0;
  for (const int p : process_tree(pid)) {
    std::ifstream in("/proc/" + std::to_string(p) +
                     "/schedstat");  // nanoseconds on CPU, main thread
    DIR* d = opendir(("/proc/" + std::to_string(p) + "/task").c_str());
    if (d == nullptr) continue;
    while (const dirent* e = readdir(d)) {
      if (e->d_name[0] == '.') continue;
      std::ifstream t("/proc/" + std::to_string(p) + "/task/" + e->d_name + "/schedstat");
      double ns = 0;
      if (t >> ns) total += ns / 1e9;
    }
    closedir(d);
  }
  return total;
}

long resident_bytes(int pid) {
  long total = 0;
  for (const int p : process_tree(pid)) {
    std::ifstream in("/proc/" + std::to_string(p) + "/smaps_rollup");
    std::string line;
    while (std::getline(in, line)) {
      long kb = 0;
      if (std::sscanf(line.c_str(), "Private_Dirty: %ld", &kb) == 1 ||
          std::sscanf(line.c_str(), "Private_Clean: %ld", &kb) == 1)
        total += kb * 1024;
    }
  }
  return total;
}

// -- connections

struct Conn {
  int fd = -1;
  int index = 0;
  bool subscriber = false;
  bool ready = false;
  int in_flight = 0;
  unsigned next_id = 0;
  std::string in;
  std::string out;
  bool dirty = false;
  std::deque<Clock::time_point> sent;
};

std::string u16(unsigned v) {
  return {static_cast<char>(v >> 8), static_cast<char>(v)};
}
std::string packet(unsigned header, const std::string& body) {
  std::string o(1, static_cast<char>(header));
  std::size_t n = body.size();
  do {
    o.push_back(static_cast<char>((n & 127) | (n > 127 ? 128 : 0)));
    n >>= 7;
  } while (n != 0);
  return o + body;
}
std::string str(const std::string& s) {
  return u16(static_cast<unsigned>(s.size())) + s;
}
std::string connect_packet(const std::string& id, bool clean) {
  return packet(0x10, str("MQTT") + '\x04' + (clean ? '\x02' : '\0') + u16(0) + str(id));
}
std::string publish_packet(const std::string& topic, int qos, unsigned id,
                           const std::string& payload) {
  return packet(0x30u | (static_cast<unsigned>(qos) << 1),
                str(topic) + (qos != 0 ? u16(id) : "") + payload);
}

class Load;
std::size_t take_publish(Load& load, Conn& c, unsigned h, const char* body);

class Load {
 public:
  Load() : epoll_(epoll_create1(0)), port_(static_cast<int>(arg("port", 1883))) {
    rlimit l{};
    getrlimit(RLIMIT_NOFILE, &l);
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
  }

  Conn& add(const std::string& id, bool clean = true) {
    conns_.push_back(std::make_unique<Conn>());
    Conn& c = *conns_.back();
    c.index = static_cast<int>(conns_.size() - 1);
    c.fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port_));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
      std::perror("connect");
      std::exit(1);
    }
    fcntl(c.fd, F_SETFL, O_NONBLOCK);
    const int one = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_event ev{.events = EPOLLIN, .data = {.ptr = &c}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &ev);
    send(c, connect_packet(id, clean));
    return c;
  }
  void send(Conn& c, const std::string& bytes) {
    c.out += bytes;
    if (!c.dirty) dirty_.push_back(&c);
    c.dirty = true;
  }
  void flush() {
    std::vector<Conn*> again;
    for (Conn* c : dirty_) {
      const ssize_t n = ::send(c->fd, c->out.data(), c->out.size(), MSG_NOSIGNAL);
      if (n > 0) c->out.erase(0, static_cast<std::size_t>(n));
      c->dirty = !c->out.empty();
      if (c->dirty) again.push_back(c);
    }
    dirty_ = again;
  }
  template <class F>
  void turn(int wait_ms, F&& on_packet) {
    flush();
    epoll_event events[512];
    const int n = epoll_wait(epoll_, events, 512, wait_ms);
    static char buffer[1 << 20];
    for (int i = 0; i < n; ++i) {
      Conn& c = *static_cast<Conn*>(events[i].data.ptr);
      const ssize_t got = recv(c.fd, buffer, sizeof buffer, 0);
      if (got == 0 || (got < 0 && errno != EAGAIN)) {
        std::fprintf(stderr, "connection %d lost\n", c.index);
        std::exit(1);
      }
      if (got <= 0) continue;
      if (c.in.empty()) {
        const std::size_t used = parse(c, buffer, static_cast<std::size_t>(got), on_packet);
        c.in.assign(buffer + used, static_cast<std::size_t>(got) - used);
      } else {
        c.in.append(buffer, static_cast<std::size_t>(got));
        c.in.erase(0, parse(c, c.in.data(), c.in.size(), on_packet));
      }
    }
  }
  template <class F>
  static std::size_t parse(Conn& c, const char* p, std::size_t size, F&& on_packet) {
    std::size_t at = 0;
    while (size - at >= 2) {
      std::size_t length = 0;
      std::size_t i = 1;
      bool whole = false;
      for (unsigned shift = 0; at + i < size; shift += 7, ++i) {
        length |= static_cast<std::size_t>(p[at + i] & 127) << shift;
        if ((p[at + i] & 128) == 0) {
          whole = true;
          break;
        }
      }
      if (!whole || at + i + 1 + length > size) break;
      on_packet(c, static_cast<unsigned char>(p[at]), p + at + i + 1, length);
      at += i + 1 + length;
    }
    return at;
  }
  // Waits until every connection has its CONNACK, and its SUBACK where it subscribes.
  void all_ready() {
    while (std::any_of(conns_.begin(), conns_.end(), [](const auto& c) { return !c->ready; })) {
      turn(100, [&](Conn& c, unsigned h, const char* body, std::size_t) {
        if (h >> 4 == 2 && body[1] != 0) std::exit(1);
        if (h >> 4 == (c.subscriber ? 9u : 2u)) c.ready = true;
        if (h >> 4 == 3) take_publish(*this, c, h, body);  // left over from an earlier run
        if (h >> 4 == 6) send(c, std::string("\x70\x02") + std::string(body, 2));
      });
    }
  }
  void subscribe(Conn& c, const std::string& filter, int qos) {
    c.subscriber = true;
    c.ready = false;
    send(c, packet(0x82, u16(1) + str(filter) + static_cast<char>(qos)));
  }
  std::vector<std::unique_ptr<Conn>> conns_;
  std::vector<Conn*> dirty_;
  int epoll_;
  int port_;
};

// Answers a PUBLISH as a subscriber; the position of its payload.
std::size_t take_publish(Load& load, Conn& c, unsigned h, const char* body) {
  const unsigned qos = (h >> 1) & 3;
  const unsigned topic =
      static_cast<unsigned char>(body[0]) * 256u + static_cast<unsigned char>(body[1]);
  if (qos != 0) {
    const char ack[4] = {static_cast<char>(qos == 1 ? 0x40 : 0x50), 2, body[2 + topic],
                         body[3 + topic]};
    load.send(c, std::string(ack, 4));
  }
  return 2 + topic + (qos != 0 ? 2 : 0);
}

void result(const char* scenario, long messages, double wall, double cpu,
            const std::string& more = {}) {
  std::printf(
      "{\"scenario\":\"%s\",\"messages\":%ld,\"wall_s\":%.3f,\"per_s\":%.0f,\"cpu_s_per_100k\":%."
      "4f%s}\n",
      scenario, messages, wall, static_cast<double>(messages) / wall,
      cpu * 1e5 / static_cast<double>(messages), more.c_str());
}

std::string percentiles(std::vector<double>& us) {
  std::sort(us.begin(), us.end());
  const auto at = [&](double p) {
    return us.empty() ? 0.0 : us[static_cast<std::size_t>(p * static_cast<double>(us.size() - 1))];
  };
  char text[160];
  std::snprintf(text, sizeof text, ",\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f", at(.5),
                at(.99), at(1));
  return text;
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

// The least a server can do for a CONNECT: accept, wait, read, answer 20 02 00 00. What the machine
// itself allows, beside which connect rates are read. Ends with SIGTERM.
int floor_server() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<std::uint16_t>(arg("port", 1884)));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
      listen(listener, 4096) != 0) {
    std::perror("floor");
    return 1;
  }
  const int set = epoll_create1(0);
  epoll_event ev{.events = EPOLLIN, .data = {.fd = listener}};
  epoll_ctl(set, EPOLL_CTL_ADD, listener, &ev);
  for (;;) {
    epoll_event events[512];
    const int n = epoll_wait(set, events, 512, -1);
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        for (int c; (c = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
          ev.data.fd = c;
          epoll_ctl(set, EPOLL_CTL_ADD, c, &ev);
        }
        continue;
      }
      char buffer[512];
      if (recv(fd, buffer, sizeof buffer, 0) > 0) {
        send(fd, "\x20\x02\0\0", 4, MSG_NOSIGNAL);
      } else {
        close(fd);
      }
    }
  }
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
  const std::string what = argv[1];
  if (what == "fanin") return fanin(false);
  if (what == "durable") return fanin(true);
  if (what == "fanout") return fanout();
  if (what == "latency") return latency();
  if (what == "connect") return connects(false);
  if (what == "idle") return connects(true);
  if (what == "floor") return floor_server();
  if (what == "sessions") return sessions();
  std::fprintf(stderr, "unknown scenario %s\n", what.c_str());
  return 64;
}
