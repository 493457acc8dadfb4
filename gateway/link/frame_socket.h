// One end of a stream of frames: a non-blocking socket, with TLS or without, what was read of the
// next frame, what could not be written yet. Used by both ends of a link, on its shard's thread,
// through the shard's Poller.
#pragma once

#include <openssl/types.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "gateway/io/poller.h"
#include "protocol/link/records.h"

namespace berth::gateway::link {

class FrameSocket {
 public:
  FrameSocket(io::Poller& poller, std::uint64_t tag) : poller_(poller), tag_(tag) {}
  ~FrameSocket() { close(); }
  FrameSocket(const FrameSocket&) = delete;
  FrameSocket& operator=(const FrameSocket&) = delete;

  // Owns both. The socket may still be connecting, the handshake not begun: `tls` knows its side.
  void open(int fd, SSL* tls = nullptr);
  void close();
  bool is_open() const { return fd_ >= 0; }

  // Append whole frames here, then flush().
  std::string& out() { return out_; }
  void flush();
  // One frame, with what `put` appends to it as its payload; and flush().
  template <class Put>
  requires std::invocable<const Put&, std::string&>
  void send(protocol::link::FrameType type, const Put& put) {
    const std::size_t at = protocol::link::begin_frame(out_, type);
    put(out_);
    protocol::link::end_frame(out_, at);
    flush();
  }
  void send(protocol::link::FrameType type, std::string_view payload = {}) {
    send(type, [payload](std::string& out) { out.append(payload); });
  }
  std::size_t unsent() const { return out_.size() - out_at_; }

  // The greatest frame that is taken, and what is buffered of a peer that nobody knows yet.
  void set_frame_max(std::size_t bytes) { frame_max_ = bytes; }
  // Reads what there is; `on_frame` for each whole frame. False: the peer is gone or talks
  // nonsense, why() says which.
  bool read(const std::function<void(const protocol::link::FrameView&)>& on_frame);
  void on_writable() { flush(); }
  const std::string& why() const { return why_; }  // of the last stream; empty: it has not broken
  // For a signal handler of a process that dies: what waits, then `frame`, without allocating; what
  // does not go at once does not go.
  void last_words(const char* frame, std::size_t size);

 private:
  enum class Io : std::uint8_t { done, wait, broken };
  Io tls_io(int result);
  Io broken(const char* why);
  Io receive(char* to, std::size_t room, std::size_t& n);
  Io transmit(std::size_t& n);
  bool fill();  // false: the stream has ended
  io::Poller& poller_;
  std::uint64_t tag_;
  int fd_ = -1;
  SSL* tls_ = nullptr;
  std::string in_;
  std::size_t in_used_ = 0;  // bytes of in_ that hold data
  std::string out_;
  std::size_t out_at_ = 0;
  std::size_t frame_max_ = protocol::link::kFrameMax;
  std::string why_;
  bool want_write_ = false;
};

}  // namespace berth::gateway::link
