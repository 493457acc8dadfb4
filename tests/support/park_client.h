// A blocking Park device for tests, over TCP or TLS.
#pragma once

#include <openssl/ssl.h>
#include <poll.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/park/device.h"
#include "tests/support/envelopes.h"
#include "tests/support/loopback.h"
#include "tests/support/process.h"

namespace berth::test {

namespace park = protocol::park;

struct ParkTls {
  bool on = false;
  std::string cert_file, key_file;
};

class ParkClient : private park::DeviceHandler {
 public:
  ParkClient(int port, park::Device::Options o, const ParkTls& tls = {},
             const std::string& preamble = {})
      : device_(std::move(o), *this), fd_(connect_loopback(port)) {
    if (fd_ < 0) return;
    if (!preamble.empty()) (void)!::send(fd_, preamble.data(), preamble.size(), MSG_NOSIGNAL);
    open_ = !tls.on || handshake(tls);
    device_.opened();
  }
  ~ParkClient() {
    ssl_.reset();
    if (fd_ >= 0) ::close(fd_);
  }
  ParkClient(const ParkClient&) = delete;
  ParkClient& operator=(const ParkClient&) = delete;

  // Reads and writes until `done`, the end of the connection, or the deadline. What `done` says.
  bool until(const std::function<bool()>& done,
             std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    const auto deadline = Clock::now() + limit;
    flush();
    while (!done()) {
      if (!open_ || Clock::now() > deadline) return done();
      receive();
      flush();
    }
    return true;
  }
  bool welcome() {
    return until([this] { return device_.ready() || !ends.empty(); }) && device_.ready();
  }
  bool ended(std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    return until([this] { return !open_; }, limit);
  }
  std::uint64_t report(const v1::Envelope& e, park::FrameType type = park::FrameType::event) {
    return device_.report(type, e.SerializeAsString());
  }
  bool acknowledged() {
    return until([this] { return device_.unacknowledged() == 0; });
  }
  std::string next_command() {
    until([this] { return !commands.empty(); });
    if (commands.empty()) return "nothing";
    std::string first = commands.front();
    commands.erase(commands.begin());
    return first;
  }
  park::Device& device() { return device_; }
  // Instead of what the device says.
  void send(std::string_view bytes) { device_.out().append(bytes); }

  std::vector<std::string> commands;  // "name id payload"
  std::vector<park::DeviceEnd> ends;
  int pongs = 0;
  bool resumed = false;

 private:
  bool handshake(const ParkTls& tls) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    if (!tls.cert_file.empty()) {
      SSL_CTX_use_certificate_chain_file(context_.get(), tls.cert_file.c_str());
      SSL_CTX_use_PrivateKey_file(context_.get(), tls.key_file.c_str(), SSL_FILETYPE_PEM);
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), fd_);
    return SSL_connect(ssl_.get()) == 1;
  }
  void receive() {
    pollfd p{.fd = fd_, .events = POLLIN, .revents = 0};
    const bool pending = ssl_ && SSL_pending(ssl_.get()) != 0;
    if (!pending && poll(&p, 1, 20) <= 0) return;
    char some[65536];
    const ssize_t n =
        ssl_ ? SSL_read(ssl_.get(), some, sizeof some) : ::recv(fd_, some, sizeof some, 0);
    if (n <= 0 ||
        !device_.receive(base::as_bytes(std::string_view(some, static_cast<std::size_t>(n)))))
      open_ = false;
  }
  void flush() {
    std::string out = std::exchange(device_.out(), {});
    if (!open_ || out.empty()) return;
    if (ssl_) {
      SSL_write(ssl_.get(), out.data(), static_cast<int>(out.size()));
    } else {
      (void)!::send(fd_, out.data(), out.size(), MSG_NOSIGNAL);
    }
  }
  void on_welcome(bool r) override { resumed = r; }
  void on_command(const park::DeviceCommand& c) override {
    commands.push_back((c.desired ? "desired" : c.name + " " + c.id) + " " + c.payload);
    device_.received(c);
  }
  void on_end(const park::DeviceEnd& e) override { ends.push_back(e); }
  void on_pong(std::int64_t) override { ++pongs; }

  park::Device device_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{nullptr, SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
  int fd_;
  bool open_ = false;
};

}  // namespace berth::test
