// One request to an admin port: berth ctl, and tests. Blocking, with time-outs.
#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "gateway/admin/message.h"

namespace berth::gateway::admin {

struct Ask {
  std::string host;  // a name is looked up; "localhost" needs no /etc/hosts
  std::uint16_t port = 0;
  std::string method = "GET";
  std::string target = "/";
  std::string token;   // empty: none is shown
  bool local = false;  // over the Unix socket of the gateway at HOST:PORT on this host
  std::string socket;  // the path of that socket, whatever HOST:PORT; empty: its abstract name
  std::string body;
  std::string media_type = "application/json";          // of the body
  std::chrono::milliseconds limit{30'000};              // for all of it
  std::uint64_t answer_max = std::uint64_t{256} << 20;  // bytes; a longer answer is an error
};

// No process answers there: another way may be tried.
struct Unreachable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The local socket is of a process of another user, which would end the connection at once.
struct OtherUser : Unreachable {
  using Unreachable::Unreachable;
};

// Throws std::runtime_error when there is no answer.
Response http_request(const Ask& ask);
Response http_request(const std::string& host, std::uint16_t port, const std::string& method,
                      const std::string& target, const std::string& token = {});

}  // namespace berth::gateway::admin
