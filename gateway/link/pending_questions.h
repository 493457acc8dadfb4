// Questions of an edge that an engine has not answered yet, by number. Each is answered once: by
// the engine, by its time limit, or by the end of the link. Owned by the EdgeLink; one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "gateway/link/ask.h"

namespace berth::gateway::link {

class PendingQuestions {
 public:
  explicit PendingQuestions(boost::asio::io_context& io) : timer_(io) {}
  ~PendingQuestions();
  PendingQuestions(const PendingQuestions&) = delete;
  PendingQuestions& operator=(const PendingQuestions&) = delete;

  bool full() const { return pending_.size() >= protocol::link::kQuestionsMax; }
  // The number under which it goes out. REQUIRES: not full().
  std::uint64_t add(std::uint32_t limit_ms, Answered answered);
  // Of the engine; a number that is not known (any more) is ignored.
  void answer(std::uint64_t number, Answer a);
  void answer_all(protocol::link::AskError error);

 private:
  struct Pending {
    std::int64_t until_ns = 0;  // monotonic
    Answered answered;
  };
  void arm();
  void answer_late();

  boost::asio::steady_timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<std::uint64_t, Pending> pending_;
  std::uint64_t last_ = 0;
};

}  // namespace berth::gateway::link
