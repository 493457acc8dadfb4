// Tells engines what connections of this process have met when an engine or edge came and went
// (gateway/edge/passages.h), so that each process of the gateway can show it, after any restart:
// once when the connections have their engine, and once more when it is known how many commands
// were late. Until it is stored it is told again. On the home loop of the admin port.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "gateway/edge/passages.h"
#include "gateway/link/asker.h"

namespace berth::gateway {

class PassageTeller {
 public:
  static constexpr std::size_t kMost = 200;  // that are not stored; then the oldest goes
  // A command that ends so soon after it was late because of it: a result was on its way.
  static constexpr std::int64_t kAfter_ns = 5'000'000'000;
  static constexpr std::int64_t kGivenUp_ns = 600'000'000'000;

  // `passages` and `asker` outlive it. `edge`: this process, for people.
  PassageTeller(boost::asio::io_context& io, edge::Passages& passages, const link::Asker& asker,
                std::string edge);
  void start() { arm(); }

 private:
  struct Telling {
    edge::Passages::Passage p;
    std::uint64_t number = 0;
    bool stored = false;
    std::optional<std::uint64_t> late = std::nullopt;
    bool asking = false;
    bool done = false;
    std::int64_t next_ns = 0;
  };
  using TellingPtr = std::shared_ptr<Telling>;  // of questions under way
  void arm();
  void look();
  void tell(const TellingPtr& t);
  void ask_late(const TellingPtr& t);
  std::string question_of(const Telling& t) const;

  boost::asio::steady_timer timer_;
  edge::Passages& passages_;
  const link::Asker& asker_;
  const std::string edge_;
  const std::uint64_t process_;
  std::uint64_t next_ = 1;
  std::list<TellingPtr> all_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::gateway
