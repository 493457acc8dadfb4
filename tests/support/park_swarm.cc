#include "tests/support/park_swarm.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <utility>

#include "tests/support/envelopes.h"
#include "tests/support/wire.h"

namespace berth::test {

namespace park = protocol::park;

namespace {

constexpr std::size_t kWindow = 4;  // events of a device in flight

constexpr auto kConnectLimit = std::chrono::seconds(5);

int connect_to(const std::string& host, int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, host.c_str(), &to.sin_addr);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS)
    return fd;  // the first write says so
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

}  // namespace

class ParkSwarm::Peer {
 public:
  Peer(ParkSwarm& swarm, std::uint64_t tag, int port, Via via)
      : swarm_(swarm), tag_(tag), port_(port), via_(via) {}
  virtual ~Peer() = default;
  void open() {
    since_ = Clock::now();
    stream_ = std::make_unique<Stream>(connect_to(swarm_.options_.host, port_), via_);
    writes_ = true;
    epoll_event ev{.events = EPOLLIN | EPOLLOUT, .data = {.u64 = tag_}};
    epoll_ctl(swarm_.epoll_, EPOLL_CTL_ADD, stream_->fd(), &ev);
    on_open();
  }
  // As devices do: after a while, each after another; a gateway that says nothing is left.
  void reopen(Clock::time_point now) {
    if (stream_ && !ready() && now - since_ > kConnectLimit) lost();
    if (!stream_ && now >= since_) open();
  }
  void on_event() {
    if (!stream_) return;
    flush();
    std::string in;
    const bool open = stream_->receive(in);
    if (on_bytes(in) && open) return flush();
    lost();
  }
  virtual bool ready() const = 0;
  void flush() {
    if (!stream_) return;
    stream_->send(out());
    const bool writes = stream_->wants_write() || !out().empty();
    if (writes == writes_) return;
    writes_ = writes;
    epoll_event ev{.events = EPOLLIN | (writes ? EPOLLOUT : 0u), .data = {.u64 = tag_}};
    epoll_ctl(swarm_.epoll_, EPOLL_CTL_MOD, stream_->fd(), &ev);
  }

 protected:
  virtual void on_open() = 0;
  virtual void on_close() = 0;
  virtual bool on_bytes(std::string& in) = 0;
  virtual std::string& out() = 0;
  // Its session is known or not; each connection asks once.
  void connected(bool known) {
    if (connections_++ == 0) return;
    swarm_.reconnected();
    if (known) return;
    ++swarm_.report_.session_absent;
    swarm_.problem("session lost of " + std::to_string(tag_));
  }
  ParkSwarm& swarm_;
  std::uint64_t tag_;
  unsigned connections_ = 0;  // that were answered

 private:
  void lost() {
    if (ready()) {
      ++swarm_.report_.closed;
      if (!swarm_.options_.reconnect)
        swarm_.problem("connection " + std::to_string(tag_) + " was closed");
    }
    stream_.reset();
    on_close();
    since_ = Clock::now() + std::chrono::milliseconds(100 + swarm_.random_() % 900);
  }
  int port_;
  Via via_;
  std::unique_ptr<Stream> stream_;  // null: not connected
  Clock::time_point since_;         // of the attempt to connect, or when the next is due
  bool writes_ = true;
};

class ParkSwarm::Reporter final : public Peer, private park::DeviceHandler {
 public:
  Reporter(ParkSwarm& swarm, std::uint64_t index, int port, Via via)
      : Peer(swarm, index, port, via), device_({.client_id = swarm.client_id(index)}, *this) {}
  bool ready() const override { return device_.ready(); }
  std::size_t unacknowledged() const { return device_.unacknowledged(); }
  void say() {
    const std::string id = std::to_string(tag_) + "-" + std::to_string(++events_);
    said_.push_back(Clock::now());
    device_.report(park::FrameType::event, plate_event(id).SerializeAsString());
    flush();
  }

  std::uint64_t acked = 0;      // events up to this one
  std::set<std::uint64_t> got;  // commands
  std::uint64_t commands = 0;

