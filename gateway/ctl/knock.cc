#include "gateway/ctl/knock.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/exit_codes.h"
#include "gateway/config/config.h"

namespace berth::gateway {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kHeadMax = 8192;

// The first sentence of what went wrong.
struct NoAnswer {
  std::string why;
  bool silent = false;  // no connection
};

std::string tls_error() {
  const unsigned long e = ERR_peek_last_error();
  const char* const reason = ERR_reason_error_string(e);
  ERR_clear_error();
  return reason != nullptr ? reason : "the connection was closed";
}

// A connection with TLS or without; blocking, until the deadline.
class Line {
 public:
  Line(const Door& door, Clock::time_point end) : end_(end) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int no = ::getaddrinfo(door.host.c_str(), door.port.c_str(), &hints, &found);
    if (no != 0) throw NoAnswer{std::string("no address: ") + ::gai_strerror(no)};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, ::freeaddrinfo);
    int error = 0;
    for (const addrinfo* a = found; a != nullptr && fd_ < 0; a = a->ai_next) error = connect_to(*a);
    if (fd_ < 0) throw NoAnswer{std::string("no connection: ") + std::strerror(error), true};
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() {
    ssl_.reset();
    if (fd_ >= 0) ::close(fd_);
  }

  // The certificate is not checked: it names the devices' host, and this may be another name.
  void begin_tls(const std::string& host) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_client_cert_cb(context_.get(), [](SSL* s, X509**, EVP_PKEY**) {
      *static_cast<bool*>(SSL_get_app_data(s)) = true;
      return 0;
    });
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_app_data(ssl_.get(), &asked_for_certificate_);
    SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
    SSL_set_fd(ssl_.get(), fd_);
    for (int r = 0; (r = SSL_connect(ssl_.get())) != 1;) again(r, "no TLS handshake: ");
  }
  // A listener with client_certificates: required ends a connection without one.
  bool asked_for_certificate() const { return asked_for_certificate_; }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      if (ssl_) {
        const int r = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
        if (r > 0) bytes.remove_prefix(static_cast<std::size_t>(r));
        if (r <= 0) again(r, "TLS: ");
        continue;
      }
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
      if (n < 0 && errno != EAGAIN) throw NoAnswer{std::strerror(errno)};
      if (n < 0) wait(POLLOUT);
    }
  }
  // What has come so far, at least `bytes` of it.
  const std::string& receive(std::size_t bytes) {
    std::array<char, 1024> some{};
    while (got_.size() < bytes) {
      const int n = ssl_ ? SSL_read(ssl_.get(), some.data(), some.size())
                         : static_cast<int>(::recv(fd_, some.data(), some.size(), 0));
      if (n > 0) got_.append(some.data(), static_cast<std::size_t>(n));
      if (n > 0) continue;
      if (ssl_) {
        again(n, "TLS: ");
        continue;
      }
      if (n == 0) throw NoAnswer{"the connection was closed without an answer"};
      if (errno != EAGAIN) throw NoAnswer{std::strerror(errno)};
      wait(POLLIN);
    }
    return got_;
  }
  const std::string& receive_until(std::string_view word) {
    while (got_.find(word) == std::string::npos && got_.size() < kHeadMax) receive(got_.size() + 1);
    return got_;
  }
  void forget(std::size_t bytes) { got_.erase(0, bytes); }

 private:
  // errno, or 0 with a connection.
  int connect_to(const addrinfo& a) {
    const int fd = ::socket(a.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    int error = ::connect(fd, a.ai_addr, a.ai_addrlen) == 0 ? 0 : errno;
    fd_ = fd;
    if (error == EINPROGRESS) {
      socklen_t size = sizeof error;
      if (!ready(POLLOUT)) error = ETIMEDOUT;
      if (error != ETIMEDOUT) ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (error != 0) {
      ::close(fd);
      fd_ = -1;
    }
    return error;
  }
  bool ready(short events) const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - Clock::now());
    pollfd p{fd_, events, 0};
    return left.count() > 0 && ::poll(&p, 1, static_cast<int>(left.count())) > 0;
  }
  void wait(short events) const {
    if (!ready(events)) throw NoAnswer{"no answer in time"};
  }
  void again(int r, const char* what) {
    const int e = SSL_get_error(ssl_.get(), r);
    if (e == SSL_ERROR_WANT_READ) return wait(POLLIN);
    if (e == SSL_ERROR_WANT_WRITE) return wait(POLLOUT);
    throw NoAnswer{what + tls_error()};
  }

  Clock::time_point end_;
  int fd_ = -1;
  bool asked_for_certificate_ = false;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{nullptr, SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
  std::string got_;
};

// CONNECT of MQTT 3.1.1 with Clean Session, without a user, Keep Alive 60 s.
std::string connect_packet() {
  constexpr std::string_view id = "berth-ctl-knock";
  std::string body("\0\4MQTT\4\2\0\74\0", 11);
  body += static_cast<char>(id.size());
  body += id;
  return std::string("\x10") + static_cast<char>(body.size()) + body;
}

