// Who sends most, in one partition, without counting messages: of accounts what they have counted
// each minute of the last five; of connections the bytes that the engine has read of each. Of the
// latter some are looked at, and ten seconds later again, then the next ones: all of them if there
// are no more than kLooks, else each in its turn. Owned by Insights. One shard, one thread.
#pragma once

#include <array>
#include <boost/unordered/unordered_map.hpp>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "platform/command.h"
#include "platform/top_list.h"
#include "session/core.h"

namespace berth::platform {

namespace pb {
class Insight;
class InsightsAnswer;
class InsightsQuestion;
}  // namespace pb

// Numbers are on the link: append only.
enum class TrafficBy : std::uint8_t { device = 0, site = 1, tenant = 2 };

class Traffic {
 public:
  static constexpr std::size_t kLooks = 8192;
  static constexpr std::size_t kLooksAtOnce = 2048;
  static constexpr std::int64_t kWindow_ms = 10'000;
  static constexpr std::int64_t kKeep_ms = 600'000;  // what was seen of a connection
  static constexpr std::size_t kAccounts = 4096;
  static constexpr std::uint32_t kDeep = 1000;  // messages
  static constexpr std::size_t kDeepTold = 64;  // of one call
  static constexpr std::size_t kMinutes = 5;

  explicit Traffic(session::Core& core) : core_(core) {}
  void tick(At at);
  // Sessions with a connection and kDeep messages in their queues, that were just looked at.
  std::vector<base::SessionId> take_deep() { return std::exchange(deep_, {}); }
  void answer(const pb::InsightsQuestion& q, At at, std::vector<pb::Insight>& out) const;

 private:
  struct Look {
    base::ConnId conn;
    std::uint64_t in_off = 0;
    std::int64_t at_ms = 0;
  };
  struct Sums {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    std::int64_t at_ms = 0;
  };
  struct Account {
    std::string tenant;
    std::string site;
    std::array<Sums, kMinutes + 1> sums{};  // a ring
    std::size_t last = 0;
    std::size_t count = 0;
  };
  void look(At at);
  void look_again(At at);
  void minute(At at);

  session::Core& core_;
  TopList devices_;  // counts bytes a second
  std::vector<Look> looks_;
  std::vector<base::SessionId> deep_;
  std::size_t again_ = 0;  // of looks_, what has been looked at again
  bool full_ = false;      // the looks of this window are complete
  std::uint32_t link_ = 0;
  std::uint32_t slot_ = 0;
  boost::unordered_map<std::string, Account> accounts_;
  std::int64_t minute_ = 0;
};

}  // namespace berth::platform
