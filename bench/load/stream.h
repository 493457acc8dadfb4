// A client's byte stream as a device has it: TCP, TLS, WebSocket or both, on one non-blocking
// socket in an epoll set of its owner's.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "protocol/websocket/client.h"

namespace berth::bench {

enum class Via : std::uint8_t { tcp, tls, ws, wss };

class Stream {
 public:
  // Connected or connecting; owns it. `path`: of WebSocket.
  Stream(int fd, Via via, const std::string& path = "/mqtt");
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  int fd() const { return fd_; }
  // Takes what it can of `out`; what is left waits for room. False: the stream is broken.
  bool send(std::string& out);
  // Appends what has come. False: the stream has ended.
  bool receive(std::string& in);
  // For what it has itself, whether or not `out` was taken.
  bool wants_write() const { return !wire_.empty() || handshake_writes_; }

 private:
  bool flush(std::string& bytes);
  bool read_wire(std::string& bytes);

  int fd_;
  SSL* tls_ = nullptr;
  std::unique_ptr<protocol::websocket::ClientInput> ws_;  // null: no WebSocket
  bool handshake_writes_ = false;
  std::string wire_;  // to be written
};

}  // namespace berth::bench
