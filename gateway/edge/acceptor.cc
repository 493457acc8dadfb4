#include "gateway/edge/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/clock.h"
#include "gateway/edge/edge_events.h"
#include "gateway/edge/tls_server.h"

namespace berth::gateway::edge {

using events::Refused;
using protocol::link::CloseReason;

namespace {
constexpr int kAcceptsPerTurn = 128;

std::uint16_t port_of(const sockaddr_storage& s) {
  return ntohs(s.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(s).sin6_port
                                       : reinterpret_cast<const sockaddr_in&>(s).sin_port);
}

}  // namespace

void Acceptor::listen(int fd, Transport transport, const ListenerOptions& options) {
  listeners_.push_back({.fd = fd, .transport = transport, .options = options});
  accepting_ = true;
  if (options.tls != nullptr) certificate_name_ = options.tls->user_name();
  const int one = 1;  // accepted sockets inherit all
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &options_.user_timeout_ms,
             sizeof options_.user_timeout_ms);
  // If this process is killed, what the kernel still has for devices goes too: it may be commands.
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  poller_.add(fd, UINT64_MAX - (listeners_.size() - 1), EPOLLIN);
}

void Acceptor::stop_accepting() {
  for (const Listener& l : listeners_) {
    poller_.remove(l.fd);
    ::close(l.fd);
  }
  listeners_.clear();
  accepting_ = false;
  accept_later_.cancel();
}

void Acceptor::accept_some(std::size_t listener) {
  for (int i = 0; i < kAcceptsPerTurn && accepting_ && listener < listeners_.size(); ++i) {
    if (!admission_.admit(base::monotonic_ns(), counts_.waiting)) return pause_accepting();
    const Listener& l = listeners_[listener];
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const int fd =
        accept4(l.fd, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      admission_.give_back();
      if (errno == EMFILE || errno == ENFILE) {  // the next tick tries again
        ++probe_.accept_no_descriptor;
        events::refused(Refused::descriptors, {}, 0, l.transport);
        listen_to_nobody();
      }
      return;
    }
    ++probe_.accepted;
    admit(fd, peer, l);
  }
}

void Acceptor::listen_to_nobody() {
  accepting_ = false;
  for (std::size_t i = 0; i < listeners_.size(); ++i)
    poller_.modify(listeners_[i].fd, UINT64_MAX - i, 0);
}

void Acceptor::resume_accepting() {
  accepting_ = !listeners_.empty();
  for (std::size_t i = 0; i < listeners_.size(); ++i) listen_to(i);
}

void Acceptor::listen_to(std::size_t listener) {
  const Listener& l = listeners_[listener];
  poller_.modify(l.fd, UINT64_MAX - listener, l.waits ? 0u : EPOLLIN);
}

int Acceptor::listener(Transport t) const {
  const auto it = std::find_if(listeners_.begin(), listeners_.end(),
                               [t](const Listener& l) { return l.transport == t; });
  return it == listeners_.end() ? -1 : it->fd;
}

std::uint32_t Acceptor::admits_per_s() const {
  if (listeners_.empty()) return 0;
  const std::size_t room =
      options_.max_connections - std::min<std::size_t>(counts_.open, options_.max_connections);
  return static_cast<std::uint32_t>(std::min<std::size_t>(admission_.rate_per_s(), room));
}

void Acceptor::pause_accepting() {
  ++probe_.accept_paused;
  listen_to_nobody();
  accept_later_.expires_after(std::chrono::milliseconds(5));
  accept_later_.async_wait([this](boost::system::error_code ec) {
    if (!ec) resume_accepting();
  });
}

Connection& Acceptor::new_connection(int fd) {
  const std::uint32_t slot = slab_.take();
  Connection& c = slab_[slot];
  const std::uint32_t generation = c.generation + 1;
  const bool watched = c.watched;
  c = Connection{};
  c.watched = watched;
  c.slot = slot;
  c.generation = generation;
  c.fd = fd;
  c.state = Connection::State::open;
  ++counts_.open;
  return c;
}

bool Acceptor::has_room(const Listener& l) const {
  const std::uint32_t limit = l.options.max_connections;
  return limit == 0 || counts_.by_transport[index_of(l.transport)] < limit;
}

