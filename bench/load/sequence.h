// Which numbers of one publisher have come to one subscriber (or group of subscribers): what is
// lost, doubled, or late. Bounded: beyond kGapsMax gaps the oldest one is given up as lost.
#pragma once

#include <cstdint>
#include <vector>

namespace berth::bench {

class Sequence {
 public:
  static constexpr std::size_t kGapsMax = 64;
  enum class Seen : std::uint8_t { in_order, late, again };

  Seen see(std::uint32_t number);
  // Of the numbers below `end`: how many have not come.
  std::uint32_t missing(std::uint32_t end) const;

 private:
  struct Run {
    std::uint32_t from, to;  // [from, to)
  };
  void give_up_oldest();

  std::uint32_t next_ = 0;  // all below have come, or were given up
  std::uint32_t lost_ = 0;  // given up
  std::vector<Run> ahead_;  // sorted, apart from each other and from next_
};

}  // namespace berth::bench
