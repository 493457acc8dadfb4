// How many connections an edge shard lets in a second. The rest wait in the kernel's queue, or try
// again: a fleet that comes back at once must not find an engine that answers nobody.
//
// The rate is learned, as TCP learns a path's. It begins with kStart a second, or half of what
// engines were seen to answer. The rate doubles while it limits accepts and engines answer CONNECTs
// without delay (near a rate that was too high it grows by a tenth): every kQuick when answers show
// that they keep up, every kStep when CONNECTs are still on their way (a slow network, TLS). It
// falls when unanswered CONNECTs exceed a quarter of a second's accepts and do not become fewer. It
// returns to its first value while no connections come.
// Of one thread, no I/O, no clock.
#pragma once

#include <cstddef>
#include <cstdint>

namespace berth::gateway::edge {

class Admission {
 public:
  static constexpr double kStart = 4000;                 // connections a second
  static constexpr double kFloor = 100;                  // never less
  static constexpr double kMax = 1'000'000;              // never more
  static constexpr std::int64_t kStep_ns = 100'000'000;  // also the depth of the bucket
  static constexpr std::int64_t kQuick_ns = 25'000'000;

  // `ceiling_per_s`: never more than so many; 0: none.
  explicit Admission(std::uint32_t ceiling_per_s);
  void limit_to(std::uint32_t ceiling_per_s);  // the same, from now on
  // May one more be accepted? `waiting`: those whose CONNECT no engine has answered yet. False: ask
  // again in some milliseconds.
  bool admit(std::int64_t now_ns, std::size_t waiting);
  void give_back();                 // there was none
  void answered() { ++answered_; }  // an engine has answered a CONNECT with success
  // What engines were seen to answer, for a successor of this process; 0: nothing is known.
  std::uint32_t learned_per_s() const { return static_cast<std::uint32_t>(learned_); }
  void begin_with(std::uint32_t learned_per_s);
  std::uint32_t rate_per_s() const { return static_cast<std::uint32_t>(rate_); }

 private:
  void learn(std::int64_t now_ns, std::size_t waiting);
  bool keep_up(std::size_t waiting) const;
  double start() const;
  void give_way();
  void sink(double steps);

  double ceiling_ = kMax;
  double rate_ = kStart;
  double threshold_ = kMax;  // above it the rate grows slowly
  double tokens_ = 0;
  std::int64_t filled_ns_ = 0;
  std::int64_t step_ns_ = 0;    // when the present step began
  std::uint64_t admitted_ = 0;  // in it
  std::uint64_t answered_ = 0;  // in it
  double learned_ = 0;          // the most that were answered a second
  bool refused_ = false;        // in it
  std::size_t waiting_before_ = 0;
};

}  // namespace berth::gateway::edge
