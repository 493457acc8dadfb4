// A client's byte stream as a device has it: TCP, TLS, WebSocket or both, on one non-blocking
// socket in an epoll set of its owner's.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>

namespace berth::test {

enum class Via : std::uint8_t { tcp, tls, ws, wss };

class WsInput;

class Stream {
 public:
  Stream(int fd, Via via);  // connected or connecting; owns it
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  int fd() const { return fd_; }
  // Takes what it can of `out`. False: the stream is broken.
  bool send(std::string& out);
  // Appends what has come. False: the stream has ended.
  bool receive(std::string& in);
  bool wants_write() const { return !wire_.empty() || handshake_writes_; }

 private:
  bool flush();
  bool read_wire(std::string& bytes);

  int fd_;
  SSL* tls_ = nullptr;
  std::unique_ptr<WsInput> ws_;  // null: no WebSocket
  bool handshake_writes_ = false;
  std::string wire_;  // to be written
};

}  // namespace berth::test