// Everything that costs nothing comes before TLS.
void Acceptor::admit(int fd, const sockaddr_storage& peer, const Listener& l) {
  const base::Address address = base::Address::of(peer);
  const auto is_address = [&](const Network& n) { return n.has(address); };
  const std::uint16_t port = port_of(peer);
  const bool proxy = l.options.proxy_protocol;
  const auto refuse = [&](std::uint64_t& counter, Refused why) {
    ++counter;
    ::close(fd);
    events::refused(why, address, port, l.transport);
  };
  if (counts_.open >= options_.max_connections)
    return refuse(probe_.accept_refused, Refused::connections);
  if (!has_room(l)) return refuse(probe_.refused_listener, Refused::listener);
  if (proxy && !options_.proxies.empty() &&
      std::none_of(options_.proxies.begin(), options_.proxies.end(), is_address)) {
    return refuse(probe_.refused_proxy, Refused::proxy);
  }
  if (!proxy && limits_ != nullptr && !limits_->enter(address, base::monotonic_ns()))
    return refuse(probe_.refused_address, Refused::address);
  Connection& c = new_connection(fd);
  c.counted = !proxy && limits_ != nullptr;
  c.transport = l.transport;
  c.follower = StreamFollower(l.transport);
  ++counts_.by_transport[index_of(l.transport)];
  c.peer = address;
  c.peer_port = port;
  c.loopback = !proxy && address.is_loopback();
  if (proxy || has_websocket(l.transport)) c.layers = std::make_unique<Layers>();
  if (proxy) c.layers->proxy = true;
  if (has_websocket(l.transport))
    c.layers->ws =
        std::make_unique<protocol::websocket::WebSocket>(options_.ws_path, options_.ws_origins);
  slab_.alive(c.slot) = {now_s_, options_.connect_timeout_s};
  poller_.add(fd, c.id().packed(), EPOLLIN);
  arrivals_.enter(c, !proxy);
  if (!arrivals_.has_room_before_login(c)) return;
  if (l.options.tls == nullptr) {
    if (!proxy) followers_.greet(c);
    return;
  }
  c.tls = l.options.tls->accept(fd);
  if (c.tls == nullptr) return end(c, CloseReason::tls_failed);  // no memory
  ++counts_.tls;
}

void Acceptor::admit_local(int fd, std::uint32_t partition) {
  Connection& c = new_connection(fd);
  c.partition = static_cast<std::uint8_t>(partition);
  c.loopback = true;
  c.holder = InputBudget::kOwn;
  ++counts_.by_transport[index_of(c.transport)];
  slab_.alive(c.slot) = {now_s_, 0};
  poller_.add(fd, c.id().packed(), EPOLLIN);
}

const TlsServer* Acceptor::tls_server() const {
  const auto it = std::find_if(listeners_.begin(), listeners_.end(),
                               [](const Listener& l) { return l.options.tls != nullptr; });
  return it == listeners_.end() ? nullptr : it->options.tls;
}

void Acceptor::pause_tls() {
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    listeners_[i].waits = has_tls(listeners_[i].transport);
    listen_to(i);
  }
}

void Acceptor::keep_tls() {
  for (Listener& l : listeners_) l.waits = false;
  resume_accepting();
}

void Acceptor::tick() {
  if (!accepting_) resume_accepting();
}

int open_listener(const std::string& host, std::uint16_t& port, bool shared) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string service = std::to_string(port);
  if (const int e =
          getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &hints, &found)) {
    throw std::runtime_error("listen on " + host + ": " + gai_strerror(e));
  }
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  const bool bound =
      fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && ::listen(fd, 4096) == 0;
  const int error = errno;
  freeaddrinfo(found);
  if (!bound) {
    if (fd >= 0) ::close(fd);
    throw std::runtime_error("listen on " + host + ":" + service + ": " + std::strerror(error));
  }
  sockaddr_storage local{};
  socklen_t size = sizeof local;
  getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size);
  port = ntohs(local.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(local).sin6_port
                                           : reinterpret_cast<sockaddr_in&>(local).sin_port);
  return fd;
}

}  // namespace berth::gateway::edge
