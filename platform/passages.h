// Engines and edges that came and went, and what that meant for connections and commands of one
// partition: what edges have told, in the store too, so that each process of the gateway shows the
// same after any restart (docs/console.md, "Deploys"). And when commands were late, in memory: an
// edge asks soon after. Owned by the Platform. One shard, one thread.
//
// Limits: kKept passages of at most kAge_ms, of each kPartsMax edges; kMoments seconds with late
// commands.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "platform/passages.pb.h"
#include "platform/records.h"

namespace berth::platform {

// Stored and sent: append only.
enum class PassageKind : std::uint8_t {
  planned = 0,    // an engine was asked to end, or gave the partition to another one
  killed = 1,     // an engine ended, nobody knows why
  fault = 2,      // an engine failed by itself
  poison = 3,     // by the input of a connection
  link = 4,       // the link to an engine broke, and the same engine came back
  edge = 5,       // an edge handed its connections over to its successor
  edge_drain = 6  // an edge ended its connections, to end itself
};
inline constexpr std::uint32_t kPassageKinds = 7;
// As the API names it; empty: a release after this one has stored it.
const char* name_of_passage(std::uint32_t kind);

// `a` says more of what went wrong.
bool is_worse(std::uint32_t a, std::uint32_t b);

class Passages {
 public:
  static constexpr std::size_t kKept = 200;
  static constexpr std::int64_t kAge_ms = std::int64_t{7} * 86'400'000;
  static constexpr int kPartsMax = 64;
  static constexpr int kGapsMax = 64;
  static constexpr std::size_t kTextMax = 128;
  static constexpr std::size_t kMoments = 600;
  // Edges tell of the same passage when it ended so close together, of the same process.
  static constexpr std::int64_t kSameWithin_ms = 30'000;

  explicit Passages(Records& records) : records_(records) {}
  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view record);
  void forget(std::string_view key);

  // Of an edge; what it has told before in the same part is replaced. False: malformed.
  bool told(std::string_view bytes, std::int64_t wall_ms);
  std::string answer(std::string_view question) const;
  // A command ended EXPIRED or UNCERTAIN, or its result came after its outcome.
  void late(std::int64_t wall_ms);
  std::string answer_late(std::string_view question, std::int64_t wall_ms) const;
  void tick(std::int64_t wall_ms);

 private:
  using Key = std::pair<std::int64_t, std::uint64_t>;  // end, number
  using All = std::map<Key, pb::PassageRecord>;
  All::iterator same_as(const pb::PassageTold& t, std::int64_t end_ms);
  void remove_oldest();

  Records& records_;
  All all_;
  std::uint64_t next_ = 1;
  std::deque<std::pair<std::int64_t, std::uint64_t>> late_;  // second, commands
};

}  // namespace berth::platform
