#include "gateway/link/frame_socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace berth::gateway::link {
namespace {
constexpr std::size_t kReadChunk = 256 * 1024;
constexpr std::size_t kKeep = 4u << 20;  // greater buffers are given back when empty
constexpr int kReadsPerTurn = 16;
}  // namespace

void FrameSocket::open(int fd) {
  fd_ = fd;
  in_used_ = out_at_ = 0;
  out_.clear();
  want_write_ = false;
  poller_.add(fd, tag_, EPOLLIN);
}

void FrameSocket::close() {
  if (fd_ < 0) return;
  poller_.remove(fd_);
  ::close(std::exchange(fd_, -1));
  out_.clear();
  in_used_ = out_at_ = 0;
}

void FrameSocket::flush() {
  while (fd_ >= 0 && unsent() != 0) {
    const ssize_t n = ::send(fd_, out_.data() + out_at_, unsent(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) break;  // full, or broken: then the reader finds out
    out_at_ += static_cast<std::size_t>(n);
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
  if (want_write_ == empty) {
    want_write_ = !empty;
    poller_.modify(fd_, tag_, EPOLLIN | (want_write_ ? EPOLLOUT : 0u));
  }
}

bool FrameSocket::read(const std::function<void(const protocol::link::FrameView&)>& on_frame) {
  using protocol::link::FrameResult;
  bool alive = true;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (in_.size() - in_used_ < kReadChunk) in_.resize(in_used_ + kReadChunk);
    const std::size_t room = in_.size() - in_used_;
    const ssize_t n = ::recv(fd_, in_.data() + in_used_, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (n <= 0) {
      alive = false;
      break;
    }
    in_used_ += static_cast<std::size_t>(n);
    if (static_cast<std::size_t>(n) < room) break;
  }
  std::size_t at = 0;
  protocol::link::FrameView frame;
  FrameResult result = FrameResult::need_more;
  while (fd_ >= 0 && (result = protocol::link::next_frame({in_.data() + at, in_used_ - at},
                                                          frame)) == FrameResult::complete) {
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
  return alive && result != FrameResult::malformed;
}

}  // namespace berth::gateway::link
