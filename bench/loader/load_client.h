// Many MQTT 3.1.1 clients on loopback, one thread, one epoll: what berth-load's scenarios are made
// of.
#pragma once

#include <arpa/inet.h>
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
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace berth::load {

using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

inline std::map<std::string, std::string> g_args;
inline long arg(const char* name, long standard) {
  const auto it = g_args.find(name);
  return it == g_args.end() ? standard : std::atol(it->second.c_str());
}

// ","p50_us":…" for a result.
inline std::string percentiles(std::vector<double>& us) {
  std::sort(us.begin(), us.end());
  const auto at = [&](double p) {
    return us.empty() ? 0.0 : us[static_cast<std::size_t>(p * static_cast<double>(us.size() - 1))];
  };
  char text[160];
  std::snprintf(text, sizeof text, ",\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f", at(.5),
                at(.99), at(1));
  return text;
}

struct Conn {
  int fd = -1;
  int index = 0;
  bool subscriber = false;
  bool raw = false;  // not MQTT: `on_packet` gets the bytes as they come
  bool ready = false;
  int in_flight = 0;
  unsigned next_id = 0;
  std::string in;
  std::string out;
  bool dirty = false;
  std::deque<Clock::time_point> sent;
};

inline std::string u16(unsigned v) {
  return {static_cast<char>(v >> 8), static_cast<char>(v)};
}
inline std::string packet(unsigned header, const std::string& body) {
  std::string o(1, static_cast<char>(header));
  std::size_t n = body.size();
  do {
    o.push_back(static_cast<char>((n & 127) | (n > 127 ? 128 : 0)));
    n >>= 7;
  } while (n != 0);
  return o + body;
}
inline std::string str(const std::string& s) {
  return u16(static_cast<unsigned>(s.size())) + s;
}
inline std::string connect_packet(const std::string& id, bool clean, const std::string& user = {},
                                  const std::string& password = {}) {
  const char flags = static_cast<char>((clean ? 2 : 0) | (user.empty() ? 0 : 0xc0));
  return packet(0x10, str("MQTT") + '\x04' + flags + u16(0) + str(id) +
                          (user.empty() ? "" : str(user) + str(password)));
}
inline std::string publish_packet(const std::string& topic, int qos, unsigned id,
                                  const std::string& payload) {
  return packet(0x30u | (static_cast<unsigned>(qos) << 1),
                str(topic) + (qos != 0 ? u16(id) : "") + payload);
}

class Load;
inline std::size_t take_publish(Load& load, Conn& c, unsigned h, const char* body);

class Load {
 public:
  Load() : epoll_(epoll_create1(0)), port_(static_cast<int>(arg("port", 1883))) {
    rlimit l{};
    getrlimit(RLIMIT_NOFILE, &l);
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
  }

  Conn& add(const std::string& id, bool clean = true, const std::string& user = {},
            const std::string& password = {}) {
    Conn& c = connected(port_);
    send(c, connect_packet(id, clean, user, password));
    return c;
  }
  Conn& connected(int port) {
    conns_.push_back(std::make_unique<Conn>());
    Conn& c = *conns_.back();
    c.index = static_cast<int>(conns_.size() - 1);
    c.fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
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
      if (c.raw) {
        on_packet(c, 0u, static_cast<const char*>(buffer), static_cast<std::size_t>(got));
      } else if (c.in.empty()) {
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
inline std::size_t take_publish(Load& load, Conn& c, unsigned h, const char* body) {
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

}  // namespace berth::load
