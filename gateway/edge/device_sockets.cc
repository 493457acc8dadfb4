#include "gateway/edge/device_sockets.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "gateway/edge/client_trust.h"
#include "gateway/edge/edge_events.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;

// Like recv(): bytes, 0 at the end of the stream, or -1 with errno.
ssize_t DeviceSockets::receive_stream(Connection& c, std::uint8_t* to, std::size_t room) {
  if (c.tls == nullptr) return ::recv(c.fd, to, room, 0);
  const bool was_open = SSL_is_init_finished(c.tls) != 0;
  ERR_clear_error();
  std::size_t all = 0;
  int r = 1;
  for (std::size_t n = 0; all < room && r == 1; all += n) {  // at most a record a call
    n = 0;
    r = SSL_read_ex(c.tls, to + all, room - all, &n);
  }
  if (!was_open && SSL_is_init_finished(c.tls) != 0) {
    const ClientTrust* trust = ClientTrust::of(c.tls);
    if (trust != nullptr && trust->nameless(c.tls)) {  // a password is no way around
      events::tls_failed(c, "its certificate has no name that could be its user name");
      errno = EPROTO;
      return -1;
    }
    ++(SSL_session_reused(c.tls) != 0 ? probe_.tls_resumed : probe_.tls_full);
    if (before_login_.has(c.slot)) before_login_.take(c.slot, BeforeLogin::kTlsBuffers);
    followers_.greet(c);
  }
  const int why = r == 1 ? SSL_ERROR_NONE : SSL_get_error(c.tls, r);
  if (all != 0) {
    if (why != SSL_ERROR_WANT_READ)
      calls_.read_later(c);  // epoll does not know of what OpenSSL has
    return static_cast<ssize_t>(all);
  }
  want_tls_write(c, why == SSL_ERROR_WANT_WRITE);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
    errno = EAGAIN;
    return -1;
  }
  if (why == SSL_ERROR_ZERO_RETURN) return 0;
  const bool said = why == SSL_ERROR_SSL || ERR_peek_error() != 0;
  if (SSL_is_init_finished(c.tls) == 0 || said) events::tls_failed(c, {});
  errno = SSL_is_init_finished(c.tls) != 0 ? ECONNRESET : EPROTO;
  return -1;
}

// Like send().
ssize_t DeviceSockets::transmit_stream(Connection& c, const char* from, std::size_t size) {
  if (c.tls == nullptr) return ::send(c.fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  ERR_clear_error();
  std::size_t all = 0;
  int r = 1;
  for (std::size_t n = 0; all < size && r == 1; all += n) {  // a record a call
    n = 0;
    r = SSL_write_ex(c.tls, from + all, size - all, &n);
  }
  if (all != 0) return static_cast<ssize_t>(all);
  const int why = SSL_get_error(c.tls, r);
  errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
  return -1;
}

std::uint64_t DeviceSockets::handed(const Connection& c) {
  if (c.tls != nullptr) return BIO_number_written(SSL_get_wbio(c.tls));
  return c.layers != nullptr ? c.layers->handed : c.sent;
}

bool DeviceSockets::handshaking(const Connection& c) {
  return c.tls != nullptr && SSL_is_init_finished(c.tls) == 0;
}

// A handshake whose answer does not fit into the socket.
void DeviceSockets::want_tls_write(Connection& c, bool want) {
  if (!c.out.empty() || c.want_write == want) return;
  c.want_write = want;
  set_interest(c);
}

void DeviceSockets::close_socket(Connection& c, bool reset) {
  if (c.layers != nullptr && !reset) say_goodbye(c);
  if (c.tls != nullptr) {
    ERR_clear_error();
    if (SSL_is_init_finished(c.tls) != 0 && !reset)
      SSL_shutdown(c.tls);  // close_notify, if there is room
    SSL_free(std::exchange(c.tls, nullptr));
    --counts_.tls;
    ERR_clear_error();
  }
  const int fd = std::exchange(c.fd, -1);
  const linger how{.l_onoff = reset ? 1 : 0, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &how, sizeof how);
  if (reset || !should_linger(c)) {
    ::close(fd);  // leaves the epoll set by itself
    return;
  }
  poller_.remove(fd);
  lingering_.take(fd);
}

// Whom we tell why: closing with unread input would take it back.
bool DeviceSockets::should_linger(const Connection& c) const {
  const bool spoken_to = c.connected || c.state == Connection::State::closing;
  return spoken_to && c.reason != CloseReason::client && c.reason != CloseReason::peer_closed &&
         c.reason != CloseReason::peer_reset && c.reason != CloseReason::tls_failed;
}

}  // namespace berth::gateway::edge
