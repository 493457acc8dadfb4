// A device of an edge over any transport, in the loop of a test: it does one thing when it is told
// to.
#pragma once

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/edge/listener.h"
#include "tests/support/certificates.h"
#include "tests/support/loopback.h"
#include "tests/support/wire.h"
#include "tests/support/ws_client.h"

namespace berth::test {

class EdgeDevice {
 public:
  explicit EdgeDevice(gateway::edge::Transport t, int port, int receive_buffer = 65536)
      : transport_(t), fd_(connect_loopback(port, receive_buffer)) {
    fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
    if (gateway::edge::has_tls(t)) {
      context_.reset(SSL_CTX_new(TLS_client_method()));
      ssl_.reset(SSL_new(context_.get()));
      SSL_set_fd(ssl_.get(), fd_);
      SSL_set_connect_state(ssl_.get());
    }
    const std::string hello = connect({.client_id = "d"});
    to_say_ = gateway::edge::has_websocket(t) ? WsClient::request() + ws_frame(0x82, hello) : hello;
  }
  ~EdgeDevice() {
    ssl_.reset();
    ::close(fd_);
  }
  EdgeDevice(const EdgeDevice&) = delete;
  EdgeDevice& operator=(const EdgeDevice&) = delete;

  void say() {
    if (to_say_.empty()) return;
    const int n = ssl_
                      ? SSL_write(ssl_.get(), to_say_.data(), static_cast<int>(to_say_.size()))
                      : static_cast<int>(::send(fd_, to_say_.data(), to_say_.size(), MSG_NOSIGNAL));
    if (n > 0) to_say_.erase(0, static_cast<std::size_t>(n));
  }
  // At most `most` bytes.
  void hear(std::size_t most) {
    std::vector<char> some(most);
    const auto n = ssl_ ? SSL_read(ssl_.get(), some.data(), static_cast<int>(most))
                        : static_cast<int>(::recv(fd_, some.data(), most, 0));
    if (n <= 0) {
      reset = reset || (n < 0 && errno == ECONNRESET);
      return;
    }
    const std::string_view bytes(some.data(), static_cast<std::size_t>(n));
    mqtt += gateway::edge::has_websocket(transport_) ? ws_.take(bytes) : std::string(bytes);
  }
  bool failed() const { return ssl_ && ERR_peek_error() != 0; }
  std::string mqtt;  // what it has heard
  bool reset = false;

 private:
  gateway::edge::Transport transport_;
  int fd_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{nullptr, SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
  std::string to_say_;
  WsInput ws_;
};

inline Certificates gateway_certificates(const std::string& directory) {
  Certificates c(directory);
  c.issue("gateway", "localhost");
  return c;
}

}  // namespace berth::test
