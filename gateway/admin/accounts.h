// Credentials that are not the admin token: those of accounts of the registry (gateway/rest checks
// them). Asked on the server's thread, before a request's body is read.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <string>

#include "gateway/admin/caller.h"
#include "gateway/admin/message.h"

namespace berth::gateway::admin {

struct Claim {
  std::string authorization;  // the header
  std::string method;
  std::string target;   // path and query as they came
  std::string address;  // of the peer
  // Of a session of the console: it was good once, so it is no attempt to guess one.
  bool session = false;
  // Of a stream that this credential has begun: is it still good? A signature counts again.
  bool again = false;
};

struct ClaimAnswer {
  std::optional<Caller> caller;  // without its trace; nothing: `refusal` is the answer
  Response refusal;
  std::string why;          // it was refused, for the log
  std::string body_sha256;  // 64 hex digits that the body must have; empty: not said
};
using AccountCheck = std::function<boost::asio::awaitable<ClaimAnswer>(Claim)>;

}  // namespace berth::gateway::admin
