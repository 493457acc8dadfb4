// A question of an edge process to an engine, beside the stream of inputs and steps: by calls, or
// over a link as the frames `ask` and `answer` (protocol/link/questions.h). The asker gives the
// question a kind, bytes that the kind defines, and a time limit; it gets one answer, bytes or an
// error.
#pragma once

#include <functional>
#include <string>

#include "protocol/link/questions.h"

namespace berth::gateway::link {

struct Answer {
  protocol::link::AskError error = protocol::link::AskError::none;
  std::string bytes;  // without an error
};
// Called once; perhaps within the call that asks. Not after the asker's io_context has stopped.
using Answered = std::function<void(Answer)>;

}  // namespace berth::gateway::link
