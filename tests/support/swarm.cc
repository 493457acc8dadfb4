#include "tests/support/swarm.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <utility>

namespace berth::test {
namespace {
constexpr unsigned kReceiveMaximum = 8;
constexpr std::size_t kWindow = 4;  // our own PUBLISHes in flight
}  // namespace

Swarm::Swarm(Options o)
    : options_(o),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      devices_(static_cast<std::size_t>(o.devices) + 1) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    devices_[i].index = static_cast<int>(i);
    devices_[i].qos = static_cast<unsigned>(i % 3);
    devices_[i].persistent = i / 3 % 2 == 0;
  }
  devices_.back().persistent = false;  // the watcher
}

Swarm::~Swarm() {
  for (Device& d : devices_) {
    d.stream.reset();
  }
  ::close(epoll_);
}

void Swarm::problem(const std::string& what) {
  if (report_.first_problem.empty()) report_.first_problem = what;
}

void Swarm::open(Device& d) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  const std::size_t edge = static_cast<std::size_t>(d.index) + d.opened++;  // another each time
  const int port =
      options_.ports.empty() ? options_.port : options_.ports[edge % options_.ports.size()];
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, options_.host.c_str(), &to.sin_addr);
  d.since = Clock::now();
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) {
    ::close(fd);
    return;
  }
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  epoll_event ev{.events = EPOLLIN | EPOLLOUT,
                 .data = {.u64 = static_cast<std::uint64_t>(d.index)}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &ev);
  d.stream = std::make_unique<Stream>(fd, options_.via);
  d.wants_write = true;
  d.in.clear();
  d.out.clear();
  d.connected = d.subscribed = d.dead = false;
  d.live.clear();
  ConnectOptions c{.client_id = options_.name + "-" + std::to_string(d.index),
                   .version = 5,
                   .clean = !d.persistent};
  if (!is_watcher(d)) {
    c.will_topic = "will/" + topic_of(d.index);
    c.will_payload = "gone";
    c.will_qos = 1;
  }
  c.properties =
      (d.persistent ? expiry(options_.expiry_s) : "") + std::string("\x21") + u16(kReceiveMaximum);
  d.out = connect(c);
  flush(d);
}

// As devices do: after a while, each after another; a gateway that says nothing is left.
void Swarm::reopen() {
  const auto now = Clock::now();
  for (Device& d : devices_) {
    if (d.stream) {
      if (!d.connected && now - d.since > std::chrono::seconds(5)) lost_connection(d);
    } else if (now >= d.since) {
      open(d);
    }
  }
}

bool Swarm::connect_all() {
  for (Device& d : devices_) {
    if (!d.stream) open(d);  // a turn before may have: twice would be a take-over
    if (d.index % 200 == 199) turn(0);
  }
  return [&] {
    const auto deadline = Clock::now() + std::chrono::seconds(60);
    while (Clock::now() < deadline) {
      turn(10);
      if (std::all_of(devices_.begin(), devices_.end(),
                      [](const Device& d) { return d.subscribed; }))
        return true;
    }
    return false;
  }();
}

// What is broken is seen by the next read.
void Swarm::flush(Device& d) {
  if (!d.stream) return;
  d.stream->send(d.out);
  if (d.wants_write == (d.stream->wants_write() || !d.out.empty())) return;
  d.wants_write = !d.wants_write;
  epoll_event ev{.events = EPOLLIN | (d.wants_write ? EPOLLOUT : 0u),
                 .data = {.u64 = static_cast<std::uint64_t>(d.index)}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, d.stream->fd(), &ev);
}

void Swarm::lost_connection(Device& d) {
  if (d.connected) ++report_.closed;
  if (!options_.reconnect) problem("device " + std::to_string(d.index) + " was disconnected");
  d.since = Clock::now() + std::chrono::milliseconds(100 + random_() % 900);
  d.stream.reset();
  d.dead = true;
  d.connected = d.subscribed = false;  // settle() waits until it is back
  if (!d.persistent) {                 // its session is over, and with it what was on its way
    d.qos2_held.clear();
  }
}

