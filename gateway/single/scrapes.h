// The callers that wait for an engine's metrics. One question is under way at a time; who asks
// meanwhile gets the same answer. Held by value by the Supervisor, on its thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace berth::gateway {

class Scrapes {
 public:
  // Of link::get_samples(); null: none.
  using Payload = std::shared_ptr<const std::string>;  // shared: of all who have asked
  using Scraped = std::function<void(Payload)>;
  // Adds a caller. Returns the number of the question that the Supervisor sends now; nothing: one
  // is under way.
  std::optional<std::uint64_t> add(Scraped done) {
    waiting_.push_back(std::move(done));
    if (waiting_.size() > 1) return std::nullopt;
    return ++question_;
  }
  void answer(std::uint64_t question, const Payload& payload) {
    if (question != question_) return;
    for (const Scraped& done : std::exchange(waiting_, {})) done(payload);
  }

 private:
  std::vector<Scraped> waiting_;
  std::uint64_t question_ = 0;
};

}  // namespace berth::gateway
