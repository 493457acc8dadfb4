#include "gateway/link/frame_socket.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "gateway/link/tls.h"

namespace berth::gateway::link {
namespace {
constexpr std::size_t kReadChunk = 256 * 1024;
constexpr std::size_t kKeep = 4u << 20;  // greater buffers are given back when empty
constexpr int kReadsPerTurn = 16;
}  // namespace

void FrameSocket::open(int fd, SSL* tls) {
  fd_ = fd;
  tls_ = tls;
  in_used_ = out_at_ = 0;
  out_.clear();
  why_.clear();
  want_write_ = false;
  poller_.add(fd, tag_, EPOLLIN);
  if (tls_ == nullptr) return;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);  // OpenSSL reads and writes without flags
  SSL_set_fd(tls_, fd);
}

void FrameSocket::close() {
  if (fd_ < 0) return;
  SSL_free(std::exchange(tls_, nullptr));
  poller_.remove(fd_);
  ::close(std::exchange(fd_, -1));
  out_.clear();
  in_used_ = out_at_ = 0;
}

// The first reason counts: what is read after it is a consequence.
FrameSocket::Io FrameSocket::broken(const char* why) {
  if (why_.empty()) why_ = why;
  return Io::broken;
}

FrameSocket::Io FrameSocket::tls_io(int result) {
  if (result == 1) return Io::done;
  const int e = SSL_get_error(tls_, result);
  if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) return Io::wait;
  return why_.empty() ? broken(failure_of(tls_, result).c_str()) : Io::broken;
}

// After an error the queue of OpenSSL's thread must not speak for the next call.
FrameSocket::Io FrameSocket::receive(char* to, std::size_t room, std::size_t& n) {
  if (tls_ == nullptr) {
    const ssize_t got = ::recv(fd_, to, room, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Io::wait;
    if (got <= 0) return broken(got == 0 ? "end of stream" : std::strerror(errno));
    n = static_cast<std::size_t>(got);
    return Io::done;
  }
  ERR_clear_error();
  return tls_io(SSL_read_ex(tls_, to, room, &n));
}

FrameSocket::Io FrameSocket::transmit(std::size_t& n) {
  if (tls_ == nullptr) {
    const ssize_t put = ::send(fd_, out_.data() + out_at_, unsent(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0) return errno == EAGAIN || errno == EINTR ? Io::wait : broken(std::strerror(errno));
    n = static_cast<std::size_t>(put);
    return Io::done;
  }
  ERR_clear_error();
  return tls_io(SSL_write_ex(tls_, out_.data() + out_at_, unsent(), &n));
}

void FrameSocket::flush() {
  while (fd_ >= 0 && unsent() != 0) {
    std::size_t n = 0;
    if (transmit(n) != Io::done) break;  // full, or broken: then the reader finds out
    out_at_ += n;
  }
  if (fd_ < 0) return;
  const bool empty = unsent() == 0;
  if (empty) {
    out_at_ = 0;
    out_.clear();
    if (out_.capacity() > kKeep) out_.shrink_to_fit();
  } else if (out_at_ > kKeep) {
    out_.erase(0, out_at_);
    out_at_ = 0;
  }
  const bool want = !empty && (tls_ == nullptr || SSL_want_read(tls_) == 0);  // else: fill() first
  if (want_write_ != want) {
    want_write_ = want;
    poller_.modify(fd_, tag_, EPOLLIN | (want_write_ ? EPOLLOUT : 0u));
  }
}

// Of TLS everything that has been decrypted must be taken: the socket says nothing of it.
bool FrameSocket::fill() {
  for (int i = 0; i < kReadsPerTurn || (tls_ != nullptr && SSL_has_pending(tls_) == 1); ++i) {
    const std::size_t chunk = std::min(kReadChunk, frame_max_);
    if (in_.size() - in_used_ < chunk) in_.resize(in_used_ + chunk);
    const std::size_t room = in_.size() - in_used_;
    std::size_t n = 0;
    const Io io = receive(in_.data() + in_used_, room, n);
    if (io == Io::broken) return false;
    if (io == Io::wait) break;
    in_used_ += n;
    if (tls_ == nullptr && (n < room || in_used_ > frame_max_)) break;
  }
  return true;
}

void FrameSocket::last_words(const char* frame, std::size_t size) {
  why_ = "dying";  // short: nothing is allocated, neither here nor in broken()
  while (fd_ >= 0 && unsent() != 0) {
    std::size_t n = 0;
    if (transmit(n) != Io::done) return;
    out_at_ += n;
  }
  if (fd_ < 0) return;
  std::size_t n = 0;
  if (tls_ != nullptr) {
    SSL_write_ex(tls_, frame, size, &n);
  } else {
    (void)!::send(fd_, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

bool FrameSocket::read(const std::function<void(const protocol::link::FrameView&)>& on_frame) {
  using protocol::link::FrameResult;
  const bool alive = fill();
  if (tls_ != nullptr && unsent() != 0) flush();  // a handshake has got on
  std::size_t at = 0;
  protocol::link::FrameView frame;
  FrameResult result = FrameResult::need_more;
  while (fd_ >= 0 && (result = protocol::link::next_frame({in_.data() + at, in_used_ - at},
                                                          frame)) == FrameResult::complete) {
    if (frame.size > frame_max_) {
      result = FrameResult::malformed;
      break;
    }
    on_frame(frame);
    at += frame.size;
  }
  if (at != 0 && at <= in_used_) {
    in_used_ -= at;
    std::memmove(in_.data(), in_.data() + at, in_used_);
  }
  if (in_used_ == 0 && in_.size() > kKeep) {
    in_.resize(kReadChunk);
    in_.shrink_to_fit();
  }
  if (result == FrameResult::need_more &&
      protocol::link::frame_length({in_.data(), in_used_}) > frame_max_)
    result = FrameResult::malformed;
  if (alive && result == FrameResult::malformed) broken("malformed frame, or too large");
  return alive && result != FrameResult::malformed;
}

}  // namespace berth::gateway::link
