// Work that takes more than one turn (Core::end_turn, TurnBudget). Plain data.
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "session/fanout_places.h"
#include "session/router.h"
#include "session/session.h"

namespace berth::session {

// One PUBLISH to many receivers, or of many bytes in all. First what must be durable is staged, a
// bounded part in each batch: for one member of each shared group, then for each session. When the
// last of it is committed the other copies are sent. The publisher's channel is stalled all the
// while, so its order is kept, and nothing is acknowledged before all of it is durable.
class Fanout {
 public:
  // A message to more receivers than this, or of more bytes for all of them, is one.
  static constexpr std::size_t kReceivers = 2000;
  static constexpr std::size_t kBytes = 1u << 20;
  static constexpr std::size_t kBatchBytes = 1u << 20;  // staged, then the batch has to leave first

  struct Receiver {
    base::SessionId session;
    SubOptions options;
    std::vector<std::uint32_t> ids;
  };
  // How far a dead engine has come with a QoS 2 message.
  struct Through {
    std::uint64_t session = 0;  // sessions up to this one have it
    std::int64_t route = -1;    // and groups up to this one
  };
  // `places`: counts those there are; outlives this one.
  Fanout(FanoutPlaces& places, std::uint64_t fair_key) : places_(places), fair_key_(fair_key) {
    places_.enter(fair_key_);
  }
  ~Fanout() { places_.leave(fair_key_); }
  Fanout(const Fanout&) = delete;
  Fanout& operator=(const Fanout&) = delete;

  std::vector<Receiver> to;  // of a QoS 2 message by session, so that a replay can go on
  std::size_t at = 0;
  std::vector<std::uint32_t> groups;  // route_of_group() of the shared groups, in order
  std::size_t group = 0;              // the next of them
  std::function<void()> staged;       // when all is in the open batch; or null

 private:
  FanoutPlaces& places_;
  const std::uint64_t fair_key_;
};

using RetainedTopics = boost::unordered_flat_set<std::string>;

// The retained messages of a SUBSCRIBE on their way into the queue of a session that has one. The
// SUBSCRIBE is not acknowledged before; how far it came stands in its applied record, in the batch
// that has brought it there.
struct RetainedFill {
  base::ConnId conn;
  std::uint64_t in_off = 0;  // of the SUBSCRIBE
  base::SessionId session;
  std::string outcome;  // of its filters
  std::shared_ptr<std::deque<RetainedItem>> items;
  std::size_t at = 0;  // the item under way
  std::string after;   // the topic it has come to
  RetainedTopics had;  // topics that queue_waiting() has seen to
  std::function<void(base::Instant)> answer;
};

}  // namespace berth::session
