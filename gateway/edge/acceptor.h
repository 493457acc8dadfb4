// Listening sockets, and the connections that come by them: the rate at which they are accepted
// (admission.h), the limits that are checked before TLS, the first state of a connection. A room of
// the edge; the shard's thread. Owns the listening sockets.
//
// Limits: connections, those of a listener (closed at accept, counted), the rate (the rest wait in
// the kernel's queue), descriptors (a second's pause).
#pragma once

#include <sys/socket.h>

#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gateway/edge/admission.h"
#include "gateway/edge/arrivals.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/edge_context.h"
#include "gateway/edge/followers.h"
#include "gateway/edge/listener.h"

namespace berth::gateway::edge {

class Acceptor final : private EdgeRoom {
 public:
  static constexpr std::uint64_t kListenerTag = UINT64_MAX - 16;  // of epoll; above it: listeners

  Acceptor(EdgeContext& cx, Arrivals& arrivals, Followers& followers)
      : EdgeRoom(cx),
        arrivals_(arrivals),
        followers_(followers),
        accept_later_(io_),
        admission_(options_.accept_per_s) {}

  void listen(int fd, Transport transport, const ListenerOptions& options);
  void stop_accepting();
  void accept_some(std::size_t listener);  // `listener`: UINT64_MAX less its tag
  void tick();                             // every second
  // New connections with TLS wait in their listening sockets; and no longer.
  void pause_tls();
  void keep_tls();
  void admit_local(int fd, std::uint32_t partition);

  int listener(Transport t) const;      // -1: none
  const TlsServer* tls_server() const;  // null: there is no listener with TLS
  // What of a device's certificate names it.
  CertificateName certificate_name() const { return certificate_name_; }
  std::uint32_t admits_per_s() const;
  Admission& admission() { return admission_; }

 private:
  struct Listener {
    int fd = -1;
    Transport transport = Transport::mqtt;
    ListenerOptions options;
    bool waits = false;  // new connections stay in its backlog
  };
  void listen_to_nobody();
  void listen_to(std::size_t listener);
  void pause_accepting();
  void resume_accepting();
  Connection& new_connection(int fd);
  void admit(int fd, const sockaddr_storage& peer, const Listener& l);
  bool has_room(const Listener& l) const;

  Arrivals& arrivals_;
  Followers& followers_;
  boost::asio::steady_timer accept_later_;
  Admission admission_;
  std::vector<Listener> listeners_;
  bool accepting_ = false;
  CertificateName certificate_name_ = CertificateName::none;
};

// A listening TCP socket, SO_REUSEADDR, backlog 4096; `shared`: with SO_REUSEPORT. `port` 0 is
// filled in. Throws std::runtime_error.
int open_listener(const std::string& host, std::uint16_t& port, bool shared = false);

}  // namespace berth::gateway::edge
