#include "gateway/cluster/handover.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace berth::gateway::cluster {
namespace {

constexpr std::size_t kItemMax = 64u << 20;
constexpr int kPatience_s = 5;

[[noreturn]] void fail(const char* what) {
  if (errno == ECONNRESET || errno == EPIPE) throw OtherSideGone();
  throw std::runtime_error(std::string("handover: ") + what + ": " + std::strerror(errno));
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (path.size() >= sizeof a.sun_path)
    throw std::runtime_error("handover: path too long: " + path);
  path.copy(a.sun_path, path.size());
  return a;
}

union Control {  // room for one descriptor
  cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

// A signal ends a call on a socket with a time limit, whatever SA_RESTART says.
template <class Call>
ssize_t again(Call&& call) {
  ssize_t n = call();
  while (n < 0 && errno == EINTR) n = call();
  return n;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = again([&] { return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
    if (n <= 0) fail("send");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void receive_all(int fd, char* to, std::size_t size) {
  while (size != 0) {
    const ssize_t n = again([&] { return ::recv(fd, to, size, 0); });
    if (n == 0) throw OtherSideGone();
    if (n < 0) fail("receive");
    to += n;
    size -= static_cast<std::size_t>(n);
  }
}

}  // namespace

HandoverStream::HandoverStream(int fd) : fd_(fd) {
  const timeval limit{.tv_sec = kPatience_s, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

HandoverStream::~HandoverStream() {
  ::close(fd_);
}

void HandoverStream::send(char type, std::string_view payload, int fd) {
  char head[5];
  for (unsigned i = 0; i < 4; ++i) head[i] = static_cast<char>(payload.size() >> (8 * i));
  head[4] = type;
  iovec part{.iov_base = head, .iov_len = sizeof head};
  Control control{};
  msghdr m{};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  if (fd >= 0) {
    m.msg_control = control.bytes;
    m.msg_controllen = sizeof control.bytes;
    cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  const ssize_t n = again([&] { return sendmsg(fd_, &m, MSG_NOSIGNAL); });
  if (n <= 0) fail("send");
  send_all(fd_, std::string_view(head, sizeof head).substr(static_cast<std::size_t>(n)));
  send_all(fd_, payload);
}

HandoverStream::Item HandoverStream::receive() {
  Item item;
  char head[5];
  iovec part{.iov_base = head, .iov_len = sizeof head};
  Control control{};
  msghdr m{};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  m.msg_control = control.bytes;
  m.msg_controllen = sizeof control.bytes;
  const ssize_t n = again([&] { return recvmsg(fd_, &m, MSG_CMSG_CLOEXEC); });
  if (n == 0) throw OtherSideGone();
  if (n < 0) fail("receive");
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
      std::memcpy(&item.fd, CMSG_DATA(c), sizeof item.fd);
  }
  receive_all(fd_, head + n, sizeof head - static_cast<std::size_t>(n));
  std::size_t size = 0;
  for (int i = 3; i >= 0; --i) size = (size << 8) | static_cast<unsigned char>(head[i]);
  item.type = head[4];
  if (size > kItemMax) throw std::runtime_error("handover: item too large");
  item.payload.resize(size);
  receive_all(fd_, item.payload.data(), size);
  return item;
}

void HandoverStream::await_end() {
  char byte;
  while (again([&] { return ::recv(fd_, &byte, 1, 0); }) > 0) {
  }
}

int connect_handover(const std::string& path) {
  const sockaddr_un a = address_of(path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

int listen_handover(const std::string& path) {
  const sockaddr_un a = address_of(path);
  unlink(path.c_str());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const mode_t before = umask(0177);
  const bool bound = fd >= 0 && bind(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
  umask(before);
  if (bound && ::listen(fd, 1) == 0) return fd;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  errno = error;
  fail(path.c_str());
}

}  // namespace berth::gateway::cluster