void Swarm::turn(int wait_ms) {
  const auto now = Clock::now();
  credit_ += std::chrono::duration<double>(now - last_turn_).count() * options_.publish_per_s;
  credit_ = std::min(credit_, options_.publish_per_s / 10 + 1);
  last_turn_ = now;
  const std::size_t publishers = devices_.size() - 1;
  for (std::size_t n = 0; publishing_ && credit_ >= 1 && n < publishers; ++n) {
    Device& d = devices_[turn_at_++ % publishers];
    if (!d.subscribed || d.pending.size() >= kWindow) continue;
    publish_one(d);
    credit_ -= 1;
  }
  epoll_event events[256];
  const int n = epoll_wait(epoll_, events, 256, wait_ms);
  for (int i = 0; i < n; ++i) {
    Device& d = devices_[events[i].data.u64];
    if (!d.stream) continue;
    if ((events[i].events & EPOLLOUT) != 0) flush(d);
    const bool alive = d.stream->receive(d.in);
    for (const Packet& p : take_packets(d.in)) on_packet(d, p);
    if (!alive) {
      lost_connection(d);
    } else {
      flush(d);
    }
  }
  if (options_.reconnect) reopen();
}

void Swarm::answered(Pending& p) {
  if (std::exchange(p.answered, true) || !running_) return;
  const std::chrono::duration<float, std::milli> took = Clock::now() - p.sent;
  report_.answer_ms.push_back(took.count());
}

void Swarm::publish_one(Device& d) {
  const std::uint64_t seq = d.next_seq++;
  unsigned id = 0;
  if (d.qos != 0) {
    do {
      id = d.next_id = d.next_id % 65535 + 1;
    } while (d.pending.contains(id));
    d.pending[id] = {.seq = seq, .sent = Clock::now()};
  }
  d.out +=
      publish(topic_of(d.index), std::to_string(d.index) + " " + std::to_string(seq), d.qos, id);
  flush(d);
}

void Swarm::on_packet(Device& d, const Packet& p) {
  switch (p.type) {
    case 2: {
      if (d.connected) {
        ++report_.second_connacks;
        problem("second CONNACK");
      }
      d.connected = true;
      if (d.had_session) {
        if (Clock::now() - second_began_ > std::chrono::seconds(1)) {
          second_began_ = Clock::now();
          reconnects_ = 0;
        }
        report_.reconnects_peak = std::max(report_.reconnects_peak, ++reconnects_);
      }
      const bool present = p.body[0] == 1;
      if (d.persistent && d.had_session && !present) {
        ++report_.session_absent;
        problem("session lost of device " + std::to_string(d.index));
      }
      d.had_session = true;
      if (!present) d.pending.clear();  // 4.1: a client whose session is gone forgets its half too
      d.out += is_watcher(d) ? subscribe(1, "will/" + options_.name + "/#", 1)
                             : subscribe(1, topic_of(neighbour(d)), 2);
      for (auto& [id, pending] : d.pending) {  // 4.4: unacknowledged again
        const std::string payload = std::to_string(d.index) + " " + std::to_string(pending.seq);
        d.out += pending.released
                     ? ack(6, id)
                     : publish(topic_of(d.index), payload, d.qos, id, 5, false, present);
      }
      return;
    }
    case 9:
      d.subscribed = true;
      return;
    case 4:    // PUBACK
    case 7: {  // PUBCOMP
      const auto it = d.pending.find(p.id());
      if (it == d.pending.end()) return;
      answered(it->second);
      d.acked.insert(it->second.seq);
      d.pending.erase(it);
      ++report_.published;
      const auto now = Clock::now();
      if (running_) {
        report_.gap_max_ms = std::max(
            report_.gap_max_ms, std::chrono::duration<double, std::milli>(now - last_ack_).count());
      }
      last_ack_ = now;
      return;
    }
    case 5: {  // PUBREC
      const auto it = d.pending.find(p.id());
      if (it != d.pending.end()) {
        answered(it->second);
        it->second.released = true;
      }
      d.out += ack(6, p.id());
      return;
    }
    case 6:  // PUBREL
      d.live.erase(p.id());
      d.qos2_held.erase(p.id());
      d.out += ack(7, p.id());
      return;
    case 3:
      return on_publish(d, p);
    default:
      return;
  }
}

