// Engines that die without evidence (out of memory, killed by the kernel, a fault of no
// connection's): after two in a row, each soon after it began to serve, whoever has input or an end
// that no engine has acknowledged is a suspect, and the suspects are given to the next engine one
// at a time. The one it has when an engine dies again has done it (I12). Of one partition of an
// edge shard; no I/O, no clock of its own (ms).
//
//   died(unproven) died(unproven) begin(suspects) -> next() … cleared() next() … -> over
//                                                    died(unproven): culprit()
//
// Limits: 64 suspects one at a time, those with the most unacknowledged bytes first; 300 ms for
// one, 5 s for all. Then the rest go on at once.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace berth::gateway::edge {

// How an engine ended.
enum class EngineEnd : std::uint8_t {
  planned,   // asked to, or stopped from outside (SIGSTOP): nobody's doing
  proven,    // it has named whom it worked for
  unproven,  // a kill from outside, or a link that broke: perhaps somebody's doing
  fault      // it has certainly failed by itself (out of memory, an abort), and named nobody
};

class Probation {
 public:
  static constexpr int kInARow = 2;
  static constexpr std::int64_t kSoon_ms = 30'000;  // of serving; one that lived longer begins anew
  static constexpr std::size_t kSuspectsMax = 64;
  static constexpr std::int64_t kEach_ms = 300;
  static constexpr std::int64_t kAll_ms = 5'000;
  // Ends of engines with the same suspect: by faults of their own, or by kills and broken links,
  // which may have had nothing to do with it.
  static constexpr int kFaultsThatProve = 1;
  static constexpr int kKillsThatProve = 3;

  struct Suspect {
    base::ConnId conn;
    std::size_t bytes = 0;
  };

  // `alone`: no other suspects are being tried on the same engine (another shard's, another
  // edge's). Returns who has done it.
  std::optional<base::ConnId> died(EngineEnd how, bool alone, std::int64_t now_ms);
  void serves(std::int64_t now_ms) { serving_since_ms_ = now_ms; }
  // It was no death after all: the same engine is back.
  void forgive() { in_a_row_ = 0; }
  bool due() const { return in_a_row_ >= kInARow; }

  // The next engine serves. Returns those that are to be given to it at once.
  std::vector<base::ConnId> begin(std::vector<Suspect> suspects, std::int64_t now_ms);
  bool running() const { return running_; }
  std::optional<base::ConnId> current() const { return current_; }
  // The engine has acknowledged something of `conn`, or forgotten it.
  void cleared(base::ConnId conn) {
    if (current_ == conn) current_.reset();
  }
  // Whom to give now: the next suspect, if the one before is cleared or its time is over. When the
  // time for all is over: all that are left, and it does not run any more.
  std::vector<base::ConnId> next(std::int64_t now_ms);

 private:
  int in_a_row_ = 0;
  std::int64_t serving_since_ms_ = 0;
  bool running_ = false;
  std::deque<base::ConnId> waiting_;
  std::size_t tried_ = 0;
  std::optional<base::ConnId> current_;
  std::int64_t current_since_ms_ = 0;
  std::int64_t began_ms_ = 0;
  std::optional<base::ConnId> blamed_;  // the last that was current at a death
  int faults_ = 0;                      // of `blamed_`
  int kills_ = 0;
};

}  // namespace berth::gateway::edge
