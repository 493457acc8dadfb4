#include "gateway/cluster/link_listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <utility>

#include "base/log_event.h"
#include "gateway/edge/edge_shard.h"

namespace berth::gateway::cluster {

using boost::asio::ip::tcp;

namespace {
const base::LogKind kNoLink{"no link accepted", base::LogLevel::err,
                            base::LogKind::Outcome::failure,
                            "cluster"};
}

LinkListener::LinkListener(boost::asio::io_context& io, const std::string& host,
                           std::uint16_t& port, std::uint32_t user_timeout_ms, Accepted accepted)
    : acceptor_(io),
      again_(io),
      user_timeout_ms_(static_cast<int>(user_timeout_ms)),
      accepted_(std::move(accepted)) {
  const int fd = edge::open_listener(host, port);
  sockaddr_storage local{};
  socklen_t size = sizeof local;
  getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size);
  acceptor_.assign(local.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), fd);
  accept();
}

void LinkListener::accept() {
  acceptor_.async_accept([this](boost::system::error_code ec, tcp::socket socket) {
    if (ec == boost::asio::error::operation_aborted) return;
    if (ec) return accept_later(ec.message());
    const int fd = socket.release();
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms_, sizeof user_timeout_ms_);
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size);
    accepted_(fd, base::Address::of(peer),
              ntohs(peer.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(peer).sin6_port
                                               : reinterpret_cast<sockaddr_in&>(peer).sin_port));
    accept();
  });
}

void LinkListener::accept_later(const std::string& why) {
  if (kNoLink.admits(0)) base::LogEvent(kNoLink).add("error", why);
  again_.expires_after(std::chrono::milliseconds(100));
  again_.async_wait([this](boost::system::error_code ec) {
    if (!ec) accept();
  });
}

}  // namespace berth::gateway::cluster