// A WebSocket frame of bytes; the mask is four zeros.
std::string frame_of(const std::string& bytes) {
  return std::string("\x82") + static_cast<char>(0x80 | bytes.size()) + std::string(4, '\0') +
         bytes;
}

std::string after_connack(const std::string& packet) {
  if (packet.size() < 4 || packet[0] != '\x20') throw NoAnswer{"the answer is no CONNACK"};
  const int code = static_cast<unsigned char>(packet[3]);
  if (code == 0) return "CONNACK: a device may log in without a user";
  return "CONNACK: refused with " + std::to_string(code) + ", as for a stranger";
}

std::string ask_mqtt(Line& line) {
  line.send(connect_packet());
  std::string said = after_connack(line.receive(4));
  line.send(std::string("\xe0\0", 2));
  return said;
}

std::string ask_websocket(Line& line, const Door& door) {
  line.send("GET " + door.path + " HTTP/1.1\r\nHost: " + door.host + ":" + door.port +
            "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n");
  const std::string& head = line.receive_until("\r\n\r\n");
  if (!head.starts_with("HTTP/1.1 101 ")) throw NoAnswer{head.substr(0, head.find('\r'))};
  line.forget(head.find("\r\n\r\n") + 4);
  line.send(frame_of(connect_packet()));
  return after_connack(line.receive(6).substr(2));
}

std::string ask_park(Line& line) {
  const std::string& frame = line.receive(4);
  if (!frame.starts_with("PK\x01")) throw NoAnswer{"the answer is no GREETING"};
  return "GREETING";
}

std::string ask(Line& line, const Door& door) {
  if (door.tls) line.begin_tls(door.host);
  if (door.kind.starts_with("mqtt")) return ask_mqtt(line);
  if (door.kind.starts_with("ws")) return ask_websocket(line, door);
  if (door.kind.starts_with("park")) return ask_park(line);
  return "connected";
}

}  // namespace

Door::Door(const std::string& text) : url(text) {
  const std::size_t at = text.find("://");
  const std::size_t begin = at == std::string::npos ? text.size() : at + 3;
  const std::size_t slash = text.find('/', begin);
  const std::string where = text.substr(begin, slash - begin);
  const std::size_t colon = where.rfind(':');
  kind = text.substr(0, at);
  constexpr std::array<std::string_view, 7> kinds{"mqtt", "mqtts", "ws", "wss",
                                                  "park", "parks", "tcp"};
  const bool known = std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  if (!known || colon == std::string::npos || colon == 0 || colon + 1 == where.size())
    throw ConfigError("'" + text +
                      "' is not KIND://HOST:PORT (mqtt, mqtts, ws, wss, park, parks, tcp)");
  host = where.substr(0, colon);
  if (host.starts_with("[") && host.ends_with("]")) host = host.substr(1, host.size() - 2);
  port = where.substr(colon + 1);
  if (slash != std::string::npos) path = text.substr(slash);
  tls = kind.ends_with("s") && kind != "ws";
}

Knocked knock(const Door& door, std::uint32_t timeout_s) {
  std::signal(SIGPIPE, SIG_IGN);  // NOLINT: OpenSSL writes without MSG_NOSIGNAL
  std::unique_ptr<Line> line;
  try {
    line = std::make_unique<Line>(door, Clock::now() + std::chrono::seconds(timeout_s));
    return {true, false, ask(*line, door)};
  } catch (const NoAnswer& e) {
    if (line && line->asked_for_certificate())
      return {true, false, "TLS: it asks for a device's certificate (" + e.why + ")"};
    return {false, e.silent, e.why};
  }
}

KnockVerb::KnockVerb(CLI::App& control)
    : verb_(control.add_subcommand("knock", "connect as a device would, and say what answers")) {
  verb_
      ->add_option("listener", doors_,
                   "KIND://HOST:PORT, of mqtt, mqtts, ws, wss, park, parks, tcp")
      ->required();
  verb_->add_flag("--closed", closed_,
                  "nobody may be reached there: proves a network policy or a firewall");
}

std::optional<int> KnockVerb::run(std::uint32_t timeout_s) const {
  if (!*verb_) return std::nullopt;
  int code = 0;
  for (const std::string& url : doors_) {
    const Knocked k = knock(Door(url), timeout_s);
    if (closed_) {
      std::printf("%s: %s%s\n", url.c_str(), k.silent ? "" : "NOT CLOSED: ", k.answer.c_str());
      if (!k.silent) code = 1;
      continue;
    }
    std::printf("%s: %s%s\n", url.c_str(), k.good ? "" : "NO ANSWER: ", k.answer.c_str());
    if (!k.good) code = base::kExitUnavailable;
  }
  return code;
}

}  // namespace berth::gateway
