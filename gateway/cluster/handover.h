// The stream between the old and the new edge process of one host: items over a Unix socket, each
// with at most one descriptor (SCM_RIGHTS). Blocking, five seconds for each item; used only during
// an upgrade.
//
//   item := length:u32le type:u8 payload   the descriptor travels with the header
//   'P'                       the new process asks whether the old one has a link to an engine
//   'P' linked:u8             the answer; the release before answers 'R', which counts as yes
//   'H' version shards partitions    the new process asks for all     'R' text    refused
//   'W'                       wait
//   'S' edge_id generation    a shard
//   'L' transport:u8          with a listening socket of it
//   'C' connection            with its socket, if it has one  'D' rest    the shard is complete
//   'E'                       that was all                    'K'         taken over: go
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace berth::gateway::cluster {

inline constexpr std::uint64_t kHandoverVersion = 3;

// The other process ended in the middle.
struct OtherSideGone : std::runtime_error {
  OtherSideGone() : std::runtime_error("handover: the other side has gone") {}
};

class HandoverStream {
 public:
  explicit HandoverStream(int fd);  // owns it
  ~HandoverStream();
  HandoverStream(const HandoverStream&) = delete;
  HandoverStream& operator=(const HandoverStream&) = delete;

  struct Item {
    char type = 0;
    std::string payload;
    int fd = -1;  // the receiver's
  };
  // Both throw std::runtime_error.
  void send(char type, std::string_view payload, int fd = -1);
  Item receive();
  void await_end();  // blocks until the other process has closed the stream, or five seconds

 private:
  int fd_;
};

// Connected to the edge that listens at `path`; -1: nobody does.
int connect_handover(const std::string& path);
// A listening socket at `path`, in the place of what was there; mode 0600. Throws
// std::runtime_error.
int listen_handover(const std::string& path);

}  // namespace berth::gateway::cluster
