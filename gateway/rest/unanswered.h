// The error of a request that no engine has answered. Plain function; any thread.
#pragma once

#include <string>

#include "gateway/admin/problem.h"
#include "protocol/link/questions.h"

namespace berth::gateway::rest {

inline admin::Response unanswered(protocol::link::AskError error) {
  using protocol::link::AskError;
  if (error == AskError::too_late || error == AskError::link_lost)
    return admin::problem(admin::codes::kNoAnswer, "the engine did not answer in time");
  return admin::problem(admin::codes::kUnavailable, std::string("no engine answers now: ") +
                                                        protocol::link::name_of(error));
}

}  // namespace berth::gateway::rest
