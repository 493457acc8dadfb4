#include "bench/loader/floor_server.h"

#include "bench/loader/load_client.h"

namespace berth::load {

// The least a server can do for a CONNECT: accept, wait, read, answer 20 02 00 00. What the machine
// itself allows, beside which connect rates are read. Ends with SIGTERM.
int floor_server() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<std::uint16_t>(arg("port", 1884)));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
      listen(listener, 4096) != 0) {
    std::perror("floor");
    return 1;
  }
  const int set = epoll_create1(0);
  epoll_event ev{.events = EPOLLIN, .data = {.fd = listener}};
  epoll_ctl(set, EPOLL_CTL_ADD, listener, &ev);
  for (;;) {
    epoll_event events[512];
    const int n = epoll_wait(set, events, 512, -1);
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        for (int c; (c = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
          ev.data.fd = c;
          epoll_ctl(set, EPOLL_CTL_ADD, c, &ev);
        }
        continue;
      }
      char buffer[512];
      if (recv(fd, buffer, sizeof buffer, 0) > 0) {
        send(fd, "\x20\x02\0\0", 4, MSG_NOSIGNAL);
      } else {
        close(fd);
      }
    }
  }
}

}  // namespace berth::load