 private:
  void on_open() override { device_.opened(); }
  void on_close() override {
    device_.closed();
    welcomed_ = false;
  }
  bool on_bytes(std::string& in) override {
    return in.empty() || device_.receive(base::as_bytes(in));
  }
  std::string& out() override { return device_.out(); }
  void on_welcome(bool resumed) override {
    if (std::exchange(welcomed_, true)) ++swarm_.report_.second_welcomes;
    connected(resumed);
  }
  void on_acked(std::uint64_t n) override {
    if (n != acked + 1) swarm_.problem("ACK out of order");
    acked = n;
    ++swarm_.report_.acked;
    const auto now = Clock::now();
    const std::chrono::duration<double, std::milli> gap = now - swarm_.last_ack_;
    swarm_.last_ack_ = now;
    const std::chrono::duration<float, std::milli> took = now - said_.front();
    said_.pop_front();
    if (!swarm_.running_) return;
    swarm_.report_.gap_max_ms = std::max(swarm_.report_.gap_max_ms, gap.count());
    swarm_.report_.answer_ms.push_back(took.count());
  }
  void on_refused(std::uint64_t, std::uint32_t code, const std::string& text) override {
    said_.pop_front();
    ++swarm_.report_.refused;
    swarm_.problem("refused: " + std::to_string(code) + " " + text);
  }
  void on_end(const park::DeviceEnd& e) override {
    if (!swarm_.options_.reconnect)
      swarm_.problem("ended: " + std::to_string(e.code) + " " + e.text);
  }
  void on_command(const park::DeviceCommand& c) override {
    const std::uint64_t n = std::stoull(c.id);
    if (c.again && connections_ == 1) {  // there was no earlier one on which it could have come
      ++swarm_.report_.resent_live;
      swarm_.problem("command again on a live connection: " + c.id);
    }
    device_.received(c);
    if (!got.empty() && n < *got.rbegin() && !got.contains(n)) ++swarm_.report_.out_of_order;
    if (!got.insert(n).second) ++swarm_.report_.doubled;
  }
  park::Device device_;
  std::uint64_t events_ = 0;
  std::deque<Clock::time_point> said_;  // when, of those that are not acknowledged
  bool welcomed_ = false;
};

class ParkSwarm::Platform final : public Peer {
 public:
  Platform(ParkSwarm& swarm, std::uint64_t tag, int port)
      : Peer(swarm, tag, port, Via::tcp), got(swarm.devices_.size()) {
    open();
  }
  bool ready() const override { return subscribed_; }
  void command(Reporter& d, std::size_t index) {
    if (!subscribed_ || pending_.size() >= 1000) return;
    id_ = id_ % 65535 + 1;
    pending_.push_back({id_, index, ++d.commands});
    out_ += encode(pending_.back(), false);
    flush();
  }
  bool idle() const { return subscribed_ && pending_.empty(); }

  struct Commanded {
    unsigned id = 0;  // packet id
    std::size_t device = 0;
    std::uint64_t number = 0;
  };
  std::vector<std::set<std::uint64_t>> got;  // events, by device
  std::vector<Commanded> commanded;          // acknowledged

 private:
  void on_open() override {
    in_.clear();
    out_ = connect({.client_id = swarm_.options_.name + "-platform",
                    .clean = false,
                    .properties = expiry(3600)});
  }
  void on_close() override { subscribed_ = false; }
  bool on_bytes(std::string& in) override {
    in_ += in;
    for (const Packet& p : take_packets(in_)) on_packet(p);
    return true;
  }
  std::string& out() override { return out_; }
  // Of a type that waits for its device for a day: none may be lost, however long an outage is.
  std::string encode(const Commanded& c, bool dup) const {
    const std::string device = "v1/_/" + swarm_.client_id(c.device);
    return publish(device + "/cmd/" + std::to_string(c.number) + "/req/white_list", "x", 1, c.id, 5,
                   false, dup);
  }
  void on_packet(const Packet& p) {
    if (p.type == 2) on_connack(p.body[0] == 1);
    if (p.type == 9) subscribed_ = true;
    if (p.type == 4) on_puback(p.id());
    if (p.type == 3) on_publish(p);
  }
  void on_connack(bool present) {
    connected(present);
    out_ += subscribe(1, "v1/_/+/event/#", 1);
    for (const Commanded& c : pending_) out_ += encode(c, present);  // 4.4
  }
  void on_puback(unsigned id) {
    const auto it = std::find_if(pending_.begin(), pending_.end(),
                                 [id](const Commanded& c) { return c.id == id; });
    if (it == pending_.end()) return;
    commanded.push_back(*it);
    ++swarm_.report_.commanded;
    pending_.erase(it);
  }
  void on_publish(const Packet& p) {
    if (p.qos() == 1) out_ += ack(4, p.id());
    if (!p.topic().starts_with("v1/_/" + swarm_.options_.name + "-")) return;  // another swarm's
    const std::string id = envelope_of(p.payload(5)).event_id();
    const std::size_t dash = id.find('-');
    if (dash == std::string::npos) return swarm_.problem("no event: " + p.topic());
    const std::size_t device = std::stoul(id.substr(0, dash));
    const std::uint64_t n = std::stoull(id.substr(dash + 1));
    std::set<std::uint64_t>& mine = got[device];
    if (!mine.empty() && n < *mine.rbegin() && !mine.contains(n)) {
      ++swarm_.report_.out_of_order;
      swarm_.problem("order: " + id);
    }
    if (!mine.insert(n).second) ++swarm_.report_.doubled;
  }
  std::string in_;
  std::string out_;
  unsigned id_ = 0;
  std::deque<Commanded> pending_;
  bool subscribed_ = false;
};

