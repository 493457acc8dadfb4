// Engines that die without evidence (out of memory, killed by the kernel, a fault of no
// connection's): after two in a row, each soon after it began to serve, whoever has input or an end
// that no engine has acknowledged is a suspect, and the suspects are given to the next engine one
// at a time. The engine's shared word (session/works_for.h) says at its death whom it worked for:
// a suspect that it names has done it (I12). Of one partition of an edge shard; no I/O, no clock of
// its own (ms).
//
//   died(unproven) died(unproven) begin(suspects) -> next() … cleared() next() … -> over
//                                                    died(unproven): culprit()
//
// A suspect is over when the engine has acknowledged what it had at the beginning, or has forgotten
// the connection. The next one begins then, or when the engine seems to have put the work aside:
// its word has not named the suspect for kQuiet_ms. A suspect that is not over at a death is still
// judged, however many have begun after it: what kills an engine may take a while.
//
// Limits: 64 suspects one at a time, the one that an engine named at its death first, then those
// with the most unacknowledged bytes; 3 s for one (1.5 s where the word can not be read: in a
// cluster), 10 s for all. Then the rest go on at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
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
  fault      // it has certainly failed by itself (out of memory, an abort)
};

// Whom an engine works for, as its shared word says.
struct Named {
  bool known = false;                 // the word can be read
  bool somebody = false;              // it names somebody, perhaps no connection of this shard
  base::ConnId conn = base::kNoConn;  // of this shard
};

// The shared word of an engine of this host; by default there is none to read. Any thread.
class EngineWord {
 public:
  EngineWord() = default;
  // `link`: by which number the engine knows this shard.
  EngineWord(std::shared_ptr<const std::atomic<std::uint64_t>> word, std::uint32_t link)
      : word_(std::move(word)), link_(link) {}
  Named read() const;

 private:
  // Shared with the supervisor, which forgets the engine before the shards hear of its death.
  std::shared_ptr<const std::atomic<std::uint64_t>> word_;
  std::uint32_t link_ = 0;
};

class Probation {
 public:
  static constexpr int kInARow = 2;
  static constexpr std::int64_t kSoon_ms = 30'000;  // of serving; one that lived longer begins anew
  static constexpr std::size_t kSuspectsMax = 64;
  static constexpr std::int64_t kQuiet_ms = 300;
  static constexpr std::int64_t kBlind_ms = 1'500;
  static constexpr std::int64_t kEach_ms = 3'000;
  static constexpr std::int64_t kAll_ms = 10'000;
  // A suspect is guilty after this many engine deaths in its probation, one after the other, if
  // none was a fault that named it: a death alone may have had another cause.
  static constexpr int kEndsThatProve = 3;

  struct Suspect {
    base::ConnId conn;
    std::size_t bytes = 0;
    std::uint64_t end = UINT64_MAX;  // where its input ends; that of an ended connection never does
  };

  // `named`: what the word says now. Returns who has done it.
  std::optional<base::ConnId> died(EngineEnd how, const Named& named, std::int64_t now_ms);
  void serves(std::int64_t now_ms) { serving_since_ms_ = now_ms; }
  // The link broke but the same engine process is back: forget the deaths.
  void forgive() { in_a_row_ = 0; }
  bool due() const { return in_a_row_ >= kInARow; }

  // The next engine serves. Returns those that are to be given to it at once.
  std::vector<base::ConnId> begin(std::vector<Suspect> suspects, std::int64_t now_ms);
  bool running() const { return running_; }
  // Some suspect is not over: cleared() wants to hear of it.
  bool judges() const { return !tried_.empty(); }
  std::optional<base::ConnId> current() const { return current_; }
  // The engine has acknowledged the input of `conn` up to `in_ack`, or forgotten it (UINT64_MAX).
  void cleared(base::ConnId conn, std::uint64_t in_ack = UINT64_MAX);
  // Whom to give now: the next suspect, if the one before is over or its time is. When the time for
  // all is over: all that are left, and it does not run any more.
  std::vector<base::ConnId> next(const Named& named, std::int64_t now_ms);

 private:
  bool waits_for_current(const Named& named, std::int64_t now_ms);
  std::optional<base::ConnId> culprit(EngineEnd how, const Named& named,
                                      const std::vector<Suspect>& tried);

  int in_a_row_ = 0;
  std::int64_t serving_since_ms_ = 0;
  bool running_ = false;
  std::deque<Suspect> waiting_;
  std::size_t begun_ = 0;
  std::vector<Suspect> tried_;  // those that have begun and are not over; kSuspectsMax at most
  std::optional<base::ConnId> current_;
  std::int64_t current_since_ms_ = 0;
  std::int64_t named_ms_ = 0;  // when the word has last named the current one
  std::int64_t began_ms_ = 0;
  base::ConnId last_named_ = base::kNoConn;  // at the last death
  std::optional<base::ConnId> blamed_;       // by the last death of a probation
  int ends_ = 0;                             // of `blamed_`
};

}  // namespace berth::gateway::edge