void Swarm::on_publish(Device& d, const Packet& p) {
  if (is_watcher(d)) {
    ++report_.wrong_wills;
    problem("will of a device that never went: " + p.topic());
    if (p.qos() == 1) d.out += ack(4, p.id());
    return;
  }
  const std::string payload = p.payload(5);
  const std::uint64_t seq = std::stoull(payload.substr(payload.find(' ')));
  const unsigned qos = neighbour_qos(d);
  const unsigned id = qos == 0 ? 0 : p.id();
  if (qos != 0) {
    const auto live = d.live.find(id);
    if (live != d.live.end()) {
      ++report_.resent_live;
      problem("packet id " + std::to_string(id) + " again on a live connection, device " +
              std::to_string(d.index));
    }
    d.live[id] = seq;
    if (d.live.size() > kReceiveMaximum) ++report_.window_exceeded;
  }
  const bool held = qos == 2 && d.qos2_held.contains(id);  // the same message, not released yet
  const bool fresh = held || d.got.insert(seq).second;
  if (!held) {
    if (!fresh) {
      ++(qos == 2 ? report_.qos2_doubled : qos == 1 ? report_.doubled : report_.qos0_doubled);
      if (qos != 1) problem("QoS " + std::to_string(qos) + " message doubled: " + payload);
    } else {
      if (seq < d.highest) {
        ++report_.out_of_order;
        problem("order: " + payload + " after " + std::to_string(d.highest));
      }
      d.highest = std::max(d.highest, seq);
      if (qos != 0) ++report_.received;
    }
  }
  if (qos == 1) {
    d.out += ack(4, id);
    d.live.erase(id);
  } else if (qos == 2) {
    d.qos2_held.insert(id);
    d.out += ack(5, id);
  }
}

void Swarm::run(std::chrono::milliseconds time, const std::function<void()>& every) {
  publishing_ = running_ = true;
  last_turn_ = last_ack_ = Clock::now();
  const auto end = Clock::now() + time;
  while (Clock::now() < end && running_) {
    turn(2);
    if (every) every();
  }
  publishing_ = running_ = false;
}

bool Swarm::settle(std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  for (;;) {
    turn(5);
    bool all = true;
    for (const Device& d : devices_) {
      all = all && d.pending.empty() && (d.subscribed || (d.dead && !options_.reconnect));
      if (is_watcher(d)) continue;
      const Device& from = devices_[static_cast<std::size_t>(neighbour(d))];
      if (from.qos == 0 || d.dead || (!d.persistent && options_.reconnect)) continue;
      all = all && std::includes(d.got.begin(), d.got.end(), from.acked.begin(), from.acked.end());
    }
    if (all) return true;
    if (Clock::now() > deadline) return false;
  }
}

SwarmReport Swarm::report() {
  SwarmReport r = report_;
  for (const Device& d : devices_) {
    const Device& from = devices_[static_cast<std::size_t>(neighbour(d))];
    if (is_watcher(d) || from.qos == 0 || (!d.persistent && options_.reconnect)) continue;
    for (const std::uint64_t seq : from.acked) {
      if (d.got.contains(seq)) continue;
      ++r.lost;
      if (r.first_problem.empty())
        r.first_problem = "lost: " + std::to_string(from.index) + " " + std::to_string(seq);
    }
  }
  return r;
}

}  // namespace berth::test