ParkSwarm::ParkSwarm(Options o) : options_(std::move(o)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (options_.park_ports.empty()) options_.park_ports.push_back(options_.park_port);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  devices_.resize(static_cast<std::size_t>(options_.devices));
  platform_ = std::make_unique<Platform>(*this, devices_.size(), options_.mqtt_port);
}

ParkSwarm::~ParkSwarm() {
  platform_.reset();
  devices_.clear();
  ::close(epoll_);
}

void ParkSwarm::problem(const std::string& what) {
  if (report_.first_problem.empty()) report_.first_problem = what;
}

void ParkSwarm::reconnected() {
  if (Clock::now() - second_began_ > std::chrono::seconds(1)) {
    second_began_ = Clock::now();
    reconnects_ = 0;
  }
  report_.reconnects_peak = std::max(report_.reconnects_peak, ++reconnects_);
}

bool ParkSwarm::connect_all() {
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (!platform_->ready() && Clock::now() < deadline) turn(10);
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const int port = options_.park_ports[i % options_.park_ports.size()];
    devices_[i] = std::make_unique<Reporter>(*this, i, port, options_.via);
    devices_[i]->open();
    if (i % 100 == 99) turn(0);
  }
  while (Clock::now() < deadline) {
    turn(10);
    if (std::all_of(devices_.begin(), devices_.end(), [](const auto& d) { return d->ready(); }))
      return true;
  }
  return false;
}

void ParkSwarm::say_more() {
  const auto now = Clock::now();
  const double s = std::chrono::duration<double>(now - std::exchange(last_turn_, now)).count();
  if (!running_) return;
  event_credit_ =
      std::min(event_credit_ + s * options_.events_per_s, options_.events_per_s / 10 + 1);
  command_credit_ =
      std::min(command_credit_ + s * options_.commands_per_s, options_.commands_per_s / 10 + 1);
  for (std::size_t n = 0; event_credit_ >= 1 && n < devices_.size(); ++n) {
    Reporter& d = *devices_[event_at_++ % devices_.size()];
    if (!d.ready() || d.unacknowledged() >= kWindow) continue;
    d.say();
    event_credit_ -= 1;
  }
  for (; command_credit_ >= 1; command_credit_ -= 1) {
    const std::size_t i = command_at_++ % devices_.size();
    platform_->command(*devices_[i], i);
  }
}

void ParkSwarm::reopen() {
  const auto now = Clock::now();
  platform_->reopen(now);
  for (const auto& d : devices_) {
    if (d) d->reopen(now);
  }
}

void ParkSwarm::turn(int wait_ms) {
  say_more();
  if (options_.reconnect) reopen();
  epoll_event events[256];
  const int n = epoll_wait(epoll_, events, 256, wait_ms);
  for (int i = 0; i < n; ++i) {
    const std::uint64_t tag = events[i].data.u64;
    if (tag == devices_.size()) {
      platform_->on_event();
    } else {
      devices_[tag]->on_event();
    }
  }
}

void ParkSwarm::run(std::chrono::milliseconds time, const std::function<void()>& every) {
  running_ = true;
  last_turn_ = last_ack_ = Clock::now();
  const auto end = Clock::now() + time;
  while (Clock::now() < end && running_) {
    turn(2);
    if (every) every();
  }
  running_ = false;
}

bool ParkSwarm::all_there() const {
  if (!platform_->idle()) return false;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const Reporter& d = *devices_[i];
    if (!d.ready() || d.unacknowledged() != 0 || platform_->got[i].size() < d.acked) return false;
  }
  return std::all_of(platform_->commanded.begin(), platform_->commanded.end(),
                     [this](const auto& c) { return devices_[c.device]->got.contains(c.number); });
}

bool ParkSwarm::settle(std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  while (!all_there()) {
    turn(5);
    if (Clock::now() > deadline) return false;
  }
  return true;
}

ParkReport ParkSwarm::report() const {
  ParkReport r = report_;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    for (std::uint64_t n = 1; n <= devices_[i]->acked; ++n)
      r.lost += platform_->got[i].contains(n) ? 0 : 1;
  }
  for (const auto& c : platform_->commanded)
    r.lost += devices_[c.device]->got.contains(c.number) ? 0 : 1;
  return r;
}

}  // namespace berth::test
