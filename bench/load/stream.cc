#include "bench/load/stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace berth::bench {

namespace {

SSL_CTX* context() {
  static SSL_CTX* const c = [] {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
    SSL_CTX* made = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                               SSL_MODE_RELEASE_BUFFERS);
    return made;
  }();
  return c;
}

}  // namespace

Stream::Stream(int fd, Via via, const std::string& path) : fd_(fd) {
  if (via == Via::tls || via == Via::wss) {
    tls_ = SSL_new(context());
    SSL_set_fd(tls_, fd);
    SSL_set_connect_state(tls_);
  }
  if (via != Via::ws && via != Via::wss) return;
  ws_ = std::make_unique<protocol::websocket::ClientInput>();
  wire_ = protocol::websocket::client_request(path);
}

Stream::~Stream() {
  SSL_free(tls_);
  ::close(fd_);
}

bool Stream::flush(std::string& bytes) {
  while (!bytes.empty()) {
    std::size_t n = 0;
    if (tls_ != nullptr) {
      ERR_clear_error();
      const int r = SSL_write_ex(tls_, bytes.data(), bytes.size(), &n);
      const int why = r == 1 ? SSL_ERROR_NONE : SSL_get_error(tls_, r);
      handshake_writes_ = why == SSL_ERROR_WANT_WRITE;
      if (r != 1) return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
    } else {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0) return errno == EAGAIN || errno == ENOTCONN;
      n = static_cast<std::size_t>(sent);
    }
    bytes.erase(0, n);
  }
  return true;
}

bool Stream::send(std::string& out) {
  if (ws_ == nullptr) return flush(out);
  if (!out.empty()) {
    wire_.append(protocol::websocket::ws_frame(0x82, out));
    out.clear();
  }
  return flush(wire_);
}

bool Stream::read_wire(std::string& bytes) {
  char some[65536];
  for (;;) {
    if (tls_ == nullptr) {
      const ssize_t n = recv(fd_, some, sizeof some, MSG_DONTWAIT);
      if (n > 0) bytes.append(some, static_cast<std::size_t>(n));
      return n > 0 || (n < 0 && (errno == EAGAIN || errno == ENOTCONN));
    }
    std::size_t n = 0;
    ERR_clear_error();
    const int r = SSL_read_ex(tls_, some, sizeof some, &n);
    if (r == 1) {
      bytes.append(some, n);
      continue;
    }
    const int why = SSL_get_error(tls_, r);
    handshake_writes_ = why == SSL_ERROR_WANT_WRITE;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
  }
}

bool Stream::receive(std::string& in) {
  if (ws_ == nullptr) {
    return read_wire(in);  // a handshake goes on with it
  }
  std::string frames;
  const bool alive = read_wire(frames);
  in.append(ws_->take(frames));
  return flush(wire_) && alive;
}

}  // namespace berth::bench
