#include "gateway/admin/listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace berth::gateway::admin {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr int kBacklog = 128;

struct LocalAddress {
  sockaddr_un address{};
  socklen_t length = 0;
  explicit LocalAddress(const std::string& name) {
    address.sun_family = AF_UNIX;
    const std::size_t n = std::min(name.size(), sizeof address.sun_path - 1);
    std::memcpy(address.sun_path + 1, name.data(), n);  // behind a zero: abstract
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + n);
  }
};

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof a.sun_path)
    throw std::runtime_error("a socket's path has 1 to " + std::to_string(sizeof a.sun_path - 1) +
                             " bytes");
  path.copy(a.sun_path, path.size());
  return a;
}

const sockaddr* generic(const sockaddr_un& a) {
  return reinterpret_cast<const sockaddr*>(&a);
}

// False: nothing is there any more, or a process listens there.
bool is_left_over(const std::string& path, const sockaddr_un& at) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return false;
  if (!S_ISSOCK(found.st_mode)) throw std::runtime_error("exists and is no socket");
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const bool refused =
      fd >= 0 && ::connect(fd, generic(at), sizeof at) != 0 && errno == ECONNREFUSED;
  if (fd >= 0) ::close(fd);
  return refused;
}

tcp::endpoint endpoint_of(const sockaddr_storage& from, socklen_t length) {
  tcp::endpoint e;
  e.resize(length);
  std::memcpy(e.data(), &from, length);
  return e;
}

asio::ip::address unmapped(const asio::ip::address& a) {
  if (a.is_v6() && a.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, a.to_v6());
  return a;
}

bool is_same_user(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
         (peer.uid == ::geteuid() || peer.uid == 0);
}

}  // namespace

std::string local_name(const std::string& address) {
  return "berth-admin/" + address;
}

void Listener::take(int fd) {
  boost::system::error_code ec;
  descriptor_.assign(fd, ec);
  if (!ec) return;
  ::close(fd);
  throw std::runtime_error(ec.message());
}

void Listener::listen_tcp(const std::string& host, std::uint16_t& port) {
  const std::string literal = host.empty() ? "0.0.0.0" : host == "localhost" ? "127.0.0.1" : host;
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(literal, ec);
  if (ec) throw std::runtime_error(host + ": " + ec.message());
  const tcp::endpoint at(address, port);
  const int fd =
      ::socket(at.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  const int on = 1;
  const bool good = fd >= 0 && ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                    ::bind(fd, at.data(), static_cast<socklen_t>(at.size())) == 0 &&
                    ::listen(fd, kBacklog) == 0;
  if (!good) {
    const std::string why = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    throw std::runtime_error(why);
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length);
  port = endpoint_of(bound, length).port();
  take(fd);
}

void Listener::listen_local(const std::string& name) {
  local_ = true;
  const LocalAddress at(name);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const bool good = fd >= 0 &&
                    ::bind(fd, reinterpret_cast<const sockaddr*>(&at.address), at.length) == 0 &&
                    ::listen(fd, kBacklog) == 0;
  if (!good) {
    const std::string why = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    throw std::runtime_error(why);
  }
  take(fd);
}

bool Listener::listen_at(const std::string& path, bool replace) {
  const sockaddr_un at = unix_address(path);
  if (is_left_over(path, at) || replace) ::unlink(path.c_str());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const bool good = fd >= 0 && ::fchmod(fd, 0600) == 0 &&  // before bind: of the file too
                    ::bind(fd, generic(at), sizeof at) == 0 && ::listen(fd, kBacklog) == 0;
  if (!good) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    if (error == EADDRINUSE) return false;
    throw std::runtime_error(std::strerror(error));
  }
  adopt_local(fd);
  return true;
}

void Listener::adopt_local(int fd) {
  local_ = true;
  take(fd);
}

void Listener::close() {
  boost::system::error_code ignored;
  descriptor_.close(ignored);
}

Listener::Accepted Listener::accept() {
  for (;;) {
    const int fd =
        ::accept4(descriptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) return accepted(fd);
    if (errno == EINTR || errno == ECONNABORTED) continue;
    Accepted none;
    none.none = errno == EAGAIN || errno == EWOULDBLOCK;
    none.starved = !none.none;
    return none;
  }
}

Listener::Accepted Listener::accepted(int fd) {
  Accepted a;
  if (local_) {
    a.peer.local_socket = is_same_user(fd);
    if (!a.peer.local_socket) {
      ::close(fd);
      return a;
    }
  } else {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&from), &length) == 0) {
      const auto peer = unmapped(endpoint_of(from, length).address());
      a.port = endpoint_of(from, length).port();
      a.peer.loopback = peer.is_loopback();
      a.address = peer.to_string();
    }
    length = sizeof from;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&from), &length) == 0)
      a.peer.came_to = unmapped(endpoint_of(from, length).address()).to_string();
  }
  a.socket.emplace(descriptor_.get_executor());
  boost::system::error_code ec;
  a.socket->assign(asio::generic::stream_protocol(local_ ? AF_UNIX : AF_INET, 0), fd, ec);
  if (ec) {
    ::close(fd);
    a.socket.reset();
  }
  return a;
}

SpareDescriptors::SpareDescriptors() {
  for (int& fd : held_) fd = -1;
  refill();
}

SpareDescriptors::~SpareDescriptors() {
  for (const int fd : held_) {
    if (fd >= 0) ::close(fd);
  }
}

void SpareDescriptors::refill() {
  for (int& fd : held_) {
    if (fd < 0) fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  }
}

bool SpareDescriptors::give_up() {
  for (int& fd : held_) {
    if (fd < 0) continue;
    ::close(fd);
    fd = -1;
    return true;
  }
  return false;
}

}  // namespace berth::gateway::admin
